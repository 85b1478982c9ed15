"""How a schema describes its own settings.

A schema is a frozen dataclass. Each field is declared by one of the functions below, and the
string literal under it is its documentation: `ftune schema`, the comments of `ftune init` and
the error messages are all read from this one place.

    @dataclass(frozen=True)
    class Sgd:
        '''Stochastic gradient descent.'''

        momentum: float = setting(0.0, at_least=0, below=1)
        '''Share of the previous update that is kept.'''
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ftune.registry import Table

Kind = Literal["plain", "group", "block", "blocks", "rows"]


@dataclass(frozen=True)
class Spec:
    """What a field accepts beyond its type.

    kind: `plain` values are typed by the annotation; a `group` is a nested schema; a `block`
    names one variant of `table`, `variant` where it does not; `blocks` is a list of variants;
    `rows` a list of one schema. exact: whether another value makes another training. fact: what
    else is to be known of it, in a word that `settings_with` asks for.
    """

    kind: Kind = "plain"
    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    words: tuple[str, ...] = ()
    path: bool = False
    open: bool = False
    exact: bool = True
    stored: bool = True
    fact: str = ""
    schema: type | None = None
    short: str | None = None
    table: Table = field(default_factory=lambda: Table("", {}))
    name_key: str = "name"
    variant: str = ""
    inline: bool = False


def setting(
    default: Any = dataclasses.MISSING,
    *,
    above: float | None = None,
    below: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    words: tuple[str, ...] = (),
    path: bool = False,
    open: bool = False,  # noqa: A002
    exact: bool = True,
    stored: bool = True,
    fact: str = "",
) -> Any:
    """A plain value: number, string, boolean, Literal, list or mapping of these.

    The four bounds hold for a number and for each number of a list. `words` are the strings
    accepted where a number is expected (`lr: auto`). `path` marks a file name, relative to the
    file it is written in. `open` marks a mapping whose keys are the user's own. `exact=False` marks
    what changes no number of a training, or is compared by what it leads to (a path by the data).
    `stored=False` marks what is not written into a run's configuration, being part of it already.
    `fact`: `length` of a training, `cost` of an evaluation and no score, `layout` of a file,
    `trial` for what a resume compares by what it leads to, and a sweep's trials as it is written.
    Without a default the setting is required.
    """
    spec = Spec("plain", above, below, at_least, at_most, words, path, open, exact, stored, fact)
    return _declare(spec, default)


def group(
    schema: type,
    *,
    short: str | None = None,
    default: Any = dataclasses.MISSING,
    required: bool = False,
    exact: bool = True,
    fact: str = "",
) -> Any:
    """A nested schema; a scalar written in its place sets the field named by `short`.

    Without a default it is the schema with all its defaults.
    """
    spec = Spec("group", schema=schema, short=short, exact=exact, fact=fact)
    if default is dataclasses.MISSING and not required:
        return field(default_factory=schema, metadata={"ftune": spec})
    return _declare(spec, default)


def block(
    table: Table, *, key: str = "name", inline: bool = False, default: Any = dataclasses.MISSING
) -> Any:
    """One variant of `table`, chosen by `key`; by `default`, a variant's name, where it is absent.

    With `inline`, the variant's settings stand beside the other settings of the same block, as
    in `data: {source: csv, path: a.csv, target: y}`.
    """
    spec = Spec("block", table=table, name_key=key, inline=inline)
    if isinstance(default, str):
        spec = dataclasses.replace(spec, variant=default)
        return field(default_factory=lambda: table[default](), metadata={"ftune": spec})
    return _declare(spec, default)


def blocks(table: Table, *, words: tuple[str, ...] = (), default: Any = ()) -> Any:
    """A list of variants, each `name`, `name: value` or `name: {settings}`; or one of `words`."""
    return _declare(Spec("blocks", table=table, words=words), default)


def rows(schema: type) -> Any:
    """A list of mappings, each read as `schema`."""
    return _declare(Spec("rows", schema=schema), ())


def _declare(spec: Spec, default: Any) -> Any:
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata={"ftune": spec})
    return field(default=default, metadata={"ftune": spec})


@dataclass(frozen=True)
class Setting:
    """One field of a schema as users see it; `name` is how it is written in a file."""

    name: str
    attribute: str
    spec: Spec
    type: Any
    default: Any
    schema: type

    @property
    def doc(self) -> str:
        """The literal under the field; the source is read only when it is asked for."""
        return field_docs(self.schema).get(self.attribute, "")

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING


@functools.cache
def settings_of(schema: type) -> Mapping[str, Setting]:
    """The settings of `schema` by the name users write (`as_` is written `as`)."""
    settings = {}
    for item in dataclasses.fields(schema):
        if not item.init:
            continue
        default = item.default
        if item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        name = item.name.rstrip("_")
        spec = item.metadata.get("ftune", Spec())
        hint = _resolve(schema, item.name) if spec.kind == "plain" else None
        settings[name] = Setting(name, item.name, spec, hint, default, schema)
    return settings


def walk_settings(
    schema: type, path: str = "", above: frozenset[type] = frozenset()
) -> Iterator[tuple[str, Setting]]:
    """Yield every setting below a schema with its path, a variant's as `optimizer(sgd).lr`."""
    if schema in above:
        return
    above |= {schema}
    for name, item in settings_of(schema).items():
        full = f"{path}.{name}" if path else name
        yield full, item
        if item.spec.schema:
            yield from walk_settings(item.spec.schema, full, above)
        owner = path if item.spec.inline else full
        for variant, settings in item.spec.table.items():
            yield from walk_settings(settings, f"{owner}({variant})", above)


def bare(path: str) -> str:
    """`optimizer(sgd).momentum` -> `optimizer.momentum`."""
    return re.sub(r"\([^)]*\)", "", path)


@functools.cache
def settings_with(schema: type, fact: str) -> tuple[str, ...]:
    """Return the dotted names of the settings that were declared with a fact, each once.

    A group that has no short form ends in a dot: `runtime.`, as only what lies in it can be set.
    """
    items = [(bare(path), item.spec) for path, item in walk_settings(schema)]
    dots = {path: "." * (spec.kind == "group" and not spec.short) for path, spec in items}
    return tuple(dict.fromkeys(path + dots[path] for path, spec in items if spec.fact == fact))


def _resolve(schema: type, attribute: str) -> Any:
    for owner in schema.__mro__:
        annotation = inspect.get_annotations(owner).get(attribute)
        if annotation is not None:
            scope = vars(sys.modules[owner.__module__])
            return eval(annotation, dict(scope)) if isinstance(annotation, str) else annotation
    raise AssertionError(f"{schema.__name__}.{attribute} has no annotation")


@functools.cache
def field_docs(schema: type) -> Mapping[str, str]:
    """The string literal under each field, by attribute name, base classes included."""
    docs: dict[str, str] = {}
    for owner in reversed(schema.__mro__[:-1]):
        body = _class_body(owner)
        for statement, following in itertools.pairwise(body):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
            ):
                docs[statement.target.id] = inspect.cleandoc(str(following.value.value))
    return docs


def _class_body(owner: type) -> list[ast.stmt]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    except (OSError, TypeError):
        return []
    return tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
