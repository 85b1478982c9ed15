"""One column in a line: what it is, its gaps, its range or its most frequent values."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ftune.data.frame import Array, Frame, label_text
from ftune.data.target import tags_of

SHOWN = 5
LONG = 40
"""Texts of so many characters on average are sentences, not categories."""
LABELS = "labels"
FEW = 20
"""From so many rows on, values that are all different say something."""
IDENTIFIES = re.compile(r"(^|_)(id|ids|uuid|guid|key|index|idx|nr|no|row|number)$|Id$|ID$")


@dataclass(frozen=True)
class Column:
    """What is said of a column.

    holds: number, text, date, array or labels. role: input, target, group, or why it is none. top:
    the most frequent values with their rows, of texts and classes. remarks: constant, id-like, …
    """

    name: str
    holds: str
    role: str = "input"
    gaps: int = 0
    distinct: int | None = None
    low: str | float | None = None
    high: str | float | None = None
    top: list[tuple[str, int]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def column_of(
    frame: Frame, name: str, role: str, classes: bool = False, separator: str | None = None
) -> Column:
    """What a column of a frame holds; `classes`: its values are classes, numbers or not.

    separator: what stands between the tags of a row, each of which is a label.
    """
    kind = frame.kind(name)
    if separator:
        return _of_tags(tags_of(frame, name, separator), name, role)
    if kind == "array":
        shape = "×".join(map(str, frame[name].shape[1:]))
        return Column(name, f"array of {shape}", role, int(frame.missing(name).sum()))
    if kind in ("sequence", "image"):
        return Column(name, _of_objects(frame[name], kind), role)
    if kind == "text" or classes:
        return _of_values(frame[name], name, kind, role, classes)
    return _of_range(frame[name], name, kind, role)


def _of_objects(column: Array, kind: str) -> str:
    """`sequence of 12 to 40 × 3`, `image of 28×28`."""
    if kind == "image":
        sizes = {picture.pixels.shape[:2] for picture in column}
        return f"image of {'×'.join(map(str, max(sizes)))}{' and others' * (len(sizes) > 1)}"
    low, high = min(map(len, column)), max(map(len, column))
    steps = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    width = column[0].shape[1]
    return f"sequence of {steps}{f' × {width}' if width > 1 else ''}"


def shortened(text: str, most: int) -> str:
    """At most so many characters, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _of_values(column: Array, name: str, kind: str, role: str, classes: bool) -> Column:
    values = pa.array(column, from_pandas=True)
    counts = pc.value_counts(values.drop_null())
    order = np.argsort(-np.asarray(counts.field("counts")), kind="stable")
    names, rows = counts.field("values"), counts.field("counts")
    top = [(label_text(names[int(i)].as_py()), rows[int(i)].as_py()) for i in order[:SHOWN]]
    known, remarks = len(values) - values.null_count, []
    if known and len(counts) == 1:
        remarks = ["constant"]
    elif not classes and kind == "text" and _average_length(values) >= LONG:
        remarks = ["free text"]
    elif not classes and known >= FEW and len(counts) == known:
        remarks = ["id-like: every value once"]
    if not known:
        remarks = ["empty"]
    return Column(name, kind, role, values.null_count, len(counts), top=top, remarks=remarks)


def _of_tags(rows: list[list[str]], name: str, role: str) -> Column:
    """Labels with the rows that have each; a row without any is no gap."""
    counts = Counter(tag for tags in rows for tag in dict.fromkeys(tags))
    top = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:SHOWN]
    bare = sum(not tags for tags in rows)
    remarks = [f"{bare:,} rows have none"] if bare else []
    return Column(name, LABELS, role, 0, len(counts), top=top, remarks=remarks)


def _average_length(texts: pa.Array) -> float:
    return float(pc.mean(pc.utf8_length(texts)).as_py() or 0)


def _of_range(column: Array, name: str, kind: str, role: str) -> Column:
    gaps = np.isnat(column) if kind == "date" else np.isnan(column.astype(np.float64, copy=False))
    known = column[~gaps]
    count = int(gaps.sum())
    if not len(known):
        return Column(name, kind, role, count, 0, remarks=["empty"])
    low, high = known.min(), known.max()
    remarks = ["constant"] if low == high else []
    if kind == "number" and role == "input" and _names_rows(known, name):
        remarks.append("id-like: every value once")
    return Column(name, kind, role, count, None, _end(low), _end(high), remarks=remarks)


def _end(value: Any) -> str | float:
    if isinstance(value, np.datetime64):
        return str(value).removesuffix("T00:00:00")
    return float(value)


def _names_rows(known: Array, name: str) -> bool:
    """Whole numbers of which none comes twice, and which count the rows or are called so."""
    if len(known) < FEW or (np.floor(known) != known).any():
        return False
    dense = known.max() - known.min() < 2 * len(known)
    return bool((dense or IDENTIFIES.search(name)) and len(np.unique(known)) == len(known))
