"""Operations on colours: x [n, c, h, w] float32 of 0 to 255, factors [n].

They are sums, products and comparisons of single pixels, and sums of whole numbers: nothing whose
rounding could depend on how many rows are in the batch. Greys weigh red, green and blue as ITU-R
BT.601 does (0.299, 0.587, 0.114), like Pillow and torchvision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from ftune.data.frame import Array


def column(values: Array, x: torch.Tensor) -> torch.Tensor:
    """[n] numbers as [n, 1, 1, 1] beside `x`."""
    import torch

    return torch.from_numpy(values.astype(np.float32)).to(x.device)[:, None, None, None]


def grey(x: torch.Tensor) -> torch.Tensor:
    """[n, 1, h, w] luminance."""
    if x.shape[1] == 1:
        return x
    return x[:, :1] * 0.299 + x[:, 1:2] * 0.587 + x[:, 2:3] * 0.114


def blend(x: torch.Tensor, other: torch.Tensor, factor: Array) -> torch.Tensor:
    """`other` at factor 0, `x` at 1, and beyond; kept within 0 to 255."""
    share = column(factor, x)
    return (other + (x - other) * share).clamp_(0, 255)


def brightness(x: torch.Tensor, factor: Array) -> torch.Tensor:
    return (x * column(factor, x)).clamp_(0, 255)


def contrast(x: torch.Tensor, factor: Array) -> torch.Tensor:
    """Away from the image's mean grey, a sum of whole numbers."""
    import torch

    total = grey(x).add(0.5).floor().to(torch.int64).sum(dim=(1, 2, 3), keepdim=True)
    return blend(x, total.to(x.dtype) / (x.shape[2] * x.shape[3]), factor)


def saturation(x: torch.Tensor, factor: Array) -> torch.Tensor:
    return blend(x, grey(x), factor)


def hue(x: torch.Tensor, turn: Array) -> torch.Tensor:
    """Turns the hue by a share of the circle, through hue, saturation and value."""
    import torch

    red, green, blue = x.unbind(1)
    value, low = x.amax(1), x.amin(1)
    span = value - low
    safe = torch.where(span == 0, 1.0, span)
    sector = torch.where(
        value == red, (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )  # fmt: skip
    turned = sector + column(turn, x)[:, 0] * 6
    return torch.stack([_channel(n, turned, value, span) for n in (5.0, 3.0, 1.0)], dim=1)


def _channel(
    n: float, sector: torch.Tensor, value: torch.Tensor, span: torch.Tensor
) -> torch.Tensor:
    """Red (n 5), green (3), blue (1): v − span · clamp(min(k, 4 − k), 0, 1), k = hue + n mod 6."""
    k = sector + n
    k = k - (k / 6).floor() * 6
    return value - span * k.minimum(4 - k).clamp_(0, 1)


def sharpness(x: torch.Tensor, factor: Array) -> torch.Tensor:
    """Away from the smoothed image (3 × 3 ones, 5 in the middle); the rim stays as it is."""
    smooth = x.clone()
    height, width = x.shape[2:]
    if height > 2 and width > 2:
        total = x[:, :, 1:-1, 1:-1] * 4
        for down in range(3):
            for across in range(3):
                total = total + x[:, :, down : height - 2 + down, across : width - 2 + across]
        smooth[:, :, 1:-1, 1:-1] = total / 13
    return blend(x, smooth, factor)


def posterize(x: torch.Tensor, bits: Array) -> torch.Tensor:
    """Keeps the highest `bits` bits."""
    step = column(2.0 ** (8 - bits), x)
    return (x.add(0.5).floor() / step).floor() * step


def solarize(x: torch.Tensor, threshold: Array) -> torch.Tensor:
    """Inverts what is at least `threshold`."""
    import torch

    return torch.where(x >= column(threshold, x), 255 - x, x)


def autocontrast(x: torch.Tensor) -> torch.Tensor:
    """Stretches each channel to 0 to 255."""
    import torch

    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    flat = high == low
    return torch.where(flat, x, (x - low) * (255 / torch.where(flat, 1.0, high - low)))


def equalize(x: torch.Tensor) -> torch.Tensor:
    """Makes the histogram of each channel even, with Pillow's whole numbers."""
    import torch

    n, channels, height, width = x.shape
    levels = x.add(0.5).floor().to(torch.int64).reshape(n * channels, height * width)
    counts = torch.zeros(n * channels, 256, dtype=torch.int64, device=x.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels))
    last = 255 - (counts.flip(1) > 0).to(torch.int64).argmax(1, keepdim=True)
    step = (height * width - counts.gather(1, last)) // 255
    before = counts.cumsum(1) - counts
    table = ((before + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step == 0, torch.arange(256, device=x.device), table)
    return table.gather(1, levels).view(n, channels, height, width).to(x.dtype)
