"""Many image files, decoded ahead by a pool of threads (Pillow decodes without the GIL)."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ftune.data.frame import Array, Frame, Picture
from ftune.data.images import keep
from ftune.data.images.pixels import Pixels
from ftune.data.images.read import UnusableError, read, size_of
from ftune.errors import DataError, MissingExtraError

S = TypeVar("S")
T = TypeVar("T")
AHEAD = 8
"""Images a worker may be ahead of the writer."""
PROGRESS: ContextVar[Callable[[int, int], None] | None] = ContextVar("decoding", default=None)
"""Told (images done, images in all) while files are decoded."""


def require_pillow() -> None:
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise MissingExtraError("reading images", "images") from None


def files_of(frame: Frame, column: str) -> list[Path | Picture]:
    """The path of each row, relative to the folder or to that of the table; or the image itself."""
    gaps = frame.missing(column)
    if gaps.any():
        raise DataError(missing_path(frame.origin, column, frame.where(gaps)))
    base = base_of(frame.origin)
    return [name if isinstance(name, Picture) else base / str(name) for name in frame[column]]


def base_of(origin: str) -> Path:
    """What the paths are relative to: the folder, or that of the table."""
    path = Path(origin)
    return path if path.is_dir() else path.parent


def missing_path(origin: str, column: str, where: str) -> str:
    return f"{origin}: column `{column}` has no path in {where}; fill or delete these rows"


def decoded(frame: Frame, column: str, shapes: Sequence[Any], cache: Path | None) -> Pixels:
    """The images of a column, from an earlier run where nothing changed since.

    Raises DataError that names all files that cannot be used.
    """
    require_pillow()
    files = files_of(frame, column)
    cached = None
    paths = [file for file in files if isinstance(file, Path)]
    if cache is not None and len(paths) == len(files) and all(file.is_file() for file in paths):
        cached = cache / keep.key_of(paths, shapes)
        pixels = keep.kept(cached)
        if pixels is not None:
            return pixels
    return keep.keep(lambda: _images(frame, column, files, shapes), len(files), cached)


def _images(
    frame: Frame, column: str, files: Sequence[Path | Picture], shapes: Sequence[Any]
) -> Iterator[Array]:
    faults: dict[int, str] = {}
    for row, image in enumerate(ahead(lambda file: _tried(read, file, shapes), files)):
        if isinstance(image, UnusableError):
            faults[row] = str(image)
        elif not faults:
            yield image
    _refuse(frame, column, faults)


def faulty(frame: Frame, column: str, shapes: Sequence[Any]) -> dict[int, str]:
    """Of each row that has no image or one that cannot be read: why not, by its position."""
    gaps = np.flatnonzero(frame.missing(column))
    places = np.flatnonzero(~frame.missing(column))
    files = files_of(frame.take(places), column)
    tried = ahead(lambda file: _tried(read, file, shapes), files)
    faults = {int(index): "no path" for index in gaps}
    for index, image in zip(places, tried, strict=True):
        if isinstance(image, UnusableError):
            faults[int(index)] = str(image)
    return faults


def sizes_of(frame: Frame, column: str) -> Array:
    """[rows, 2] height and width as the headers tell. Raises DataError as `decoded` does."""
    require_pillow()
    sizes, faults = [], {}
    for row, size in enumerate(headers(files_of(frame, column))):
        if isinstance(size, UnusableError):
            faults[row] = str(size)
        else:
            sizes.append(size)
    _refuse(frame, column, faults)
    return np.array(sizes, dtype=np.int64)


def headers(files: Sequence[Path | Picture]) -> Iterator[tuple[int, int] | UnusableError]:
    """Of each file its height and width, or why it cannot be used; nothing is decoded."""
    return ahead(lambda file: _tried(size_of, file), files)


def _refuse(frame: Frame, column: str, faults: dict[int, str]) -> None:
    if not faults:
        return
    shown = listed(frame, column, faults)
    raise DataError(unusable(frame.origin, len(faults), len(frame), shown))


def listed(frame: Frame, column: str, faults: Mapping[int, str]) -> str:
    """The first five files with what is wrong with them; of a table with their rows."""
    table = not Path(frame.origin).is_dir()
    return "; ".join(
        (f"row {frame.rows[row]}, " if table else "") + f"{frame[column][row]}: {reason}"
        for row, reason in sorted(faults.items())[:5]
    )


def unusable(origin: str, count: int, total: int, shown: str) -> str:
    """shown: the first five, with their reasons."""
    more = "; …" if count > 5 else ""
    many = f"{count:,} of {total:,} images cannot be used"
    return f"{origin}: {many} ({shown}{more}); delete or replace them"


def _tried(function: Callable[..., T], *given: Any) -> T | UnusableError:
    try:
        return function(*given)
    except UnusableError as error:
        return error


def ahead(work: Callable[[S], T], files: Sequence[S]) -> Iterator[T]:
    """The results in order, a bounded number of them ahead of whoever takes them."""
    from PIL import Image

    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    waiting: deque[Future[T]] = deque()
    left, progress = iter(files), PROGRESS.get()
    with ThreadPoolExecutor(workers) as pool, _as_errors(Image.DecompressionBombWarning):
        for done in range(len(files)):
            for file in left:
                waiting.append(pool.submit(work, file))
                if len(waiting) >= AHEAD * (workers or 1):
                    break
            yield waiting.popleft().result()
            if progress is not None:
                progress(done + 1, len(files))


@contextmanager
def _as_errors(category: type[Warning]) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", category)
        yield
