"""NumPy archives: arrays by key, of any number of dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import setting
from ftune.data.sources.files import PARTS, FileSource, read_parts
from ftune.errors import DataError

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Mapping

    from ftune.data.frame import Array, Frame


@dataclass(frozen=True)
class Npz(FileSource):
    """Arrays saved by `numpy.savez`, one row each along the first axis; pickles are refused.

    A file whose keys all end in `_train`, `_val` or `_test` (`x_train` …) is its own split.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    path: str | dict[str, str] = setting(path=True, exact=False, fact="trial")
    """The file; or one for each part: {train: a.npz, val: …, test: …}."""

    def load(self) -> dict[str, Frame]:
        if isinstance(self.path, str):
            arrays = read_arrays(self.path)
            parts = [p for p in PARTS if any(key.endswith(f"_{p}") for key in arrays)]
            if "train" in parts and all(
                key.endswith(tuple(f"_{p}" for p in PARTS)) for key in arrays
            ):
                return {part: _part(arrays, part, self.path) for part in parts}
        return read_parts(self.path, self.read)

    def read(self, path: str, types: Mapping[str, Any] | None = None) -> Frame:  # noqa: ARG002
        """One file; an array states its own type."""
        return to_frame(read_arrays(path), path)


def _part(arrays: dict[str, Array], part: str, path: str) -> Frame:
    end = f"_{part}"
    chosen = {key.removesuffix(end): array for key, array in arrays.items() if key.endswith(end)}
    return to_frame(chosen, path)


def read_arrays(path: str) -> dict[str, Array]:
    """The arrays of a file. Raises DataError where it is damaged or would need a pickle."""
    import zipfile
    from pathlib import Path

    import numpy as np

    from ftune.data.sources.arrow import existing
    from ftune.security.limits.archives import members

    existing(path)
    try:
        with zipfile.ZipFile(path) as archive:
            for member in members(path, archive, Path(path).stat().st_size):
                with archive.open(member) as file:
                    _check_size(path, member, file)
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise all kinds
        raise DataError(f"{path}: not a readable npz file: {_first(error)}") from None


def _first(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def _check_size(path: str, member: zipfile.ZipInfo, file: IO[bytes]) -> None:
    """Compares the size in an array's header with the bytes there are, before memory is taken."""
    import math

    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    name = member.filename.removesuffix(".npy")
    if dtype.hasobject:
        raise DataError(
            f"{path}: `{name}` holds pickled Python objects, which could run code and are refused:"
            " save it as numbers or as fixed-width text (`array.astype(str)`)"
        )
    if math.prod(shape) * dtype.itemsize > member.file_size:
        raise DataError(f"{path}: `{name}` claims {shape}, has {member.file_size:,} bytes")


def to_frame(arrays: dict[str, Array], path: str) -> Frame:
    """Arrays of one length as a Frame. Raises DataError where the lengths differ."""
    import numpy as np

    from ftune.data.frame import Frame
    from ftune.data.sources.integers import array_notes

    lengths = {key: len(array) if array.ndim else 0 for key, array in arrays.items()}
    if not any(lengths.values()):
        raise DataError(f"{path}: no rows in {', '.join(lengths) or 'it: there is no array'}")
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{key} {length:,}" for key, length in lengths.items())
        raise DataError(f"{path}: arrays of different length ({shown}); each needs one entry a row")
    try:
        columns = {key: _column(array) for key, array in arrays.items()}
    except (SystemError, ValueError) as error:  # code points that no text has
        raise DataError(f"{path}: not a readable npz file: {_first(error)}") from None
    rows = np.arange(1, next(iter(lengths.values())) + 1)
    return Frame(columns, path, rows, array_notes(arrays))


def _column(array: Array) -> Array:
    import numpy as np

    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind in "US":
        return array.astype(str).astype(object)
    if array.dtype.kind == "M":
        return array.astype("datetime64[s]")
    with np.errstate(over="ignore", invalid="ignore"):  # infinities are refused by name later on
        return array.astype(np.float64 if array.ndim == 1 else np.float32)
