"""What the file sources share: one file, or one for each part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.sources.source import Source
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


def files_of(path: str | dict[str, str]) -> dict[str, str]:
    """Return the files by part, in the order of the parts."""
    return {"all": path} if isinstance(path, str) else {p: path[p] for p in PARTS if p in path}


class FileSource(Source):
    """What is read from one path, or from one for each part."""

    path: str | dict[str, str]

    def __post_init__(self) -> None:
        check_path(self.path)

    @property
    def part_files(self) -> dict[str, str]:
        return files_of(self.path)


@dataclass(frozen=True)
class TableFile(FileSource):
    """What files with texts among their values have in common: how those are written."""

    path: str | dict[str, str] = setting(path=True, exact=False, fact="trial")
    """The file; or one for each part: {train: a.csv, val: b.csv, test: c.csv}."""
    types: dict[str, Any] = setting({}, open=True, fact="layout")
    """What a column is, where the file alone would mislead: number, text or date by its name; with
    how it is written `{date: "%d/%m/%Y"}`, or the sign or unit beside its numbers, `{number: "%"}`,
    `{number: "kg"}`; `{number: "()"}`: numbers in brackets are below 0."""
    decimal: Literal[".", ","] | None = setting(None, fact="layout")
    """What stands before the fraction of a number, a point or a comma; null: a point."""
    thousands: str | None = setting(None, fact="layout")
    """What stands between the thousands of a number: one of , . ' or a space; null: nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.thousands is not None and (
            self.thousands not in (",", ".", "'", " ") or self.thousands == self.point
        ):
            message = f"`{self.thousands}`: expected a comma, a point, ' or a space"
            raise SettingError("thousands", f"{message}, and not that of `decimal`")
        for column, kind in self.types.items():
            if fault := fault_in(kind):
                raise SettingError("types", f"`{column}: {kind}`: {fault}")

    @property
    def declared_types(self) -> dict[str, Any]:
        return self.types

    @property
    def point(self) -> str:
        return self.decimal or "."


def read_parts(path: str | dict[str, str], read: Callable[[str], Frame]) -> dict[str, Frame]:
    """`{"all": frame}` for one file, else a Frame for each part that has a file."""
    return {part: read(file) for part, file in files_of(path).items()}
