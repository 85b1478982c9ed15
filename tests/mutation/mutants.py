"""The mutants of a source file: where each stands, what it reads, and its code."""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from mutation.changes import UNSEEN, alternatives

WIDTH = 100
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.ClassDef)
# Types, error texts and decorators are not mutated, nor what runs for type checkers alone.
PASSED_OVER = ("annotation", "returns", "decorator_list", "bases", "type_params", "exc")
PASSED_KINDS = (ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Assert)


@dataclass(frozen=True)
class Mutant:
    """One fault. file: from the repository's root. scope: `Class.method`, or empty at the top.

    lines: first and last of its statement's own lines. live: it lies in a function's body, so
    that the loaded function can be changed; else the module must be imported anew. scope_hash: of
    the text of the function, or of the file where it lies in none.
    """

    file: str
    scope: str
    lines: tuple[int, int]
    before: str
    after: str
    live: bool
    scope_hash: str
    number: int

    @property
    def key(self) -> str:
        """The same as long as its function reads the same."""
        parts = (self.file, self.scope, self.before, self.after, self.scope_hash, str(self.number))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]

    def __str__(self) -> str:
        return f"{self.file}:{self.lines[0]}: {self.before} → {self.after}"


@dataclass
class _Scope:
    """Where a walk stands. known: names that are bound in the function so far."""

    names: tuple[str, ...] = ()
    live: bool = False
    text: str = ""
    known: set[str] = field(default_factory=set)
    statement: ast.stmt | None = None


@dataclass(frozen=True)
class _Site:
    parent: ast.AST
    slot: str
    at: int | None
    node: ast.AST
    scope: _Scope

    def put(self, node: ast.AST) -> None:
        if self.at is None:
            setattr(self.parent, self.slot, node)
        else:
            getattr(self.parent, self.slot)[self.at] = node


class Source:
    """A file's text, its tree and its mutants."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self._text, self._tree = file, text, ast.parse(text)
        self._planted: dict[str, tuple[_Site, ast.AST]] = {}
        self._alike: dict[tuple[str, ...], list[Mutant]] = {}
        self.mutants: list[Mutant] = []
        for site in _sites(self._tree, _Scope(text=text), text):
            self._add(site)

    def _add(self, site: _Site) -> None:
        for new in alternatives(site.node):
            if isinstance(new, ast.Pass) and not _may_go(site):
                continue
            if site.slot == "context_expr" and not isinstance(new, ast.Call):
                continue  # nothing that `with` could enter
            _locate(new, site.node)
            before, after = self._reads(site, new)
            lines = _lines(site.scope.statement or site.node)
            name = ".".join(site.scope.names)
            alike = self._alike.setdefault((name, before, after), [])
            if before == after or any(mutant.lines == lines for mutant in alike):
                continue
            scope_hash = _hash(site.scope.text)
            mutant = Mutant(
                self.file, name, lines, before, after, site.scope.live, scope_hash, len(alike)
            )
            alike.append(mutant)
            self.mutants.append(mutant)
            self._planted[mutant.key] = site, new

    def _reads(self, site: _Site, new: ast.AST) -> tuple[str, str]:
        statement = site.scope.statement
        if statement is None or statement is site.node:
            return _shown(_header(site.node), _header(new))
        before = _header(statement)
        with _planted(site, new):
            return _shown(before, _header(statement))

    def text(self, mutant: Mutant) -> str:
        """The file with the fault, without its comments."""
        with _planted(*self._planted[mutant.key]):
            return ast.unparse(ast.fix_missing_locations(self._tree))

    def code(self, mutant: Mutant, name: str) -> CodeType:
        """The module's code with the fault, as if compiled from the file `name`."""
        with _planted(*self._planted[mutant.key]):
            tree = ast.fix_missing_locations(self._tree)
            return compile(tree, name, "exec", dont_inherit=True)


@contextmanager
def _planted(site: _Site, new: ast.AST) -> Iterator[None]:
    site.put(new)
    try:
        yield
    finally:
        site.put(site.node)


