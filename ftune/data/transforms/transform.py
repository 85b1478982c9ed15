"""What every transform declares; the defaults are those of a plain transform of columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, State


class Transform:
    """The base of all transforms, so that callers read attributes and never probe for them.

    A transform of tables has `fit(frame, prior) -> State` and `apply(frame, state) -> Frame`, an
    invertible one `invert(values, column)` too. What images need is in `data/images/plan.py`.
    """

    kinds: ClassVar[tuple[str, ...]] = ("table",)
    """The kinds of data it is for."""
    touches: ClassVar[bool] = True
    """Whether it changes values; the others choose or rename columns."""
    invertible: ClassVar[bool] = False
    """Whether it has `invert`, so that targets may use it."""
    saturates: ClassVar[bool] = False
    """Whether it has `saturated`: it may map many different values to (almost) one."""
    placeholder: ClassVar[bool] = False
    """Whether a pipeline replaces it by what `steps` returns (`auto`)."""
    stage: ClassVar[str] = ""
    """Of images: shape, place, color, normalize, erase or mix."""
    exact: ClassVar[bool] = False
    """Of the stage `place`: whether it moves whole pixels and interpolates nothing."""
    names: Collection[str] | None = None
    """The columns of the file that it selects, drops or renames."""
    columns: Collection[str] | None = None
    """The columns it is limited to; None: all that it is for."""

    @property
    def learns(self) -> bool:
        """Whether its state depends on rows, not on the settings alone."""
        return True

    @property
    def saturated_share(self) -> float:
        """The share of the rows it was fitted on that it saturates by design."""
        return 0.0

    @property
    def draws(self) -> int:
        """How many uniform numbers an image needs."""
        return 0

    @property
    def needs_color(self) -> bool:
        """Whether it does nothing to grey images."""
        return False

    @property
    def removes_color(self) -> bool:
        """Whether images are grey after it."""
        return False

    @property
    def fixes_size(self) -> bool:
        """Of the stage `place`: whether all images have one size after it."""
        return False

    def steps(self, base: Sequence[Any] = ()) -> tuple[Any, ...]:  # noqa: ARG002
        """Return the transforms it stands for; base: those of a model to fine-tune."""
        return (self,)

    def plain(self) -> tuple[Any, ...]:
        """Return the transforms of images that stand for it in evaluation."""
        return (self,) if self.stage in ("shape", "normalize") else ()

    def require(self, channels: int) -> None:
        """Raise DataError where it cannot be applied to images of so many channels."""

    def notes(self, state: State) -> list[str]:  # noqa: ARG002
        """Return a sentence for each column or category that fitting left out or changed."""
        return []

    def makes(self, name: str, column: dict[str, Any]) -> Sequence[str]:  # noqa: ARG002
        """Return the names of the columns that it makes of the column `name`."""
        return ()

    def unlisted(self, frame: Frame, known: State) -> list[str]:  # noqa: ARG002
        """Return what `frame` holds that the base's state does not know, categories apart."""
        return []

    def saturated(self, values: Array, column: dict[str, Any]) -> Array:
        """Return which values are beyond the reach of the state: bool [n]."""
        raise NotImplementedError
