"""Where two recordings of golden runs differ, to the bit or within a tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from golden.record import Trace
from golden.runs import RUNS


def differences(old: Mapping[str, Trace], new: Mapping[str, Trace], bits: bool) -> list[str]:
    """The first difference of each run and kind of value, in words.

    bits: compare losses, scores and weights to the bit; else losses alone, within the relative
    tolerance of each run: a metric of few rows, like a hash, may jump by rounding.
    """
    answers = [f"{name}: recorded on one side only" for name in old.keys() ^ new.keys()]
    for name in sorted(old.keys() & new.keys()):
        tolerance = 0.0 if bits else RUNS[name].tolerance
        answers += [f"{name}: {text}" for text in _of_run(old[name], new[name], tolerance)]
    return answers


def _of_run(old: Trace, new: Trace, tolerance: float) -> Iterator[str]:
    if "losses" not in old:  # a sweep: each trial has its own
        for trial in sorted(old.keys() | new.keys()):
            if trial not in old or trial not in new:
                yield f"trial {trial} on one side only"
            else:
                yield from (
                    f"trial {trial}: {t}" for t in _of_run(old[trial], new[trial], tolerance)
                )
        return
    yield from _first(_numbers(old), _numbers(new), tolerance)
    if not tolerance:
        yield from _first(old["scores"], new["scores"], 0.0, "evaluation")
        if old["weights"] != new["weights"]:
            changed = dict(old["weights"].items() ^ new["weights"].items())
            yield f"weights: {len(changed)} tensors, {min(changed)} first"


def _numbers(trace: Trace) -> list[str]:
    return [*trace["losses"], *(scores["loss"] for scores in trace["scores"])]


def _first(old: list[Any], new: list[Any], tolerance: float, what: str = "loss") -> Iterator[str]:
    for index, (a, b) in enumerate(zip_longest(old, new)):
        if a != b and not (tolerance and _near(a, b, tolerance)):
            yield f"{what} {index}: {_shown(a)} -> {_shown(b)}"
            return


def _near(a: str | None, b: str | None, tolerance: float) -> bool:
    if a is None or b is None:
        return False
    return math.isclose(float.fromhex(a), float.fromhex(b), rel_tol=tolerance, abs_tol=1e-6)


def _shown(value: Any) -> str:
    return repr(float.fromhex(value)) if isinstance(value, str) else str(value)
