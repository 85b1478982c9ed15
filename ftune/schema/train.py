"""The `train:` block: length, batches, precision, and what is done about faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ftune.config.fields import block, group, setting
from ftune.config.read import SettingError
from ftune.schema.interval import Every
from ftune.tasks import OBJECTIVES


@dataclass(frozen=True)
class EarlyStop:
    """Ends a training that no longer improves."""

    patience: int = setting(at_least=1)
    """Evaluations in a row without improvement after which the training ends."""

    min_delta: float = setting(0.0, at_least=0)
    """How much better than at the last improvement the metric must become, to be one. It decides
    when the training ends, never which step is the best; with 0 every new best is one."""


@dataclass(frozen=True)
class NonFinite:
    """What is done about a step whose loss or gradient is not a finite number."""

    policy: Literal["stop", "skip", "rollback"] = setting("stop")
    """`stop` ends the run; `skip` leaves the step out; `rollback` leaves it out and takes the
    weights and the optimizer's state back from the last checkpoint. None of them updates."""

    limit: int = setting(10, at_least=1)
    """After so many faults in a run, spikes included, the next one ends it."""


@dataclass(frozen=True)
class SpikeGuard:
    """Watches for a loss far above the recent ones, before it moves anything."""

    threshold: float = setting(8.0, above=0)
    """How far above the median of the recent losses, in standard deviations."""

    window: int = setting(100, at_least=10)
    """How many recent losses it is compared with; until then nothing is a spike."""

    policy: Literal["stop", "skip", "rollback"] = setting("skip")
    """What is done about it, as under `non_finite`."""


@dataclass(frozen=True)
class Train:
    """The length of the training and the making of one step."""

    epochs: float = setting(20, above=0, fact="length")
    """Passes over the training split."""

    steps: int | None = setting(None, at_least=1, fact="length")
    """Optimizer steps; replaces `epochs`."""

    minutes: float | None = setting(None, above=0, fact="length")
    """Minutes that steps, evaluations and final scores may take; replaces `epochs`. The steps that
    fit are found by a short probe, and kept as `steps` in the run's own config.yaml. Logs and
    checkpoints are not in it: where a step takes less than a millisecond, a run takes longer."""

    batch_size: int = setting(64, at_least=1)
    """Rows in a micro-batch: what is in memory at once."""

    accumulate: int = setting(1, at_least=1)
    """Micro-batches in one optimizer step; k of b rows equal one of k·b."""

    drop_last: bool = setting(False)
    """Whether an epoch's last, smaller batch is left out."""

    clip_norm: float | None = setting(None, above=0)
    """Largest norm of the whole gradient; a longer one is scaled down."""

    clip_value: float | None = setting(None, above=0)
    """Largest absolute value of each entry of the gradient."""

    objective: Any = block(OBJECTIVES, default=None)
    """What a step minimises, if it is not the loss of the task: one that --code registers."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = setting("auto")
    """Number format of the forward pass; `auto` is bf16 on GPUs that have it, else fp32. fp16 skips
    steps whose gradients overflow; they count as steps, the schedule waits for the next."""

    activation_checkpointing: bool = setting(False, exact=False)
    """Whether each block keeps only its inputs and computes its activations again in the backward
    pass: much less memory for about a third more time, and the same numbers to the bit."""

    cache: Literal["auto", "off", "on"] = setting("auto")
    """Whether what reaches the first trained layer is computed once for each row and kept (under
    `data.cache`, at most 20 GB), not in each step. Needs inputs without augmentation; losses are
    equal to rounding. `auto`: where by arithmetic the training becomes 1.3 times as fast or more,
    and saves 1e11 multiply-adds."""

    ema: float | None = setting(None, above=0, below=1)
    """Decay of an exponential moving average of the weights, used to evaluate and predict."""

    early_stop: EarlyStop | None = group(EarlyStop, short="patience", default=None, fact="length")
    """Ends the training when the metric stops improving; a bare number is the patience."""

    checkpoint_every: Every = group(Every, short="epochs", default=Every(minutes=1), exact=False)
    """How often the state is saved, besides every new best; a bare number means epochs."""

    keep: int = setting(1, at_least=1, exact=False)
    """How many of the newest checkpoints stay, besides the best."""

    keep_best: int = setting(1, at_least=1, exact=False)
    """How many of the best checkpoints stay; an evaluation that comes among them is saved."""

    non_finite: NonFinite = group(NonFinite, short="policy")
    """What is done about a loss or gradient that is not finite; a bare word is the policy."""

    spike_guard: SpikeGuard | None = group(SpikeGuard, short="threshold", default=None)
    """Leaves out steps whose loss jumps; a bare number is the threshold. Off by default."""

    log_every: int | None = setting(None, at_least=1, exact=False)
    """Steps between two lines of metrics.jsonl; default ten an epoch."""

    def __post_init__(self) -> None:
        if self.steps is not None and self.minutes is not None:
            raise SettingError("minutes", "and `steps` both set the length; delete one of them")

    @property
    def rolls_back(self) -> bool:
        """Whether a fault may take weights back from a checkpoint."""
        spikes = self.spike_guard.policy if self.spike_guard else None
        return "rollback" in (self.non_finite.policy, spikes)
