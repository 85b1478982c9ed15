"""What the files that state their types have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.data.sources.files import TableFile, read_parts

if TYPE_CHECKING:
    import pyarrow as pa

    from ftune.data.frame import Frame


@dataclass(frozen=True)
class TypedFile(TableFile):
    """A table in files that state what their columns hold; format: its name in messages."""

    format: ClassVar[str]

    def load(self) -> dict[str, Frame]:
        return read_parts(self.path, self.read)

    def load_as(self, known: Mapping[str, str], measured: Collection[str]) -> dict[str, Frame]:  # noqa: ARG002
        """Read the files; known: see `as_declared`."""
        return read_parts(self.path, lambda path: self._read(path, known))

    def read(self, path: str, types: Mapping[str, Any] | None = None) -> Frame:  # noqa: ARG002
        """Read one file, which states its own types."""
        return self._read(path, None)

    def _read(self, path: str, known: Collection[str] | None) -> Frame:
        from ftune.data.sources.arrow import readable, to_frame

        with readable(path, self.format):
            # No name holds the table, so that each column goes when it has been taken over.
            return to_frame(self.as_set(path, known), path)

    def as_set(self, path: str, known: Collection[str] | None = None) -> pa.Table:
        """Return the file as `types` and the notation have it; other texts are as they stand."""
        from ftune.data.sources.arrow import readable
        from ftune.data.sources.declared import as_declared

        with readable(path, self.format):
            return as_declared(self.table(path), path, self, known)

    def written(self, path: str, names: list[str]) -> pa.Table:
        """Return these columns as the file has them."""
        return self.table(path).select(names)

    def table(self, path: str) -> pa.Table:
        """Return what the file holds, objects in it as columns `outer.inner`."""
        raise NotImplementedError
