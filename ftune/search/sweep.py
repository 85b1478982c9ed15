"""A sweep from its settings: the sampler, the count of trials, the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftune.config.dump import dump
from ftune.engine.selection import Selection
from ftune.errors import RequestError
from ftune.schema.search import Sweep
from ftune.search.launch import Launcher
from ftune.search.scheduler import Scheduler, SuccessiveHalving
from ftune.search.space import Space, configured, grid_points, grid_size, is_grid, parse_space
from ftune.search.study import Study, Trial
from ftune.search.trial_index import TrialIndex
from ftune.security.redact import stored
from ftune.security.secret_forms import HIDDEN


def make_scheduler(
    folder: Path, plain: Mapping[str, Any], sweep: Sweep, selection: Selection,
    launch: Launcher, report: Callable[[Sequence[Trial]], None],
) -> Scheduler:  # fmt: skip
    """Open the study of a sweep in its folder and return the scheduler of its trials.

    plain: the configuration that the trials vary.
    """
    space, count = redacted_space(plain, sweep), trial_count(sweep)
    sampler, seed = choose_sampler(sweep), plain.get("seed", 0)
    points = grid_points(space, count, seed) if sampler == "grid" else ()
    study = Study(folder / "study.db", space, sampler, seed, selection.mode, points)
    rungs = (sweep.halving.rungs, sweep.halving.factor) if sweep.halving else ()
    halving = SuccessiveHalving(selection, *rungs)
    return Scheduler(study, TrialIndex(plain, study), halving, count, folder, launch, report)


def choose_sampler(sweep: Sweep) -> str:
    """Return the sampler's name; `auto` is the grid where every axis is a list, else qmc."""
    lists = is_grid(parse_space(sweep))
    if sweep.sampler == "grid" and not lists:
        raise RequestError("sweep.sampler: a grid is of lists of values; for ranges, qmc or tpe")
    if sweep.sampler != "auto":
        return sweep.sampler
    return "grid" if lists else "qmc"


def trial_count(sweep: Sweep) -> int:
    """Return the trials of the whole sweep, never more than a grid has points."""
    if choose_sampler(sweep) == "grid":
        size = grid_size(parse_space(sweep))
        return min(size, sweep.trials or size)
    return sweep.trials or 20


def best_config(plain: Mapping[str, Any], trial: Trial) -> dict[str, Any]:
    """Return the configuration of the best trial as plain values, without the sweep."""
    return dump(replace(configured(plain, trial.params), sweep=None))


def redacted_space(plain: Mapping[str, Any], sweep: Sweep) -> Space:
    """Return the axes with every value from the environment as a reference again.

    Raises RequestError for a secret that is written out, as its trial could not be repeated.
    """
    redacted = stored(plain)["sweep"]
    for block in ("scientific", "nuisance"):
        for key, values in redacted[block].items():
            if HIDDEN in str(values) and HIDDEN not in str(getattr(sweep, block)[key]):
                raise RequestError(
                    f"sweep.{block}.{key}: a secret is among the values, and a sweep keeps its "
                    "values in a file; write ${oc.env:NAME}, and NAME under `runtime.env`"
                )
    return parse_space(
        replace(sweep, scientific=redacted["scientific"], nuisance=redacted["nuisance"])
    )
