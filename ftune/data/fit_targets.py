"""The transforms of numbers to predict: declared, or the base's, and fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ftune.data.frame import Frame, listed
from ftune.data.kind import TargetKind
from ftune.data.lineage import Lineage, Past, Step
from ftune.data.steps import fit_steps, fits_of
from ftune.data.takeover import learns, spoken, statistics_notes
from ftune.data.target import Target
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.pipeline import Pipeline
    from ftune.data.schema import Data


def target_transforms(data: Data, kind: TargetKind, base: Pipeline | None) -> tuple[Any, ...]:
    """Those of the file; where it leaves them open, those of the base, for numbers to predict."""
    if data.target_transforms is not None:
        return tuple(data.target_transforms)
    if kind != "numbers":
        return ()
    limited = [_of_columns(step.transform, data.targets) for step in _steps_of(base)]
    return tuple(transform for transform in limited if transform is not None)


def _of_columns(transform: Any, names: Sequence[str]) -> Any:
    """A base's transform for the targets there are now; None where it is for none of them."""
    if transform.columns is None:
        return transform
    shared = [name for name in transform.columns if name in names]
    return replace(transform, columns=shared) if shared else None


def _steps_of(base: Pipeline | None) -> Sequence[Step]:
    return base.target_steps if base is not None and base.target.kind == "numbers" else ()


def fit_targets(
    data: Data, train: Frame, target: Target, base: Pipeline | None
) -> tuple[tuple[Step, ...], list[str]]:
    """The fitted steps, and in words what they take over from `base`.

    Raises DataError where what is to be predicted are no numbers, and transforms are declared.
    """
    transforms = target_transforms(data, target.kind, base)
    if target.kind != "numbers":
        if transforms:
            raise DataError(
                "data.target_transforms: only numbers can be transformed, not " + target.kind
            )
        return (), []
    numbers, old = target.numbers(train), _steps_of(base)
    notes: list[str] = []
    known = old if data.statistics != "refit" else ()
    keep = data.statistics == "keep"
    steps, _ = fit_steps(transforms, numbers, known, notes=notes, keep=keep)
    if base is None or base.target.kind != "numbers":
        return steps, []
    shared = [name for name in target.names if name in base.target.names]
    notes = _about_chain(steps, old, shared) + notes
    return steps, [*notes, *_about_statistics(data, steps, old, shared)]


def _about_chain(steps: Sequence[Step], old: Sequence[Step], shared: Sequence[str]) -> list[str]:
    """Whether the transforms are the base's; `shared`: the targets that the base predicts too."""
    new, before = (spoken([step.transform for step in chain]) for chain in (steps, old))
    if _pasts(steps, shared) == _pasts(old, shared) and (shared or new == before):
        return [f"target transforms of the base kept: {new}."] if new else []
    unit = ", so the base's head starts in another unit" if shared else ""
    return [
        f"target transforms are not the base's: {new or 'none'}, before {before or 'none'}{unit}."
    ]


def _pasts(steps: Sequence[Step], names: Sequence[str]) -> dict[str, Past]:
    """What all steps together do to each of the targets."""
    lineage = Lineage(dict.fromkeys(names, "number"))
    for step in steps:
        lineage.take(step.transform, step.state)
    return {name: lineage.of(name) for name in names}


def _about_statistics(
    data: Data, steps: Sequence[Step], old: Sequence[Step], shared: Sequence[str]
) -> list[str]:
    """Of the targets that the base predicts too."""
    fits, known = (fits_of(chain, dict.fromkeys(data.targets, "number")) for chain in (steps, old))
    fits, known = ({n: f[n] for n in shared if n in f} for f in (fits, known))
    if data.statistics != "refit":
        return statistics_notes(known, fits, shared, shared, "target statistics")
    if not any(learns(fit) for several in fits.values() for fit in several):
        return []
    return [
        f"target statistics fitted on the new rows: {listed(shared)} (`data.statistics: refit`);"
        " the base's head starts in another unit."
    ]
