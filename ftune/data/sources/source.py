"""What a data source can do; each states where it differs from these defaults."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import pyarrow as pa

    from ftune.data.frame import Frame


class Source:
    """Rows by part.

    default_target: the column to predict where no setting names one. suffixes: of the files that it
    reads; any_file: it reads all. kind, image: what the inputs are, and the column of images.
    ordered: neighbouring rows belong together. typed: it states what its columns hold; in another
    all values are texts.
    """

    default_target: ClassVar[str | None] = None
    suffixes: ClassVar[tuple[str, ...]] = ()
    any_file: ClassVar[bool] = False
    kind: ClassVar[Literal["table", "text", "images"]] = "table"
    image: ClassVar[str] = "image"
    ordered: ClassVar[bool] = False
    typed: ClassVar[bool] = True

    def load(self) -> dict[str, Frame]:
        """Read the rows: `{"all": frame}`, or a Frame for each part."""
        raise NotImplementedError

    def load_as(self, known: Mapping[str, str], measured: Collection[str]) -> dict[str, Frame]:  # noqa: ARG002
        """Read the rows of a table. known: what columns are known to be. measured: columns whose
        digits are numbers, however long."""
        return self.load()

    def read(self, path: str, types: Mapping[str, Any] | None = None) -> Frame:
        """Read new rows from a file; types: what its columns are known to be."""
        raise NotImplementedError

    def written(self, path: str, names: list[str]) -> pa.Table | None:  # noqa: ARG002
        """Return columns of a file as it has them; None where they are those of `read`."""
        return None

    def swallowed(self, path: str, name: str) -> dict[str, int]:  # noqa: ARG002
        """Return the texts in a column that are read as unknown, with how many rows each has."""
        return {}

    @property
    def part_files(self) -> dict[str, str]:
        """The files by part, `all` of a single one; empty where there are none."""
        return {}

    @property
    def declared_types(self) -> dict[str, Any]:
        """What the configuration says that columns are."""
        return {}