def _sites(node: ast.AST, scope: _Scope, text: str) -> Iterator[_Site]:
    """Every node that may be changed, outer ones first."""
    for slot, value in list(ast.iter_fields(node)):
        if slot in PASSED_OVER:
            continue
        for at, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or _passed_over(child, scope):
                continue
            within = _within(node, slot, child, scope)
            yield _Site(node, slot, at, child, within)
            yield from _sites(child, _entered(child, within, text), text)
            scope.known |= _bound(child)


def _within(node: ast.AST, slot: str, child: ast.AST, scope: _Scope) -> _Scope:
    """The scope in which a child stands: the bodies of functions are live, defaults are not."""
    inside = isinstance(node, FUNCTIONS) and slot == "body"
    statement = child if isinstance(child, ast.stmt) else scope.statement
    return _Scope(scope.names, scope.live or inside, scope.text, scope.known, statement)


def _entered(node: ast.AST, scope: _Scope, text: str) -> _Scope:
    if not isinstance(node, SCOPES):
        return scope
    own = ast.get_source_segment(text, node) or ""
    if isinstance(node, ast.ClassDef):
        return _Scope((*scope.names, node.name), scope.live, scope.text, set(), node)
    known = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
    hashed = scope.text if scope.live else own
    return _Scope((*scope.names, node.name), scope.live, hashed, known, node)


def _passed_over(node: ast.AST, scope: _Scope) -> bool:
    if isinstance(node, PASSED_KINDS) or (isinstance(node, ast.keyword) and node.arg in UNSEEN):
        return True
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return True
    if isinstance(node, ast.ClassDef):
        return any("Protocol" in ast.unparse(base) for base in node.bases)
    alias = isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp)
    if alias and not scope.names and isinstance(node, ast.Assign):
        return not any(isinstance(part, ast.Constant | ast.Call) for part in ast.walk(node.value))
    return False


def _may_go(site: _Site) -> bool:
    """Whether the loss of a statement is a fault that does not stop the program at once."""
    node, scope = site.node, site.scope
    if not isinstance(node, ast.Assign):
        return scope.live
    target = node.targets[0]
    if isinstance(target, ast.Name):
        return scope.live and target.id in scope.known
    if isinstance(target, ast.Attribute):
        return scope.live and scope.names[-1] not in ("__init__", "__post_init__")
    return scope.live and isinstance(target, ast.Subscript)


def _bound(node: ast.AST) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {
        part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)
    }


def _lines(node: Any) -> tuple[int, int]:
    """The lines of a statement itself, without those of the statements in it."""
    first, last = node.lineno, node.end_lineno
    body = getattr(node, "body", None)
    if isinstance(body, list) and body:
        last = max(first, body[0].lineno - 1)
    return first, last


def _header(node: ast.AST) -> str:
    """A statement in one line, without the statements in it."""
    if isinstance(node, ast.comprehension):
        return ast.unparse(node).strip()
    if isinstance(getattr(node, "body", None), list):
        node = copy.copy(node)
        empty = {"body": [ast.Pass()], "orelse": [], "handlers": []}
        for name, value in empty.items():
            if hasattr(node, name):
                setattr(node, name, value)
        if isinstance(node, ast.Try):
            return "try:"
    shown = ast.unparse(ast.fix_missing_locations(node))
    return " ".join(shown.removesuffix("pass").split()) if shown != "pass" else shown


def _shown(before: str, after: str) -> tuple[str, str]:
    """Both, cut down to what surrounds the difference where they are long."""
    if max(len(before), len(after)) <= WIDTH:
        return before, after
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    around = WIDTH // 3
    left, right = max(0, start - around), max(0, end - around)
    return _cut(before, left, right), _cut(after, left, right)


def _cut(text: str, left: int, right: int) -> str:
    inner = text[left : len(text) - right]
    return f"{'…' if left else ''}{inner}{'…' if right else ''}"


def _locate(new: ast.AST, old: ast.AST) -> None:
    if "lineno" in new._attributes and not hasattr(new, "lineno") and hasattr(old, "lineno"):
        ast.copy_location(new, old)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
