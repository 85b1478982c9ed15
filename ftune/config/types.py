"""Plain values against their annotations: OmegaConf converts and refuses, we say what we want."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from typing import Any, Literal, Union, get_args, get_origin

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ftune.config.fields import Spec

_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Any: "any value",
}
_NUMBERS = (int, float, int | float)


class WrongValueError(ValueError):
    """A value that its setting does not accept; the message says what it does accept."""


def convert(value: Any, hint: Any, spec: Spec) -> Any:
    """`value` as `hint` asks, within the bounds of `spec`. Raises WrongValueError."""
    if value is None and accepts_none(hint):
        return None
    if isinstance(value, str) and value in spec.words:
        return value
    wanted = without_words(hint)
    expected = describe(hint, spec)
    if wanted == list[str] and isinstance(value, str):  # one name is a list of one
        value = [value]
    mistyped = isinstance(value, bool) and wanted in _NUMBERS  # OmegaConf would convert these
    mistyped |= isinstance(value, str) and wanted in (*_NUMBERS, bool)
    if value is None or mistyped:
        raise WrongValueError(f"expected {expected}")
    try:
        box = OmegaConf.structured(_box(wanted))
        OmegaConf.update(box, "value", value)
        result = OmegaConf.to_container(box)["value"]  # type: ignore[index, call-overload]
    except (OmegaConfBaseException, ValueError, OverflowError):
        raise WrongValueError(f"expected {expected}") from None
    if get_origin(wanted) is tuple and len(result) != len(get_args(wanted)):
        raise WrongValueError(f"expected {expected}")
    _check_bounds(result, spec, expected)
    return tuple(result) if get_origin(wanted) is tuple else result


def describe(hint: Any, spec: Spec) -> str:
    """What a setting accepts, in words: `a number above 0, or auto`."""
    text = _describe_type(without_words(hint))
    bounds = [
        f"{word} {limit:g}"
        for word, limit in (
            ("above", spec.above), ("at least", spec.at_least),
            ("below", spec.below), ("at most", spec.at_most),
        )
        if limit is not None
    ]  # fmt: skip
    text = " ".join([text, " and ".join(bounds)]).strip()
    others = [*spec.words, *(["null"] if accepts_none(hint) else [])]
    return f"{text}, or {' or '.join(others)}" if others else text


def accepts_none(hint: Any) -> bool:
    return hint is Any or type(None) in get_args(hint)


def _describe_type(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(str(a) for a in args)
    if origin is tuple:
        return f"a list of {len(args)}, each {_describe_type(args[0])}"
    if origin is list:
        return f"a list, each {_describe_type(args[0])}"
    if origin is dict:
        return f"a mapping to {_describe_type(args[1])}"
    if origin in (Union, types.UnionType):
        return " or ".join(_describe_type(a) for a in args if a is not type(None))
    return _NAMES.get(hint, str(hint))


def without_words(hint: Any) -> Any:
    """`float | Literal["auto"] | None` -> `float`: words and null are handled before the type."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    hints = [a for a in get_args(hint) if a is not type(None) and get_origin(a) is not Literal]
    if not hints:
        hints = [a for a in get_args(hint) if a is not type(None)]
    return functools.reduce(lambda a, b: a | b, hints)


@functools.cache
def _box(hint: Any) -> type:
    return dataclasses.make_dataclass("Box", [("value", hint, dataclasses.MISSING)])


def _check_bounds(value: Any, spec: Spec, expected: str) -> None:
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, bool) or not isinstance(item, int | float):
            continue
        outside = (
            not math.isfinite(item)
            or (spec.above is not None and item <= spec.above)
            or (spec.at_least is not None and item < spec.at_least)
            or (spec.below is not None and item >= spec.below)
            or (spec.at_most is not None and item > spec.at_most)
        )
        if outside:
            raise WrongValueError(f"expected {expected}")
