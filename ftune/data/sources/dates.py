"""How dates are written: the formats that are tried, and texts read by one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DAYS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%m.%d.%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%y/%m/%d", "%y-%m-%d",
    "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%d. %b %Y", "%a, %d %b %Y",
)  # fmt: skip
"""`%b` reads whole names of months too."""
CLOCK = re.compile(r"([ T])\d{1,2}:\d{2}(:\d{2})?( ?[AaPp][Mm])?\s*$")
ZONE = r"Z|[-+]\d{2}:?\d{2}"
SAMPLE = 50
RARE = 0.05
"""What fewer values are is no notation of a column."""
FIRST_YEAR = 1000
"""An earlier one is what `%Y` makes of a year of two digits."""


def dates(texts: pa.Array, written: str) -> pa.Array:
    """[rows] timestamp[s] of distinct `texts`; null where one is no date in this format."""
    bare = pc.utf8_trim_whitespace(texts)
    parsed = pc.strptime(bare, format=written, unit="s", error_is_null=True)
    if "%Y" in written:
        parsed = _only(pc.greater_equal(pc.year(parsed), FIRST_YEAR), parsed)
    # The C library makes the 31st of February the 3rd of March; only such days are looked at again.
    early = pc.fill_null(pc.less_equal(pc.day(parsed), 3), False).to_numpy(zero_copy_only=False)
    bad = [i for i in np.flatnonzero(early) if not _is_date(bare[int(i)].as_py(), written)]
    mask = np.ones(len(parsed), dtype=bool)
    mask[bad] = False
    return _only(pa.array(mask), parsed)


def _only(mask: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(mask, values, pa.scalar(None, values.type))


def _is_date(text: str, written: str) -> bool:
    try:
        datetime.strptime(text, written.replace("%T", "%H:%M:%S"))
    except ValueError:
        return False
    return True


def formats(texts: pa.Array, counts: pa.Array, least: float) -> list[str]:
    """The formats in which at least that share of the rows are dates; "" stands for ISO 8601.

    texts: distinct and not null, with how many rows have each.
    """
    sample, some = texts.slice(0, SAMPLE), counts.slice(0, SAMPLE)
    clock = _clock(sample)
    fitting = [day + clock for day in DAYS if _share(sample, some, day + clock) >= least / 2]
    return [written for written in (*fitting, "") if _share(texts, counts, written) >= least]


def notations(texts: Iterable[str | None]) -> list[str]:
    """An example of each notation, where only several together make nearly all of them dates."""
    values = pa.array([text for text in texts if text is not None], pa.string()).unique()
    ones = pa.array(np.ones(len(values), dtype=np.int64))
    rest, examples = values, list[str]()
    for written in formats(values, ones, RARE):
        is_date = pc.is_valid(dates(rest, written) if written else iso(rest))
        dated = rest.filter(is_date)
        if len(dated):
            examples.append(dated[0].as_py())
            rest = rest.filter(pc.invert(is_date))
    return examples if len(examples) > 1 and len(rest) <= RARE * len(values) else []


def _clock(sample: pa.Array) -> str:
    """How the time of day is written behind the dates; empty where most have none."""
    ends = [match for text in sample.to_pylist() if (match := CLOCK.search(text))]
    if 2 * len(ends) < len(sample):
        return ""
    gap, seconds, half = ends[0].groups()
    hours = ("%I:%M" if half else "%H:%M") + (":%S" if seconds else "")
    return gap + hours + ("" if not half else " %p" if half[0] == " " else "%p")


def _share(texts: pa.Array, counts: pa.Array, written: str) -> float:
    parsed = dates(texts, written) if written else iso(texts)
    rows = pc.sum(pc.filter(counts, pc.is_valid(parsed))).as_py() or 0
    return float(rows / (pc.sum(counts).as_py() or 1))


def iso(texts: pa.Array) -> pa.Array:
    """[rows] timestamp[s], UTC where a zone is written; null where one is no date of ISO 8601."""
    bare = pc.utf8_trim_whitespace(texts)
    clock = r"[ T]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?"
    good = pc.match_substring_regex(bare, rf"^\d{{4}}-\d{{2}}-\d{{2}}({clock}({ZONE})?)?$")
    days = dates(_only(good, pc.utf8_slice_codeunits(bare, 0, 10)), "%Y-%m-%d")
    whole = pc.replace_substring_regex(_only(pc.is_valid(days), bare), r"\.\d+", "")
    zoned = pc.fill_null(pc.match_substring_regex(whole, f"({ZONE})$"), False)
    there = pc.cast(_only(zoned, whole), pa.timestamp("s", "UTC"))
    here = pc.cast(_only(pc.invert(zoned), whole), pa.timestamp("s"))
    return pc.coalesce(here, pc.cast(there, pa.timestamp("s")))
