"""Folders of images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ftune.config.fields import setting
from ftune.data.sources.files import PARTS, FileSource
from ftune.errors import AbsentDataError, DataError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftune.data.frame import Frame

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
TABLES = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "jsonl"}
FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
LITTER = ("thumbs.db", "desktop.ini", "__macosx")


@dataclass(frozen=True)
class Images(FileSource):
    """A folder for each class: `path/<class>/*.jpg`, or `path/{train,val,test}/<class>/*.jpg`.

    The column `image` is the path within the folder, `label` the name of the class's folder; rows
    are in the order of their names. Hidden files do not count.
    """

    kind: ClassVar[Literal["images"]] = "images"
    default_target: ClassVar[str | None] = "label"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    path: str | dict[str, str] = setting(path=True, exact=False, fact="trial")
    """The folder; or one for each part: {train: folder, val: folder, test: folder}."""

    def load(self) -> dict[str, Frame]:
        _require_pillow()
        if isinstance(self.path, dict):
            return {part: _classes(folder) for part, folder in self.part_files.items()}
        parts = _parts(_folder(self.path))
        if not parts:
            return {"all": _classes(self.path)}
        return {part: _classes(str(parts[part])) for part in PARTS if part in parts}

    def read(self, path: str, types: Mapping[str, Any] | None = None) -> Frame:
        """One image, a folder (with `label` where it holds classes), or a table of paths."""
        _require_pillow()
        place = Path(path)
        if place.suffix.lower() in TABLES and not place.is_dir():
            from ftune.data import SOURCES

            frame: Frame = SOURCES[TABLES[place.suffix.lower()]](path).read(path, types)
            return frame
        if place.is_file():
            return _frame(str(place), [place.name], None)
        folder = _folder(path)
        if any(_is_image(file) for file in folder.iterdir()):
            return _frame(path, _files(folder, folder), None)
        return _classes(path)


def _require_pillow() -> None:
    from importlib.util import find_spec

    if find_spec("PIL") is None:
        raise MissingExtraError("reading images", "images")


def _folder(path: str) -> Path:
    folder = Path(path)
    if folder.is_file():
        raise DataError(f"{path}: is a file, a folder of images is needed; a table is read by its"
                        " own source (csv, parquet, jsonl) with `image: column`")  # fmt: skip
    if not folder.is_dir():
        from ftune.config.spelling import nearest

        there = (other.name for other in folder.parent.glob("*") if other.is_dir())
        near = nearest(folder.name, there)
        raise AbsentDataError(path, "folder", near)
    return folder


def _visible(folder: Path) -> list[Path]:
    """What the folder holds, by name, without what systems leave there."""
    return sorted(
        (path for path in folder.iterdir() if not _is_litter(path.name)), key=lambda path: path.name
    )


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not _is_litter(path.name)


def _parts(folder: Path) -> dict[str, Path]:
    """train, val and test, where the folder holds nothing but these."""
    inside = [path for path in _visible(folder) if path.is_dir()]
    if not all(path.name.lower() in FOLDERS for path in inside):
        return {}
    parts: dict[str, Path] = {}
    for path in inside:
        part = FOLDERS[path.name.lower()]
        if part in parts:
            raise DataError(f"{folder}: `{parts[part].name}` and `{path.name}` are the same part")
        parts[part] = path
    if parts and "train" not in parts:
        raise DataError(f"{folder}: {', '.join(parts)} but no `train`; add it, or name the folders:"
                        " `path: {train: …, val: …}`")  # fmt: skip
    return parts


def _classes(path: str) -> Frame:
    """The images of a folder of classes. Raises DataError where its shape is another one."""
    folder = _folder(path)
    inside = _visible(folder)
    loose = [one.name for one in inside if one.is_file() and _is_image(one)]
    classes = [one for one in inside if one.is_dir()]
    if loose:
        what = f"{len(loose):,} images ({', '.join(loose[:5])}{', …' if len(loose) > 5 else ''})"
        where = "beside the folders of classes" if classes else "but no folders of classes"
        raise DataError(f"{path}: {what} {where}; write `{path}/<class>/*.jpg`, or use a table of"
                        " paths and labels with `image: column`")  # fmt: skip
    files_of = {one.name: _files(one, folder) for one in classes}
    if not any(files_of.values()):
        raise DataError(
            f"{path}: no images; expected `{path}/<class>/*` with {', '.join(SUFFIXES)}"
        )
    empty = [name for name, files in files_of.items() if not files]
    if empty:
        raise DataError(
            f"{path}: no images in the class folder {', '.join(f'`{n}`' for n in empty[:5])}"
            f"{' …' if len(empty) > 5 else ''}; fill or delete it"
        )
    files = [file for names in files_of.values() for file in names]
    return _frame(path, files, [name for name, names in files_of.items() for _ in names])


def _files(folder: Path, root: Path) -> list[str]:
    """The images in a folder and those below, sorted, as paths within `root`.

    Raises DataError that names every other file: it may be an image under a wrong name.
    """
    files = sorted(_walk(folder))
    odd = [file for file in files if not _is_image(file)]
    if odd:
        shown = ", ".join(str(file.relative_to(root)) for file in odd[:5])
        raise DataError(
            f"{root}: {len(odd):,} file{'s' if len(odd) > 1 else ''} among the images that"
            f" {'are' if len(odd) > 1 else 'is'} none ({shown}{', …' if len(odd) > 5 else ''});"
            f" move or rename; images end in {', '.join(SUFFIXES)}"
        )
    return [file.relative_to(root).as_posix() for file in files]


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        named = [name for name in folders if _is_image(Path(name))]
        folders[:] = [name for name in folders if not _is_litter(name) and name not in named]
        # A folder called `x.jpg` is given as a file, so that decoding says what it is.
        yield from (Path(parent, name) for name in [*files, *named] if not _is_litter(name))


def _frame(origin: str, files: list[str], labels: list[str] | None) -> Frame:
    import numpy as np

    from ftune.data.frame import Frame

    columns = {"image": np.array(files, dtype=object)}
    if labels is not None:
        columns["label"] = np.array(labels, dtype=object)
    return Frame(columns, origin, np.arange(1, len(files) + 1))
