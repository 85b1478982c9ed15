"""Digits that are names: zip codes, account numbers, codes that look like exponents."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pyarrow as pa
import pyarrow.compute as pc

LEAST_WIDTH = 4
"""Leading zeros at a smaller width are those of days and months."""
MOST_DIGITS = 15
"""So many are a float64 of their own, whatever they are."""
REASONS = {
    "zeros": "its values have leading zeros at one width",
    "long": f"it has whole numbers of more than {MOST_DIGITS} digits",
    "exponent": "each of its values is a digit, `e` and a digit",
}


def suspects(
    table: pa.Table, known: Collection[str], head: Callable[[list[str]], pa.Table]
) -> list[str]:
    """The columns of numbers that may turn out to be names, without the `known` ones.

    head: gives the first rows of columns as texts. Who looks at all of them reads the file again.
    """
    columns = zip(table.column_names, table.columns, strict=True)
    numbers = {n: c for n, c in columns if n not in known and _of_numbers(c)}
    if not numbers:
        return []
    first = head(list(numbers))
    return [name for name, column in numbers.items() if _suspect(column, first[name])]


def _of_numbers(column: pa.ChunkedArray) -> bool:
    kind = column.type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _suspect(column: pa.ChunkedArray, head: pa.ChunkedArray) -> bool:
    low, high = pc.min_max(column).as_py().values()
    if low is None:
        return False
    if max(abs(low), abs(high)) >= 10**MOST_DIGITS:
        return True
    first = pc.utf8_trim_whitespace(pc.drop_null(head))
    if pa.types.is_floating(column.type):
        return not len(first) or _every(first, _EXPONENT)
    widths = pc.unique(pc.utf8_length(first)).to_pylist()
    if len(widths) > 1 or low < 0:
        return False
    return not widths or (widths[0] >= LEAST_WIDTH and low < 10 ** (widths[0] - 1))


_EXPONENT = r"^\d[eE]\d$"


def reason(texts: pa.Array) -> str:
    """Which of REASONS makes names of distinct, known `texts` of a column of numbers; or none."""
    bare = pc.utf8_trim_whitespace(texts)
    if not _every(bare, r"^[-+]?\d+$"):
        return "exponent" if _every(bare, _EXPONENT) else ""
    widths = pc.unique(pc.utf8_length(bare))
    zeros = pc.any(pc.match_substring_regex(bare, r"^0\d")).as_py()
    if zeros and len(widths) == 1 and widths[0].as_py() >= LEAST_WIDTH and _every(bare, r"^\d+$"):
        return "zeros"
    long = pc.match_substring_regex(bare, rf"^[-+]?0*[1-9]\d{{{MOST_DIGITS}}}")
    return "long" if pc.any(long).as_py() else ""


def _every(texts: pa.Array, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(texts, pattern)).as_py() is True


def note(name: str, why: str, texts: pa.Array) -> str:
    """What is said of a column that is read as text, with a value that shows the reason."""
    pattern = {"zeros": r"^\s*0\d", "long": rf"\d{{{MOST_DIGITS + 1}}}"}.get(why, "e|E")
    example = pc.filter(texts, pc.match_substring_regex(texts, pattern))[0].as_py().strip()
    return (
        f"column `{name}`: read as text, as {REASONS[why]} (`{example[:40]}`);"
        f" `types: {{{name}: number}}` reads numbers."
    )
