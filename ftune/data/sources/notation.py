"""How numbers are written: decimal point, what parts the thousands, a sign beside the digits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from ftune.data.sources.files import TableFile

SPACE = r"[\s\p{Zs}]*"
ALIKE = {" ": r"[ \x{a0}\x{2009}\x{202f}]", "'": r"['\x{2019}]"}
"""What is written for one another between thousands."""
POINTS = (".", ",")
THOUSANDS = ("", ",", ".", " ", "'")
CODES = (
    "USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|TRY|RUB|KRW|SGD"
    r"|HKD|kr|zł|Fr\.|R\$|US\$|Rs|Rs\."
)
BRACKETS = "()"
"""What stands around numbers below 0 in accounts, as a sign."""
SIGN = re.compile(rf"\(\)|[%‰$¢-¥₠-⃀฿]|{CODES}")
"""What is taken for a sign without being told: a share, or a currency."""


@dataclass(frozen=True)
class Notation:
    """decimal: before the fraction. thousands: between groups of digits. sign: before or after."""

    decimal: str = "."
    thousands: str = ""
    sign: str = ""

    @property
    def pattern(self) -> str:
        """A number without its sign and without spaces around, for RE2."""
        point, gap = re.escape(self.decimal), self.gap
        whole = rf"(\d+|\d{{1,3}}({gap}\d{{2,3}})*{gap}\d{{3}})" if gap else r"\d+"
        digits = rf"({whole}({point}\d*)?|{point}\d+)([eE][-+]?\d+)?"
        return rf"[-+]?({digits}|(?i:inf(inity)?))"

    @property
    def gap(self) -> str:
        return ALIKE.get(self.thousands, re.escape(self.thousands))

    def numbers(self, texts: pa.Array) -> pa.Array:
        """[rows] float64 of distinct `texts`; null where one is not written so."""
        bare = pc.utf8_trim_whitespace(texts)
        if self.sign == BRACKETS:
            bare = pc.replace_substring_regex(bare, rf"^\(({self.pattern})\)$", r"-\1")
        elif self.sign:
            sign = f"(?:{re.escape(self.sign)})?"
            around = rf"^([-+]?){SPACE}{sign}{SPACE}({self.pattern}){SPACE}{sign}$"
            bare = pc.replace_substring_regex(bare, around, r"\1\2")
        good = pc.match_substring_regex(bare, f"^{self.pattern}$")
        digits = pc.if_else(good, bare, pa.scalar(None, pa.string()))
        if self.thousands:
            digits = pc.replace_substring_regex(digits, self.gap, "")
        return pc.cast(pc.replace_substring(digits, self.decimal, "."), pa.float64())

    def settings(self, usual: Notation, column: str) -> dict[str, Any]:
        """What has to be written where `usual` is set: {"decimal": ","}."""
        names = ("decimal", "thousands")
        own = {n: getattr(self, n) for n in names}
        changed: dict[str, Any] = {n: v for n, v in own.items() if v and v != getattr(usual, n)}
        if usual.thousands and not self.thousands:
            changed["thousands"] = None
        return changed | ({"types": {column: {"number": self.sign}}} if self.sign else {})


def spelled(settings: Mapping[str, Any]) -> str:
    """Settings as they are written: `decimal: ","` and `types: {c: {number: "%"}}`."""
    return " and ".join(f"`{name}: {_spelled(value)}`" for name, value in settings.items())


def _spelled(value: Any) -> str:
    if isinstance(value, dict):
        ((name, inner),) = value.items()
        return f"{{{name}: {inner if inner == 'date' else _spelled(inner)}}}"
    return "null" if value is None else f'"{value}"'


def notation_of(source: TableFile, column: str = "") -> Notation:
    """The one that is set; with the sign that `types` gives the column."""
    declared = source.types.get(column)
    sign = declared.get("number", "") if isinstance(declared, dict) else ""
    return Notation(source.point, source.thousands or "", sign)


def readings(texts: pa.Array, counts: pa.Array, usual: Notation, least: float) -> list[Notation]:
    """The notations in which more of the texts are numbers than in the usual, at least that share.

    texts: distinct, with how many rows have each. Without those that say more than is needed.
    """
    best = share(texts, counts, usual)
    sign = common_sign(texts, counts)
    fitting: list[Notation] = []
    for other in _others(replace(usual, sign=sign)):
        if any(_within(plain, other, usual) for plain in fitting):
            continue
        part = share(texts, counts, other)
        if part >= least and part > best:
            fitting.append(other)
    return fitting


def _others(usual: Notation) -> Iterator[Notation]:
    """Those with one setting changed first."""
    every = [
        replace(usual, decimal=point, thousands=gap)
        for point in POINTS
        for gap in THOUSANDS
        if gap != point
    ]
    yield from sorted(
        every,
        key=lambda n: (n.decimal != usual.decimal) + (n.thousands != usual.thousands),
    )


def _within(plain: Notation, other: Notation, usual: Notation) -> bool:
    """Whether `other` changes what `plain` changes, and more."""
    pairs = [
        (getattr(plain, n), getattr(other, n), getattr(usual, n)) for n in ("decimal", "thousands")
    ]
    return all(ours in (theirs, set_) for ours, theirs, set_ in pairs)


def share(texts: pa.Array, counts: pa.Array, notation: Notation) -> float:
    """Of the rows, how many are numbers so."""
    rows = pc.sum(counts).as_py() or 0
    good = pc.is_valid(notation.numbers(texts))
    return (pc.sum(pc.filter(counts, good)).as_py() or 0) / rows if rows else 0.0


def common_sign(texts: pa.Array, counts: pa.Array) -> str:
    """The percent or currency sign that most rows have beside their digits; brackets around some
    of them; else nothing."""
    rest = pc.replace_substring_regex(texts, r"[\d\s\p{Zs}+\-.,'\x{2019}]", "")
    sums = pa.table({"rest": _dotted(rest, texts), "rows": counts}).group_by("rest")
    totals = sums.aggregate([("rows", "sum")]).sort_by([("rows_sum", "descending")])
    rests = [rest or "" for rest in totals["rest"].to_pylist()] or [""]
    most = BRACKETS if {*rests} == {"", BRACKETS} else rests[0]
    return most if SIGN.fullmatch(most) else ""


def _dotted(rest: pa.Array, texts: pa.Array) -> pa.Array:
    """`Fr.` and `Rs.` end with a point of their own."""
    for name in ("Fr", "Rs"):
        dotted = pc.and_(pc.equal(rest, name), pc.match_substring(texts, f"{name}."))
        rest = pc.if_else(dotted, f"{name}.", rest)
    return rest
