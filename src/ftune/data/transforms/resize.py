"""Images of one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftune.config.fields import setting
from ftune.config.read import SettingError

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, State


@dataclass(frozen=True)
class Resize:
    """Bilinear interpolation of images [rows, height, width] or [rows, channels, height, width]."""

    size: int | list[int] = setting(at_least=1)
    """The new [height, width]; one number for both."""
    columns: list[str] | None = setting(None)
    """Which columns; null: all arrays."""

    def __post_init__(self) -> None:
        if isinstance(self.size, list) and len(self.size) != 2:
            raise SettingError("size", f"{self.size}: expected one number, or [height, width]")

    def fit(self, frame: Frame, prior: State | None) -> State:  # noqa: ARG002
        from ftune.data.transforms.choose import chosen
        from ftune.errors import DataError

        names = chosen(frame, self.columns, "array")
        for name in names:
            if frame[name].ndim not in (3, 4):
                raise DataError(
                    f"{frame.origin}: column `{name}` {list(frame[name].shape)} is no image;"
                    " resize needs [rows, height, width] or [rows, channels, height, width]"
                )
        return {name: {} for name in names}

    def apply(self, frame: Frame, state: State) -> Frame:
        return frame.with_columns({name: self._resized(frame[name]) for name in state})

    def _resized(self, images: Array) -> Array:
        import numpy as np
        import torch

        size = [self.size, self.size] if isinstance(self.size, int) else list(self.size)
        x = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))
        four = x if x.ndim == 4 else x[:, None]
        smaller = size[0] < x.shape[-2] or size[1] < x.shape[-1]
        # Without antialias a smaller image would skip pixels instead of averaging them.
        four = torch.nn.functional.interpolate(four, size, mode="bilinear", antialias=smaller)
        result: Array = (four if x.ndim == 4 else four[:, 0]).numpy()
        return result
