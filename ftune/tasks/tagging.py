"""Which class each word of a text belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ftune.config.fields import setting
from ftune.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from ftune.tasks.tagging_task import TaggingTask


@dataclass(frozen=True)
class TokenClassification:
    """One class per word, as named entities in BIO (Ramshaw and Marcus 1995), BIOES or BILOU."""

    main: ClassVar[tuple[str, Literal["max", "min"]]] = ("macro_f1", "max")
    metrics: ClassVar[tuple[str, ...]] = ("loss", "accuracy", "macro_f1", "entity_f1")

    label_smoothing: float = setting(0.0, at_least=0, below=1)
    """Share of each target spread evenly over all tags (Szegedy et al. 2016)."""

    @property
    def target_kind(self) -> Literal["tags"]:
        return "tags"

    def build(
        self,
        classes: tuple[str, ...],
        target_names: tuple[str, ...],  # noqa: ARG002
        train_targets: Tensor | None,  # noqa: ARG002
        invert: Callable[[Tensor], Tensor],  # noqa: ARG002
        vocabulary: int,  # noqa: ARG002
    ) -> TaggingTask:
        """Raises DataError for fewer than two tags."""
        from ftune.tasks.tagging_task import TaggingTask

        if len(classes) < 2:
            raise DataError(f"the target has one tag only ({', '.join(classes)}); two are needed")
        return TaggingTask(classes, self.label_smoothing)
