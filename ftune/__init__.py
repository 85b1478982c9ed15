"""ftune: optimise, fine-tune and sweep PyTorch models from one YAML file – also as a library.

import ftune
summary = ftune.run("optimize", "config.yaml", ["train.epochs=3"])
predictor = ftune.load(summary["run"])
predictor.predict("new.csv")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftune.extend import layer, load_code, loss, metric, model, objective, source, transform
    from ftune.predictor import Predictor

__all__ = [
    "layer", "load", "load_code", "loss", "metric", "model", "objective", "run", "source",
    "transform",
]  # fmt: skip


def run(
    command: str,
    config: str | Path | Mapping[str, Any],
    changes: Sequence[str] = (),
    *,
    base: str | Path | Sequence[str | Path] | None = None,
    out: str | Path | None = None,
    quiet: bool = True,
    run_code_from: Sequence[str] = (),
) -> dict[str, Any]:
    """Run `optimize`, `finetune`, `lr-find` or `sweep` and return its summary.

    config: a file, or the same as a mapping. changes: overrides such as `train.epochs=3`.
    run_code_from: `sha256:HEX` of foreign files whose code may run during this call.
    Raises FtuneError with the message that the command line would print.
    """
    from ftune.library import run as call

    return call(command, config, changes, base, Path(out) if out else None, quiet, run_code_from)


def load(run: str | Path, *, run_code_from: Sequence[str] = ()) -> Predictor:
    """Load the best model of a run folder, or a file that `ftune export` wrote.

    run_code_from: as in `run`.
    """
    from ftune.predictor import load as call
    from ftune.security.consent import granting

    with granting(run_code_from):
        return call(run)


def __getattr__(name: str) -> Any:
    """Load the decorators that register the user's own parts when they are first used."""
    if name not in __all__:
        raise AttributeError(f"module `ftune` has no attribute `{name}`")
    from ftune import extend

    return getattr(extend, name)
