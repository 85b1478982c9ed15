"""A signature as a schema: parameters become settings that are checked as any other."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import traceback
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from ftune.config.fields import setting
from ftune.errors import FtuneError, RequestError

_PLAIN = (int, float, bool, str, type(None), Any)


class Own:
    """What every registered schema can do: make the user's object from its settings."""

    made: ClassVar[Callable[..., Any]]
    parameters: ClassVar[dict[str, str]]  # of the user's object -> the attribute with its value
    given: ClassVar[frozenset[str]]

    @property
    def arguments(self) -> dict[str, Any]:
        """The values of the settings by parameter."""
        return {name: getattr(self, attribute) for name, attribute in self.parameters.items()}

    def make(self, **given: Any) -> Any:
        """Calls what the user registered. Raises RequestError with the line of its fault."""
        registered = type(self).made
        wanted = {name: value for name, value in given.items() if name in self.given}
        with faults_in(registered):
            return registered(**self.arguments, **wanted)


def schema_of(
    base: type,
    made: Callable[..., Any],
    given: Sequence[str],
    reserved: Sequence[str] = ("",),
    named: bool = False,
    paths: Sequence[str] = (),
) -> type:
    """A schema with a setting for each parameter of `made` that is not `given` by ftune.

    reserved: a block, and the names that it uses itself. named: whether `as` may name it. paths:
    parameters that are files, relative to the configuration. Raises RequestError for a parameter
    that cannot be written in a file.
    """
    block, *taken = reserved
    hints, signature = _hints(made), inspect.signature(made)
    parameters: list[tuple[str, Any, Any]] = []
    attributes: dict[str, str] = {}
    for name, parameter in signature.parameters.items():
        if name in given or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if name in taken:
            raise RequestError(
                f"{place(made)}: `{name}` means something else in {block}; name the parameter "
                "otherwise"
            )
        hint, default = _type_of(name, parameter, hints, made), parameter.default
        if hint is not None:
            value = dataclasses.MISSING if default is parameter.empty else default
            declared = setting(value, path=name in paths, exact=name not in paths)
            # A parameter may be called as something that ftune's own class has.
            attribute = f"{name}_" if hasattr(base, name) else name
            attributes[name] = attribute
            parameters.append((attribute, hint, declared))
    extra = {
        "__doc__": inspect.getdoc(made) or f"Registered by {place(made)}.",
        "made": staticmethod(made),
        "parameters": attributes,
        "given": frozenset(given) & set(signature.parameters),
        "__module__": __name__,
    }
    fields = [*parameters, *([("as_", str | None, setting(None))] if named else [])]
    return dataclasses.make_dataclass(
        getattr(made, "__name__", "Own"),
        fields,
        bases=(base,),
        namespace=extra,
        frozen=True,
        kw_only=True,
    )


def _hints(made: Callable[..., Any]) -> dict[str, Any]:
    target = made.__init__ if isinstance(made, type) else made  # type: ignore[misc]
    try:
        return typing.get_type_hints(target)
    except Exception as error:
        raise RequestError(f"{place(made)}: its annotations cannot be read: {error}") from None


def _type_of(
    name: str, parameter: inspect.Parameter, hints: dict[str, Any], made: Callable[..., Any]
) -> Any:
    """What a setting of that parameter holds; None for one that keeps its default."""
    has_default = parameter.default is not parameter.empty
    hint = hints.get(name, parameter.empty)
    if hint is parameter.empty and has_default and parameter.default is not None:
        kind = type(parameter.default)
        hint = list[Any] if kind is list else dict[str, Any] if kind is dict else kind
    elif hint is parameter.empty:
        hint = Any
    elif has_default and parameter.default is None:
        hint = hint | None if hint is not Any else Any
    if _is_plain(hint):
        return hint
    if has_default:
        return None
    raise RequestError(
        f"{place(made)}: the parameter `{name}` is a {getattr(hint, '__name__', hint)}; a setting "
        "is a number, a text, true or false, a list or a mapping of these; give it a default, or "
        "make it in the function"
    )


def _is_plain(hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return True
    if get_origin(hint) in (Union, types.UnionType, list, dict, tuple):
        return all(_is_plain(part) for part in get_args(hint))
    return hint in _PLAIN


def source_file(made: Any) -> str | None:
    try:
        return inspect.getsourcefile(made)
    except TypeError:
        return None


def place(made: Any) -> str:
    """`my.py:7`, where something of the user's begins."""
    file = source_file(made)
    try:
        line = inspect.getsourcelines(made)[1]
    except (OSError, TypeError):
        return file or repr(made)
    return f"{file}:{line}"


@contextlib.contextmanager
def faults_of(file: str | None, begins: str | None = None) -> Iterator[None]:
    """What the user's code raises, as one sentence with the line of theirs that led to it."""
    try:
        yield
    except FtuneError:
        raise
    except SyntaxError as error:
        where = f"{error.filename}:{error.lineno}"
        raise RequestError(f"{where}: {type(error).__name__}: {error.msg}") from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        mine = [frame for frame in frames if file and Path(frame.filename) == Path(file)]
        at = f"{mine[-1].filename}:{mine[-1].lineno}" if mine else begins or str(file)
        raise RequestError(f"{at}: {type(error).__name__}: {error}") from error


def faults_in(made: Any) -> contextlib.AbstractContextManager[None]:
    """The same for code that the user registered."""
    return faults_of(source_file(made), place(made))
