"""Scaling of a linear model's inputs and target, chosen by cross-validation."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftune.commands.drafts.roles import Roles
from ftune.commands.drafts.worth import FOLDS, folds, models, sampled
from ftune.data.frame import Array, Frame
from ftune.data.profile.leaks import codes
from ftune.data.transforms.robust import Robust
from ftune.log_suppression import quiet

BOUNDS = (3.0, 30.0, 300.0)
"""Bounds of `robust`: its default, then those that leave long tails as they are."""
LESS = 0.9
"""Another scaling is chosen where its loss is below this share of the best, in each fold."""


@dataclass(frozen=True)
class Scaling:
    """bound: of `robust`. plain: a target of several orders of magnitude gets no logarithm.

    score: of a linear model so scaled; None with the default scaling. far: the columns with values
    beyond the default bound.
    """

    bound: float = BOUNDS[0]
    plain: bool = False
    score: float | None = None
    far: tuple[str, ...] = ()


def scaling(frame: Frame, roles: Roles) -> Scaling:
    """Return the narrowest bound that costs a linear model nothing, on all inputs.

    A wider one is taken where the loss is clearly lower in every fold: a tail that carries the
    trend is in all of them, a lone outlier in one.
    """
    sample = sampled(frame, roles)
    if sample is None:
        return Scaling()
    frame, y = sample
    names = [name for name in roles.inputs("number") if _scalable(frame[name])]
    state = Robust(columns=names).fit(frame, None)
    far, wide = tuple(n for n in names if state[n]["far"]), not roles.classes and logged(y)
    if not far and not wide:
        return Scaling()
    with quiet():
        best = _cross_validate(frame, roles, names, y, BOUNDS[0], wide)
        bound, log = BOUNDS[0], wide
        for candidate in itertools.product(BOUNDS if far else BOUNDS[:1], (wide, False)):
            trial = _cross_validate(frame, roles, names, y, *candidate)
            if (trial[0] < LESS * best[0]).all():
                best, (bound, log) = trial, candidate
    default = bound == BOUNDS[0] and log == wide
    return Scaling(bound, log != wide, None if default else best[1], far)


def _scalable(column: Array) -> bool:
    """Tell whether there are values enough for every fold, none of them infinite."""
    return not np.isinf(column).any() and int((~np.isnan(column)).sum()) >= 10 * FOLDS


def _cross_validate(
    frame: Frame, roles: Roles, names: list[str], y: Any, bound: float, log: bool
) -> tuple[Array, float]:
    """Return [folds] the loss of a linear model on inputs scaled by `robust`, and a mean score."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.metrics import log_loss, mean_squared_error

    numbers, texts = roles.inputs("number"), roles.inputs("text")
    line, _ = models(roles, len(numbers), len(numbers) + len(texts))
    if log:
        line = TransformedTargetRegressor(line, func=np.log1p, inverse_func=np.expm1)
    robust, losses, scores = Robust(bound, names), [], []
    for train, test in folds(roles.classes).split(y, y):
        scaled = robust.apply(frame, robust.fit(frame.take(train), None))
        x = np.stack([codes(scaled, name) for name in (*numbers, *texts)], axis=1)
        line.fit(x[train], y[train])
        loss = (
            log_loss(y[test], line.predict_proba(x[test]), labels=line.classes_)
            if roles.classes
            else mean_squared_error(y[test], line.predict(x[test]))
        )
        losses.append(loss)
        scores.append(line.score(x[test], y[test]))
    return np.array(losses), float(np.mean(scores))


def logged(values: Array) -> bool:
    """Tell whether a target is better predicted on a log scale."""
    low, high = float(values.min()), float(values.max())
    # An even spread over such a range would be bent by a logarithm.
    return low > 0 and high / low >= 20 and _skew(np.log1p(values)) < _skew(values)


def _skew(values: Array) -> float:
    """Return the absolute skewness: the third standardised moment."""
    return abs(float((((values - values.mean()) / (values.std() or 1.0)) ** 3).mean()))
