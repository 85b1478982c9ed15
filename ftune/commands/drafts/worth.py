"""Scores of a linear model and of boosted trees on a sample, which choose the model's depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ftune.commands.drafts.roles import Roles
from ftune.data.frame import Frame, as_text
from ftune.data.profile.leaks import codes
from ftune.log_suppression import quiet

ROWS = 3_000
COLUMNS = 500
CLASSES = 20
FOLDS = 3
TEST = 0.2


@dataclass(frozen=True)
class Worth:
    """Scores out of sample (accuracy, R²) of a linear model and of boosted trees."""

    linear: float
    trees: float
    rows: int

    @property
    def straight(self) -> bool:
        """Tell whether a linear model is enough: no worse than trees by more than chance."""
        return self.linear >= self.trees - 0.25 / float(np.sqrt(self.rows))


def worth(frame: Frame, roles: Roles) -> Worth | None:
    """Return the scores; None where it would take too long or there are too few rows."""
    sample = sampled(frame, roles)
    if sample is None:
        return None
    frame, y = sample
    numbers, texts = roles.inputs("number"), roles.inputs("text")
    x = np.stack([codes(frame, name) for name in (*numbers, *texts)], axis=1)
    with quiet():
        both = models(roles, len(numbers), x.shape[1])
        line, trees = (_score(model, x, y, roles.classes) for model in both)
    return Worth(line, trees, len(y))


def sampled(frame: Frame, roles: Roles) -> tuple[Frame, Any] | None:
    """Return a sample of the rows and its target; None as in `worth`."""
    if roles.separator:
        return None
    target = roles.target.value
    rows = np.flatnonzero(~frame.missing(target))
    frame = frame.take(np.random.default_rng(0).permutation(rows)[:ROWS])
    width = len(roles.inputs("number")) + len(roles.inputs("text"))
    y = as_text(frame[target]).astype(str) if roles.classes else frame[target]
    if not 0 < width <= COLUMNS or len(y) < 10 * FOLDS:
        return None
    if not roles.classes:
        return frame, y
    values, classes, counts = np.unique(y, return_inverse=True, return_counts=True)
    frequent = counts[classes] >= FOLDS
    y, frame = classes[frequent], frame.take(frequent)
    return None if len(values) > CLASSES or len(np.unique(y)) < 2 else (frame, y)


def trend(frame: Frame, roles: Roles) -> bool:
    """Tell whether the year helps to predict later rows, beside the other columns.

    Models are fitted on the earlier rows and scored on later ones; test rows are left out.
    """
    if roles.time is None:
        return False
    target, time = roles.target.value, roles.time.value
    frame = frame.take(np.flatnonzero(~frame.missing(target)))
    order = np.argsort(frame[time], kind="stable")
    frame = frame.take(order[: int(len(order) * (1 - TEST))][-ROWS:])
    numbers, texts = roles.inputs("number"), roles.inputs("text")
    if len(numbers) + len(texts) > COLUMNS or len(frame) < 10 * FOLDS:
        return False
    dates = frame[time]
    years = dates.astype("datetime64[Y]").astype(np.float64)
    months = dates.astype("datetime64[M]").astype(np.int64) % 12
    x = np.stack([years, months, *(codes(frame, name) for name in (*numbers, *texts))], axis=1)
    y = as_text(frame[target]).astype(str) if roles.classes else frame[target]
    cut = int(len(y) * (1 - TEST))
    if len(np.unique(years[:cut])) < 2 or len(np.unique(y[:cut])) < 2:
        return False
    with quiet():
        plain = _forward(roles, len(numbers) + 1, x[:, 1:], y, cut)
        dated = _forward(roles, len(numbers) + 2, x, y, cut)
    return dated - plain > 0.5 / float(np.sqrt(len(y) - cut))


def _forward(roles: Roles, numbers: int, x: Any, y: Any, cut: int) -> float:
    """Return the better score of both models on the rows from `cut` on, fitted on those before."""
    both = models(roles, numbers, x.shape[1])
    return float(max(model.fit(x[:cut], y[:cut]).score(x[cut:], y[cut:]) for model in both))


def models(roles: Roles, numbers: int, width: int) -> tuple[Any, Any]:
    """Return a linear model and boosted trees; of `width` columns the first are `numbers`."""
    from sklearn import ensemble, linear_model
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    flags = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5)
    inputs = make_column_transformer(
        (scaled, [*range(numbers)]), (flags, [*range(numbers, width)]), sparse_threshold=0
    )
    if roles.classes:
        line: Any = linear_model.LogisticRegression(max_iter=500)
        return make_pipeline(inputs, line), ensemble.HistGradientBoostingClassifier(max_iter=100)
    line = linear_model.RidgeCV()
    return make_pipeline(inputs, line), ensemble.HistGradientBoostingRegressor()


def _score(model: Any, x: Any, y: Any, classes: bool) -> float:
    from sklearn.model_selection import cross_val_score

    return float(cross_val_score(model, x, y, cv=folds(classes)).mean())


def folds(classes: bool) -> Any:
    """Return the splitter of the cross-validation."""
    from sklearn.model_selection import KFold, StratifiedKFold

    return (StratifiedKFold if classes else KFold)(FOLDS, shuffle=True, random_state=0)
