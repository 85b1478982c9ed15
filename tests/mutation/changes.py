"""The small faults that can be planted in a syntax tree: what each node may turn into."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

OPPOSITES: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.And: (ast.Or,), ast.Or: (ast.And,),
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,), ast.Mod: (ast.Mult,), ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,),
}  # fmt: skip
TWINS = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Calls whose loss stops the program at once, or changes nothing that a CPU can show.
PLAIN = frozenset((
    "bool", "cast", "contiguous", "cpu", "cuda", "enumerate", "float", "int", "items", "iter",
    "keys", "len", "range", "repr", "setting", "str", "super", "tolist", "type", "values",
))  # fmt: skip
# Their two arguments mean the same either way round, or can only be given one way.
SYMMETRIC = frozenset((
    "equal", "gcd", "getattr", "hasattr", "isclose", "isinstance", "issubclass", "max",
    "maximum", "min", "minimum", "range", "setattr",
))  # fmt: skip
# Keywords that move work elsewhere without changing a number, or guard against a programmer.
UNSEEN = frozenset((
    "device", "dtype", "maxsize", "non_blocking", "pin_memory", "stacklevel", "strict",
))  # fmt: skip
TEXT = (ast.JoinedStr, ast.List, ast.ListComp, ast.Dict)


def alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of one node; its children are left as they are."""
    for kinds, make in PLANTS:
        if isinstance(node, kinds):
            yield from make(node)


def _with(node: Any, **fields: Any) -> Any:
    """A copy of a node with other children."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _comparison(node: ast.Compare) -> Iterator[ast.AST]:
    for at, operator in enumerate(node.ops):
        for other in OPPOSITES[type(operator)]:
            yield _with(node, ops=[*node.ops[:at], other(), *node.ops[at + 1 :]])


def _operation(node: ast.BinOp | ast.BoolOp | ast.AugAssign) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp) and any(_is_text(side) for side in (node.left, node.right)):
        return
    for other in OPPOSITES.get(type(node.op), ()):
        yield _with(node, op=other())


def _sign(node: ast.UnaryOp) -> Iterator[ast.AST]:
    if isinstance(node.op, ast.Not | ast.USub):
        yield node.operand


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    if isinstance(node.value, bool):
        yield _with(node, value=not node.value)
    elif isinstance(node.value, int | float):
        yield _with(node, value=node.value + 1)
        yield _with(node, value=node.value - 1)


def _choice(node: ast.If | ast.While | ast.IfExp) -> Iterator[ast.AST]:
    if not _turned_elsewhere(node.test):
        yield _with(node, test=_negated(node.test))


def _filter(node: ast.comprehension) -> Iterator[ast.AST]:
    for at, test in enumerate(node.ifs):
        rest = [*node.ifs[:at], *node.ifs[at + 1 :]]
        yield _with(node, ifs=rest)
        if not _turned_elsewhere(test):
            yield _with(node, ifs=[*rest, _negated(test)])


def _result(node: ast.Return) -> Iterator[ast.AST]:
    if node.value is not None and not isinstance(node.value, ast.Constant):
        yield _with(node, value=ast.Constant(None))


def _augmented(node: ast.AugAssign) -> Iterator[ast.AST]:
    yield ast.Assign(targets=[node.target], value=node.value)
    yield ast.Pass()


def _statement(node: ast.stmt) -> Iterator[ast.AST]:
    """Left out; which assignments may be is decided by `mutants`, which knows what came before."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        yield ast.Pass()
    if isinstance(node, ast.Continue):
        yield ast.Break()


def _block(node: ast.With) -> Iterator[ast.AST]:
    if all(item.optional_vars is None for item in node.items):
        yield ast.If(test=ast.Constant(True), body=node.body, orelse=[])


def _decorated(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """Without what keeps gradients away; the other decorators make what their callers expect."""
    for at, decorator in enumerate(node.decorator_list):
        if "no_grad" in ast.unparse(decorator):
            rest = [*node.decorator_list[:at], *node.decorator_list[at + 1 :]]
            yield _with(node, decorator_list=rest)


def _call(node: ast.Call) -> Iterator[ast.AST]:
    name = _name(node.func)
    for at, keyword in enumerate(node.keywords):
        if keyword.arg not in UNSEEN:
            yield _with(node, keywords=[*node.keywords[:at], *node.keywords[at + 1 :]])
    if name in TWINS and isinstance(node.func, ast.Name):
        yield _with(node, func=ast.Name(TWINS[name], ast.Load()))
    plain = not any(isinstance(argument, ast.Starred) for argument in node.args)
    if len(node.args) >= 2 and plain and name not in SYMMETRIC:
        first, second, *rest = node.args
        yield _with(node, args=[second, first, *rest])
    if name in PLAIN or name[:1].isupper() or node.keywords or not plain:
        return
    if len(node.args) == 1 and isinstance(node.func, ast.Name):
        yield node.args[0]
    if not node.args and isinstance(node.func, ast.Attribute):
        yield node.func.value


def _bounds(node: ast.Slice) -> Iterator[ast.AST]:
    """One further; bounds that are numbers change as numbers do."""
    for side in ("lower", "upper"):
        bound = getattr(node, side)
        if bound is not None and not isinstance(bound, ast.Constant | ast.UnaryOp):
            yield _with(node, **{side: ast.BinOp(bound, ast.Add(), ast.Constant(1))})


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, TEXT) or (isinstance(node, ast.Constant) and type(node.value) is str)


def _turned_elsewhere(test: ast.expr) -> bool:
    """Whether its negation is among the changes of the condition itself."""
    single = isinstance(test, ast.Compare) and len(test.ops) == 1
    return single or (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not))


def _negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _name(function: ast.expr) -> str:
    """The last part of what is called; empty for what has no name."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


Plant = Callable[[Any], Iterator[ast.AST]]
LEFT_OUT = (ast.Expr, ast.Assign, ast.Raise, ast.Continue, ast.Break)
PLANTS: tuple[tuple[Any, Plant], ...] = (
    (ast.Compare, _comparison),
    ((ast.BinOp, ast.BoolOp, ast.AugAssign), _operation),
    (ast.UnaryOp, _sign),
    (ast.Constant, _constant),
    ((ast.If, ast.While, ast.IfExp), _choice),
    (ast.comprehension, _filter),
    (ast.Return, _result),
    (ast.AugAssign, _augmented),
    (LEFT_OUT, _statement),
    (ast.With, _block),
    (ast.FunctionDef, _decorated),
    (ast.Call, _call),
    (ast.Slice, _bounds),
)
