"""What the file sources share: one file, or one for each part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ftune.config.read import SettingError

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


def read_parts(path: str | dict[str, str], read: Callable[[str], Frame]) -> dict[str, Frame]:
    """`{"all": frame}` for one file, else a Frame for each part that has a file."""
    if isinstance(path, str):
        return {"all": read(path)}
    return {part: read(path[part]) for part in PARTS if part in path}
