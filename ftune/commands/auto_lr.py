"""`lr: auto` settled before a training, with a progress bar and Ctrl-C."""

from __future__ import annotations

from ftune.console import Console
from ftune.data.dataset import Dataset
from ftune.errors import InterruptedRunError
from ftune.runs.base import Base
from ftune.runtime.signals import stopper
from ftune.schema.root import RunConfig
from ftune.search.lr_find import LrFindResult, find, resolve_auto_lr
from ftune.search.ties import Point


def settled(
    config: RunConfig, dataset: Dataset, base: Base | None, console: Console
) -> tuple[RunConfig, list[str]]:
    """Return the configuration with a number in the place of `lr: auto`, and notes about it."""

    def announced(config: RunConfig, dataset: Dataset, base: Base | None) -> LrFindResult:
        console.info("optimizer.lr is auto: finding the learning rate first")
        finding = search(config, dataset, base, console)
        console.info(
            f"learning rate: {finding.suggested:g} "
            f"(nearly as good: {finding.low:.2g} to {finding.high:.2g})"
        )
        return finding

    return resolve_auto_lr(config, dataset, base, announced)


def search(
    config: RunConfig, dataset: Dataset, base: Base | None, console: Console
) -> LrFindResult:
    """Search for a rate with a progress bar. Raises InterruptedRunError after a signal."""
    with stopper() as stopping, console.progress("learning rates", 1) as bar:

        def report(point: Point, done: int, of: int) -> None:
            bar.total = of
            bar.update(done, f"lr {point.lr:.1e} loss {point.loss:.4g}")

        try:
            return find(config, dataset, base, report, lambda: stopping.signal is not None)
        except KeyboardInterrupt:
            if stopping.signal is None:
                raise
            raise InterruptedRunError(stopping.signal, None) from None
