"""What `data.split` asks of files that are given as they are: nothing is divided, so it is checked.

A group on both sides, or a training row later than the rows that judge, is what the setting is
there to prevent, whoever made the files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

from ftune.data.frame import Frame, label_text
from ftune.data.splits import group_names, ordering
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Split


def check_apart(parts: Mapping[str, Frame], how: Split) -> None:
    """Raises DataError where given files share a group or overlap in time; one file never does."""
    if how.stratify and "val" in parts:
        raise DataError(nothing_to_divide(parts["val"].origin))
    for earlier, later in combinations(parts.values(), 2):
        if how.group:
            names = [set(group_names(frame, how.group)) for frame in (earlier, later)]
            if fault := shared(earlier.origin, later.origin, how.group, names[0] & names[1]):
                raise DataError(fault)
        if how.time:
            _check_order(earlier, later, how.time)


def nothing_to_divide(origin: str) -> str:
    return (
        f"{origin}: data.split.stratify: the validation file is given, so nothing is divided; leave"
        " `stratify` out"
    )


def shared(first: str, second: str, column: str, names: Collection[str]) -> str:
    """What is said of groups that stand in both files; empty where there are none."""
    if not names:
        return ""
    shown = ", ".join(f"`{name}`" for name in sorted(names)[:5]) + (" …" if len(names) > 5 else "")
    values = "1 value" if len(names) == 1 else f"{len(names):,} values"
    are = "is" if len(names) == 1 else "are"
    return (
        f"{second}: data.split.group: {values} of `{column}` ({shown}) {are} in {first} too, so"
        " their rows stand on both sides; keep each in one file, or leave `group` out and"
        f" `drop: [{column}]`"
    )


def _check_order(earlier: Frame, later: Frame, column: str) -> None:
    last, first = ordering(earlier, column).max(), ordering(later, column).min()
    if last > first:
        raise DataError(
            f"{later.origin}: data.split.time: `{column}` begins at {label_text(first)}, before the"
            f" last of {earlier.origin} ({label_text(last)}); divide the files by time, or leave"
            " `time` out"
        )
