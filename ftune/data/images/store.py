"""Decoded images as batches: gathered, moved, recoloured, normalised, erased, mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ftune.data.frame import Array
from ftune.data.images import uniform
from ftune.data.images.pixels import Pixels
from ftune.data.images.warp import compose, shifted, warped

if TYPE_CHECKING:
    import torch

    from ftune.data.store import RngKey

SHARE_OF_DEVICE = 0.25
"""Images that take more of a device's free memory than this come batch by batch."""


@dataclass(frozen=True)
class ImageStore:
    """Images of one part of the data.

    pixels: as training decodes them. moving: (stream, transform) of places and colours in training,
    finish: the same in evaluation. plain: pixels for evaluation where those of training do not do.
    scale: mean and std of each channel, of pixels from 0 to 1. held: `pixels` on the device.
    """

    pixels: Pixels
    moving: tuple[tuple[int, Any], ...] = ()
    finish: tuple[tuple[int, Any], ...] = ()
    plain: Pixels | None = None
    scale: tuple[list[float], list[float]] | None = None
    erase: tuple[tuple[int, Any], ...] = ()
    mix: tuple[Any, ...] = ()
    notes: list[str] = field(default_factory=list)
    device: torch.device | None = None
    held: torch.Tensor | None = None
    lengths: None = None
    source_rows: ClassVar[None] = None
    dense: ClassVar[bool] = False

    @property
    def random(self) -> bool:
        return bool(self.moving or self.erase or self.mix or self.plain is not None)

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: torch.Tensor, rng_key: RngKey | None = None) -> dict[str, torch.Tensor]:
        """x [n, channels, height, width] float32, channels last in memory.

        With mixup or cutmix also `partner` int64 [n] and `share` float32 [n]. What a row becomes
        depends on the seed, the epoch and its number alone, apart from mixing.
        """
        import torch

        numbers = rows.cpu().numpy()
        steps = self.finish if rng_key is None else self.moving
        with torch.no_grad():
            x = self._moved(*self._gathered(numbers, rng_key), numbers, steps, rng_key)
            x = self._normalized(x)
            if rng_key is None:
                return {"x": x}
            for stream, step in self.erase:
                x = step.erase(x, uniform.uniforms(rng_key, numbers, stream, step.draws))
            mixed = self.mix_rows(x, int(numbers[0]), rng_key)
            x = mixed["x"].contiguous(memory_format=torch.channels_last)
        return mixed | {"x": x}

    def _gathered(self, rows: Array, rng_key: RngKey | None) -> tuple[torch.Tensor, Array, bool]:
        """uint8 [n, h, w, c], the size of each image in it, and whether they are all alike."""
        import torch

        source = self.plain if self.plain is not None and rng_key is None else self.pixels
        if self.held is not None and source is self.pixels:
            x = self.held.index_select(0, torch.from_numpy(rows).to(self.held.device))
        else:
            x = torch.from_numpy(source.take(rows))
            x = x if self.device is None else x.to(self.device)
        return x, source.sizes[rows], source.alike

    def _moved(
        self,
        x: torch.Tensor,
        sizes: Array,
        alike: bool,
        rows: Array,
        steps: Sequence[tuple[int, Any]],
        rng_key: RngKey | None,
    ) -> torch.Tensor:
        """[n, c, h, w] float32 of 0 to 255."""
        for group in _grouped(steps):
            drawn = [(step, _drawn(rng_key, rows, stream, step)) for stream, step in group]
            if group[0][1].stage == "place":
                x, sizes, alike = resample(x, sizes, alike, drawn)
            else:
                assert alike, "colours of images of several sizes"
                step, u = drawn[0]
                x = step.color(_floats(x), u).permute(0, 2, 3, 1)
        assert alike, "images of several sizes"
        return _floats(x)

    def _normalized(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        x = x.contiguous(memory_format=torch.channels_last)
        if self.scale is None:
            return x.div_(255)
        # As large as an image: numbers for 3 channels alone would be broadcast pixel by pixel.
        shape = (x.shape[2], x.shape[3], x.shape[1])
        mean, std = (
            torch.tensor(values, device=x.device).mul_(255).expand(shape).contiguous()
            for values in self.scale
        )
        return x.sub_(mean.permute(2, 0, 1)).div_(std.permute(2, 0, 1))

    def mix_rows(self, x: torch.Tensor, first: int, rng_key: RngKey) -> dict[str, torch.Tensor]:
        import torch

        if not self.mix or len(x) < 2:
            return {"x": x}
        rng = uniform.generator(rng_key, first)
        step = self.mix[int(rng.integers(len(self.mix)))]
        if rng.random() >= step.probability:
            return {"x": x}
        partner = torch.from_numpy(rng.permutation(len(x))).to(x.device)
        x, share = step.mix(x, partner, rng)
        return {"x": x, "partner": partner, "share": torch.full((len(x),), share, device=x.device)}

    def to(self, device: torch.device) -> ImageStore:
        """Small sets go there as bytes; of large ones each batch does, before it is worked on."""
        import torch

        if device.type == "cpu":
            return replace(self, device=None, held=None)
        held = None
        if device.type == "cuda" and self.pixels.alike:
            free, _ = torch.cuda.mem_get_info(device)
            if self.pixels.flat.nbytes <= free * SHARE_OF_DEVICE:
                held = self.pixels.tensor(device)
        return replace(self, device=device, held=held)

    def digest(self, update: Callable[[bytes], None]) -> None:
        """The sums of the decoded bytes stand for them."""
        for pixels in (self.pixels, self.plain):
            if pixels is not None:
                update(f"{pixels.sha256} {pixels.sizes.tolist()} {pixels.channels}".encode())
        update(repr((self.moving, self.finish, self.scale, self.erase, self.mix)).encode())


def _floats(x: torch.Tensor) -> torch.Tensor:
    """[n, h, w, c] of any type -> [n, c, h, w] float32."""
    import torch

    return x.permute(0, 3, 1, 2).to(torch.float32)


def _drawn(rng_key: RngKey | None, rows: Array, stream: int, step: Any) -> Array:
    if rng_key is None:
        return np.empty((len(rows), 0))
    return uniform.uniforms(rng_key, rows, stream, step.draws)


def _grouped(steps: Sequence[tuple[int, Any]]) -> list[list[tuple[int, Any]]]:
    """Neighbouring places that fill with the same colour together, each colour step alone."""
    groups: list[list[tuple[int, Any]]] = []
    for stream, step in steps:
        fills = {s.fill for _, s in groups[-1] if s.stage == "place"} - {None} if groups else set()
        is_placing = step.stage == "place" and groups and groups[-1][0][1].stage == "place"
        if is_placing and (step.fill is None or fills <= {step.fill}):
            groups[-1].append((stream, step))
        else:
            groups.append([(stream, step)])
    return groups


def resample(
    x: torch.Tensor, sizes: Array, alike: bool, drawn: Sequence[tuple[Any, Array]]
) -> tuple[torch.Tensor, Array, bool]:
    """All these places in one resampling; x [n, h, w, c] of any type, and so the result."""
    matrix, source = None, sizes
    for step, u in drawn:
        added, new = step.place(u, sizes)
        matrix = added if matrix is None else compose(matrix, added)
        alike, sizes = alike or new is not sizes, new
    assert matrix is not None
    # Where sizes differ, the canvas of the whole set: no row may depend on the others of its batch.
    height, width = sizes[0].tolist() if alike else x.shape[1:3]
    fill = next((step.fill for step, _ in drawn if step.fill is not None), 0)
    if all(step.exact for step, _ in drawn):
        return shifted(x, matrix, source, (height, width), fill), sizes, alike
    moved = warped(_floats(x), matrix, source, (height, width), fill)
    return moved.permute(0, 2, 3, 1), sizes, alike
