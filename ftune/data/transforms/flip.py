"""Mirror images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ftune.config.fields import setting
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from ftune.data.frame import Array


@dataclass(frozen=True)
class Flip(Transform):
    """Images, in training: a mirror image of a random half of them."""

    kinds = ("images",)
    stage = "place"
    draws: ClassVar[int] = 2
    exact = True
    fill: ClassVar[int | None] = None

    direction: Literal["horizontal", "vertical", "both"] = setting("horizontal")
    """horizontal swaps left and right, vertical top and bottom; both: each on its own."""
    probability: float = setting(0.5, at_least=0, at_most=1)
    """How often, for each direction."""

    def place(self, u: Array, sizes: Array) -> tuple[Array, Array]:
        from ftune.data.images.warp import identity

        matrix = identity(len(sizes))
        for axis, (name, length) in enumerate(
            (("horizontal", sizes[:, 1]), ("vertical", sizes[:, 0]))
        ):
            turned = (u[:, axis] < self.probability) & (self.direction in (name, "both"))
            matrix[turned, axis, axis] = -1
            matrix[turned, axis, 2] = length[turned]
        return matrix, sizes
