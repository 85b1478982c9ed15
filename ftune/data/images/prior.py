"""What an image pipeline takes over from its base: mean and std, and what `auto` is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ftune.data.images.plan import Plan
from ftune.data.lineage import Fit, Past, Step, bare
from ftune.data.takeover import spoken, statistics_notes

if TYPE_CHECKING:
    from ftune.data.schema import Data

COLUMN = "image"
"""What the column of images is called where it has no name of its own."""


class FittedImages(Protocol):
    """A base's pipeline of images."""

    @property
    def column(self) -> str: ...
    @property
    def steps(self) -> tuple[Step, ...]: ...
    @property
    def plan(self) -> Plan: ...


def past_of(column: str, plan: Plan) -> Past:
    """What happens to an image before it is normalized, as far as evaluation does it too."""
    return Past(column, COLUMN, tuple(bare(step) for step in plan.plain))


def fits_of_images(pipeline: FittedImages | None) -> dict[str, list[Fit]]:
    """What the pipeline learnt, under one name: there is one column of images, however called."""
    if pipeline is None:
        return {}
    past = past_of(pipeline.column, pipeline.plan)
    fits = [
        Fit(past, step.transform, step.state[pipeline.column])
        for step in pipeline.steps
        if pipeline.column in step.state
    ]
    return {COLUMN: fits} if fits else {}


def about_base(data: Data, base: FittedImages | None, pipeline: FittedImages) -> list[str]:
    """What `auto` is with this base, and whether its mean and std stay, in words."""
    if base is None:
        return []
    chain = [*base.plan.plain, *([base.plan.normalize] if base.plan.normalize else [])]
    auto = any(step.placeholder for step in data.steps)
    notes = [f"transforms: `auto` is what the base does: {spoken(chain) or 'nothing'}."]
    return [
        *(notes if auto else []),
        *statistics_notes(fits_of_images(base), fits_of_images(pipeline), [COLUMN], [COLUMN]),
    ]
