"""The size of the model and the length of the training for a number of rows."""

from __future__ import annotations

from dataclasses import dataclass

from ftune.commands.drafts.worth import Worth

FEW, SMALL, LARGE = 100, 3_000, 200_000


@dataclass(frozen=True)
class Sizes:
    """Values of `model:`, `optimizer:` and `train:` with the reason for the model."""

    width: int
    depth: int
    dropout: float
    lr: float
    weight_decay: float
    epochs: int
    batch_size: int
    ema: float
    why: str


def sizes_of(rows: int, worth: Worth | None, classes: bool) -> Sizes:
    """Return the sizes for `rows` training rows; worth: the scores of simple models, if known."""
    batch = 32 if rows < SMALL else 256
    why = f"{rows:,} training row{'s' * (rows != 1)}"
    if worth is not None:
        kind = "accuracy" if classes else "R²"
        scores = f"{kind} {worth.linear:.3f} linear, {worth.trees:.3f} boosted trees"
        why = f"by a quick look: {scores}"
    if worth.straight if worth is not None else rows < FEW:
        steps = 2_000 if rows < SMALL else 5_000
        return Sizes(128, 0, 0.0, 1e-2, 0.1, _epochs(steps, batch, rows, 400), batch, 0.99, why)
    if rows < SMALL:
        return Sizes(128, 2, 0.2, 2e-3, 0.1, _epochs(2_500, batch, rows, 300), batch, 0.99, why)
    width = 128 if rows < 10_000 or classes else 256
    depth, dropout = (2, 0.2) if classes else (3, 0.0)
    epochs = _epochs(2_500, batch, rows, 80) if rows < LARGE else 4
    epochs = max(epochs, 30) if rows < 50_000 and not classes else max(epochs, 12)
    return Sizes(width, depth, dropout, 2e-3, 0.01, epochs, batch, 0.99, why)


def _epochs(steps: int, batch: int, rows: int, most: int) -> int:
    return min(most, max(4, round(steps * batch / max(rows, 1))))
