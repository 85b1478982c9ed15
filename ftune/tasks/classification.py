"""Which class a row belongs to, or which labels hold for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.errors import DataError, RequestError
from ftune.tasks import LOSSES
from ftune.tasks.protocol import check_loss

if TYPE_CHECKING:
    from torch import Tensor

    from ftune.tasks.classification_task import ClassificationTask
    from ftune.tasks.multi_label_task import MultiLabelTask


@dataclass(frozen=True)
class Classification:
    """One class per row (softmax cross-entropy), or several labels (a sigmoid each)."""

    main: ClassVar[tuple[str, Literal["max", "min"]]] = ("accuracy", "max")

    class_weights: dict[str, float] | Literal["balanced"] | None = setting(
        None, words=("balanced",), open=True
    )
    """Weight of each class in the loss, those not named 1; `balanced` is rows / (classes · rows of
    the class) on the training split, as in scikit-learn."""
    loss: str = setting("cross_entropy")
    """cross_entropy (for several labels the binary one), or a loss that --code registers."""
    label_smoothing: float = setting(0.0, at_least=0, below=1)
    """Share of each target spread evenly over all classes (Szegedy et al. 2016)."""
    multi_label: bool = setting(False)
    """Whether the targets are 0/1 columns of which any number may hold."""
    positive: str | None = setting(None)
    """With two classes: the one that f1, precision, recall and auc are about; null is the last."""
    threshold: float = setting(0.5, above=0, below=1)
    """With multi_label: a label is predicted from this probability on."""

    def __post_init__(self) -> None:
        check_loss(self.loss, ("cross_entropy",))
        if self.loss != "cross_entropy" and (self.label_smoothing or self.multi_label):
            other = "multi_label" if self.multi_label else "label_smoothing"
            raise SettingError("loss", f"`{self.loss}` does not go with `{other}`")
        if isinstance(self.class_weights, dict):
            _check_weights(self.class_weights.values())
        if self.multi_label and self.class_weights == "balanced":
            raise SettingError(
                "class_weights", "`balanced` is for one class per row; with multi_label, map labels"
            )
        if self.multi_label and self.positive is not None:
            raise SettingError("positive", "is for two classes; it does not go with multi_label")
        if not self.multi_label and self.threshold != 0.5:
            raise SettingError("threshold", "is for `multi_label: true` only")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names that `eval.metric` may have, those of two classes among them."""
        kinds = ("exact",) if self.multi_label else ("f1", "precision", "recall", "auc")
        return ("loss", "accuracy", "macro_f1", *kinds)

    @property
    def target_kind(self) -> Literal["classes", "labels"]:
        return "labels" if self.multi_label else "classes"

    def build(
        self,
        classes: tuple[str, ...],
        target_names: tuple[str, ...],
        train_targets: Tensor,
        invert: Callable[[Tensor], Tensor],  # noqa: ARG002
        vocabulary: int,  # noqa: ARG002
    ) -> ClassificationTask | MultiLabelTask:
        """`train_targets`: int64 [rows], or [rows, labels] of 0 and 1.

        Raises DataError for fewer than two classes, RequestError for a class that is not there.
        """
        if self.multi_label:
            from ftune.tasks.multi_label_task import MultiLabelTask

            weights = self._weights(target_names)
            return MultiLabelTask(target_names, weights, self.label_smoothing, self.threshold)
        from ftune.tasks.classification_task import ClassificationTask

        if len(classes) < 2:
            raise DataError(f"the target has one class only ({', '.join(classes)}); two are needed")
        weights = self._weights(classes)
        if self.class_weights == "balanced":
            weights = _balanced(train_targets, len(classes))
        own = LOSSES.get(self.loss)
        return ClassificationTask(
            classes, weights, self.label_smoothing, self._positive(classes), own
        )

    def _weights(self, names: tuple[str, ...]) -> list[float] | None:
        if not isinstance(self.class_weights, dict):
            return None
        for name in self.class_weights:
            _check_name("task.class_weights", name, names)
        weights = [self.class_weights.get(name, 1.0) for name in names]
        if not any(weights):
            raise RequestError("task.class_weights: every class has weight 0; nothing is learned")
        return weights

    def _positive(self, classes: tuple[str, ...]) -> int | None:
        """Position of the positive class; None for more than two classes."""
        if self.positive is None:
            return 1 if len(classes) == 2 else None
        _check_name("task.positive", self.positive, classes)
        if len(classes) > 2:
            raise RequestError(
                f"task.positive: is for two classes, the target has {len(classes)}; leave it out"
            )
        return classes.index(self.positive)


def _check_weights(weights: Iterable[float]) -> None:
    if any(not math.isfinite(weight) or weight < 0 for weight in weights):
        raise SettingError("class_weights", "a weight is a number of at least 0")


def _check_name(key: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise RequestError(f"{key}: `{name}` is not a class of the target; they are {shown}")


def _balanced(targets: Tensor, classes: int) -> list[float]:
    """rows / (classes · rows of the class); a class without rows counts as one of a single row."""
    counts = targets.bincount(minlength=classes).clamp(min=1).double()
    weights: list[float] = (len(targets) / (classes * counts)).tolist()
    return weights
