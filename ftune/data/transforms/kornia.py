"""Any other augmentation of the kornia library, by its name."""

from __future__ import annotations

import importlib.util
import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import setting
from ftune.config.spelling import suggestion
from ftune.data.transforms.transform import Transform
from ftune.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import torch

    from ftune.data.frame import Array

OURS = {
    "RandomCrop": "random_crop", "RandomResizedCrop": "random_resized_crop",
    "RandomErasing": "erase",
}  # fmt: skip


@dataclass(frozen=True)
class Kornia(Transform):
    """Images, in training: an augmentation of kornia, as `kornia: RandomGaussianBlur`.

    It is drawn and computed image by image, so that what a row becomes depends on seed, epoch and
    row alone; slower than the transforms of our own.
    """

    kinds = ("images",)
    stage = "color"
    draws: ClassVar[int] = 1

    augmentation: str = setting()
    """The name of a class in kornia.augmentation that keeps the size of images."""
    settings: dict[str, Any] = setting({}, open=True)
    """Its arguments, as kornia calls them: `{kernel_size: [3, 3], sigma: [0.1, 2], p: 0.5}`."""

    def require(self, channels: int) -> None:
        """Raises DataError for what kornia does not know or refuses, MissingExtraError without it.

        channels: of the images; one is tried.
        """
        import torch

        with torch.random.fork_rng(devices=[]):
            try:
                output = self._made(torch.rand(1, channels, 16, 16))
            except (TypeError, ValueError, RuntimeError, IndexError, KeyError) as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise DataError(f"{self._where}: {reason}") from None
        if tuple(output.shape) != (1, channels, 16, 16):
            raise DataError(f"{self._where}: changes the size of images; use crop and resize")

    @property
    def _where(self) -> str:
        return f"data.transforms: kornia: {self.augmentation}"

    @cached_property
    def _made(self) -> Any:
        """The augmentation itself, made once."""
        if importlib.util.find_spec("kornia") is None:
            raise MissingExtraError("the transform `kornia`", "images")
        from kornia import augmentation

        base = augmentation.AugmentationBase2D
        known = [n for n, c in vars(augmentation).items()
                 if inspect.isclass(c) and issubclass(c, base) and n.startswith(("Random", "Color"))
                 and n not in OURS]  # fmt: skip
        if self.augmentation not in known:
            ours = OURS.get(self.augmentation)
            hint = f"write `{ours}`" if ours else suggestion(self.augmentation, known)
            raise DataError(
                f"{self._where}: no augmentation of kornia that can be used here; {hint}"
            )
        return getattr(augmentation, self.augmentation)(**_tuples(self.settings))

    def color(self, x: torch.Tensor, u: Array) -> torch.Tensor:
        """x [n, c, h, w] float32 of 0 to 255, u [n, 1]: what each image's generator starts from."""
        import torch

        # manual_seed sets the generator of the GPU too, from which dropout draws.
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            rows = []
            for image, share in zip(torch.split(x, 1), u[:, 0].tolist(), strict=True):
                torch.manual_seed(int(share * 2**53))
                rows.append(self._made(image / 255))
        return torch.cat(rows).mul_(255).clamp_(0, 255)


def _tuples(value: Any) -> Any:
    """kornia tells ranges from lists by their type."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
