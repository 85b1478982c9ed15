"""Which token comes next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ftune.config.fields import setting

if TYPE_CHECKING:
    from torch import Tensor

    from ftune.tasks.language_task import LanguageModelTask


@dataclass(frozen=True)
class CausalLm:
    """Language modelling: each token from those before it (softmax cross-entropy)."""

    main: ClassVar[tuple[str, Literal["max", "min"]]] = ("loss", "min")
    metrics: ClassVar[tuple[str, ...]] = ("loss", "perplexity", "accuracy")

    label_smoothing: float = setting(0.0, at_least=0, below=1)
    """Share of each target spread evenly over the vocabulary (Szegedy et al. 2016), in training;
    loss and perplexity of an evaluation are those without it."""

    @property
    def target_kind(self) -> Literal["tokens"]:
        return "tokens"

    def build(
        self,
        classes: tuple[str, ...],  # noqa: ARG002
        target_names: tuple[str, ...],  # noqa: ARG002
        train_targets: Tensor | None,  # noqa: ARG002
        invert: Callable[[Tensor], Tensor],  # noqa: ARG002
        vocabulary: int,
    ) -> LanguageModelTask:
        """One output for each of the `vocabulary` token ids, at every position."""
        from ftune.tasks.language_task import LanguageModelTask

        return LanguageModelTask(vocabulary, self.label_smoothing)
