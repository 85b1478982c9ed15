"""What is wrong with the lines of a JSON file, found before or after Arrow parses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ftune.data.row_report import RowReport
from ftune.data.sources.arrow import MOST_COLUMNS, check_width
from ftune.data.sources.json_rows import lines
from ftune.data.sources.stream import check_size
from ftune.errors import DataError
from ftune.security.limits.documents import MOST_LEVELS, keys, nesting


def one_object(path: str) -> str:
    """What is said of a file of one object whose values are lists or objects: columns, not rows.

    Empty where that is not what it holds.
    """

    try:
        item = json.loads(b"".join(lines(path)))
    except ValueError:
        return ""
    if not isinstance(item, dict) or not all(isinstance(v, list | dict) for v in item.values()):
        return ""
    return (
        f"{path}: holds one object ({', '.join(list(item)[:5])}) with all rows in it; write an"
        ' array of objects, or one object a line (pandas: to_json(path, orient="records"))'
    )


def check_claims(file: Path) -> None:
    """What would end Arrow's parser, and the process with it: deep nesting, and no object at all.

    An object may go over several lines; `depth` is what is open where a line begins.
    """

    check_size(file)
    depth = 0
    for number, line in enumerate(lines(file), 1):
        begun, ended = (line.count(a) + line.count(b) for a, b in ((b"[", b"{"), (b"]", b"}")))
        if not depth and b"{" not in line and line.strip():
            check_lines(file)
            raise DataError(f"{file}: line {number:,}: not a JSON object; write one a line")
        if depth or begun != ended or begun > MOST_LEVELS:
            deepest, left = nesting(line)
            if depth + deepest > MOST_LEVELS:
                raise DataError(
                    f"{file}: line {number:,}: nested deeper than {MOST_LEVELS} levels; flatten"
                )
            depth = max(0, depth + left)
        if line.count(b":") > MOST_COLUMNS:
            check_width(f"{file}: line {number:,}", keys(line))


def check_lines(file: Path) -> None:
    """Raises DataError for the first fault of the lines, if there is one."""
    for fault in line_faults(file):
        raise DataError(fault)


def line_faults(file: Path) -> list[str]:
    """Which lines are not JSON objects, and which columns change their type; holds one line."""

    bad, odd, kinds = RowReport(), RowReport(), dict[str, dict[str, RowReport]]()
    for number, line in enumerate((text for text in lines(file) if text.strip()), 1):
        try:
            item = json.loads(line)
            if not isinstance(item, dict):
                raise ValueError
        except UnicodeDecodeError:
            odd.add([number])
            continue
        except ValueError:
            bad.add([number])
            continue
        for key, value in item.items():
            kinds.setdefault(key, {}).setdefault(_json_kind(value), RowReport()).add([number])
    faults = [f"{file}: {bad.said}: not a JSON object; write one object a line"] if bad else []
    faults += [f"{file}: {odd.said}: not UTF-8; save the file as UTF-8"] if odd else []
    for key, rows_of_kind in kinds.items():
        rows_of_kind.pop("null", None)
        if len(rows_of_kind) > 1:
            shown = "; ".join(f"{kind} in {rows.said}" for kind, rows in rows_of_kind.items())
            faults.append(
                f"{file}: column `{key}` holds values of several types: {shown}; use one type"
            )
    return faults


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "null" if value is None else "list" if isinstance(value, list) else "object"
