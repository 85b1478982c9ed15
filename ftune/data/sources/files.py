"""What the file sources share: one file, or one for each part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.sources.types import fault_in

if TYPE_CHECKING:
    from ftune.data.frame import Frame

PARTS = ("train", "val", "test")
PACKED = (".gz", ".bz2", ".zst")


def suffix(path: str | Path) -> str:
    """The extension that tells the format: `.csv` also of `t.csv.gz`."""
    name = Path(Path(path).name.lower())
    return (name.with_suffix("") if name.suffix in PACKED else name).suffix


def check_path(path: str | dict[str, str]) -> None:
    """Refuses a mapping of files with other parts than train, val and test, or without train."""
    if isinstance(path, dict):
        odd = [part for part in path if part not in PARTS]
        if odd == ["name"]:  # what one path becomes where a part is set beside it
            raise SettingError("path", "is one file; parts: `data.path={train: …, val: …}`")
        if odd or "train" not in path:
            wrong = f"`{odd[0]}` is not a part" if odd else "`train` is missing"
            raise SettingError(
                "path", f"{wrong}: one file, or a mapping of train and any of val, test"
            )


@dataclass(frozen=True)
class TableFile:
    """What files with texts among their values have in common: how those are written.

    typed: whether the file itself states what its columns hold.
    """

    typed: ClassVar[bool] = True

    path: str | dict[str, str] = setting(path=True, exact=False)
    """The file; or one for each part: {train: a.csv, val: b.csv, test: c.csv}."""
    types: dict[str, Any] = setting({}, open=True)
    """What a column is, where the file alone would mislead: number, text or date by its name; with
    how it is written `{date: "%d/%m/%Y"}`, or the sign or unit beside its numbers, `{number: "%"}`,
    `{number: "kg"}`; `{number: "()"}`: numbers in brackets are below 0."""
    decimal: Literal[".", ","] | None = setting(None)
    """What stands before the fraction of a number, a point or a comma; null: a point."""
    thousands: str | None = setting(None)
    """What stands between the thousands of a number: one of , . ' or a space; null: nothing."""

    def __post_init__(self) -> None:
        check_path(self.path)
        if self.thousands is not None and (
            self.thousands not in (",", ".", "'", " ") or self.thousands == self.point
        ):
            message = f"`{self.thousands}`: expected a comma, a point, ' or a space"
            raise SettingError("thousands", f"{message}, and not that of `decimal`")
        for column, kind in self.types.items():
            if fault := fault_in(kind):
                raise SettingError("types", f"`{column}: {kind}`: {fault}")

    @property
    def point(self) -> str:
        return self.decimal or "."


def read_parts(path: str | dict[str, str], read: Callable[[str], Frame]) -> dict[str, Frame]:
    """`{"all": frame}` for one file, else a Frame for each part that has a file."""
    if isinstance(path, str):
        return {"all": read(path)}
    return {part: read(path[part]) for part in PARTS if part in path}
