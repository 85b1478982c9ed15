"""How large one or several numbers are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.tasks import LOSSES
from ftune.tasks.protocol import check_loss

if TYPE_CHECKING:
    from torch import Tensor

    from ftune.tasks.regression_task import RegressionTask


@dataclass(frozen=True)
class Regression:
    """One output per target column; several targets count equally in the loss."""

    main: ClassVar[tuple[str, Literal["max", "min"]]] = ("rmse", "min")
    metrics: ClassVar[tuple[str, ...]] = ("loss", "rmse", "mae", "r2")

    loss: str = setting("mse")
    """mse (squared error), mae (absolute error), huber (squared up to `delta` and absolute beyond,
    Huber 1964), or a loss that --code registers."""
    delta: float = setting(1.0, above=0)
    """With huber: where it turns, in the unit that the model sees (after transforms)."""

    def __post_init__(self) -> None:
        check_loss(self.loss, ("mse", "mae", "huber"))
        if self.loss != "huber" and self.delta != 1:
            raise SettingError("delta", "is for `loss: huber` only")

    @property
    def target_kind(self) -> Literal["numbers"]:
        return "numbers"

    def build(
        self,
        classes: tuple[str, ...],  # noqa: ARG002
        target_names: tuple[str, ...],
        train_targets: Tensor,  # noqa: ARG002
        invert: Callable[[Tensor], Tensor],
        vocabulary: int,  # noqa: ARG002
    ) -> RegressionTask:
        """`invert` takes targets as the model sees them, [rows, targets], to their own unit."""
        from ftune.tasks.regression_task import RegressionTask

        return RegressionTask(target_names, self.loss, self.delta, invert, LOSSES.get(self.loss))
