"""One rank of a training of several processes: `python -m support.ranks CASE RANK WORLD FILE`.

Prints what the rank saw as JSON. CASE: train; unreduced (each rank divides by its own weight);
nan, memory or stop: rank 1 alone meets a loss that is not finite, too little memory, a signal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from ftune.data.batches import Batches
from ftune.distributed.group import Group, ProcessGroup, Solo, rank_slice
from ftune.engine.callback import NullCallback
from ftune.engine.decision import Decision
from ftune.engine.faults import FaultPolicy, ResilientStep, Statistics
from ftune.engine.loop import Job, fit
from ftune.engine.selection import Selection
from ftune.engine.state import State
from ftune.engine.step import Step, StepResult
from ftune.errors import DivergedError, OutOfMemoryError
from ftune.objectives import Batch, TaskObjective
from ftune.optim.schedule import Curve

T = TypeVar("T")
SECONDS = 60
"""After which a rank that waits for another gives up: a deadlock is a failure, not a hang."""
ROWS, CLASS_WEIGHTS = 23, torch.tensor([0.3, 2.0, 1.0], dtype=torch.float64)


class Unreduced(ProcessGroup):
    """Broken on purpose: sums and weights of the loss stay those of the rank."""

    def gather(self, value: T) -> list[T]:
        return [value]


def _group(case: str, rank: int, world: int, file: str) -> Group:
    if world == 1:
        return Solo()
    distributed.init_process_group(
        "gloo", init_method=f"file://{file}", rank=rank, world_size=world,
        timeout=timedelta(seconds=SECONDS),
    )  # fmt: skip
    return Unreduced() if case == "unreduced" else ProcessGroup()


def _loss(outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cross-entropy with class weights, so that equal shares of rows do not weigh the same."""
    y = batch["y"]
    return F.cross_entropy(outputs, y, CLASS_WEIGHTS, reduction="sum"), CLASS_WEIGHTS[y].sum()


class Training:
    """A small float64 training whose every step, fault and decision is written down."""

    def __init__(self, case: str, group: Group) -> None:
        torch.manual_seed(0)
        self.case, self.group = case, group
        self.x = torch.randn(ROWS, 4, dtype=torch.float64)
        self.y = torch.randint(3, (ROWS,))
        self.model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.05)
        for parameters in optimizer.param_groups:
            parameters["lr_scale"] = 1.0
        self.batches = Batches(ROWS, 5, accumulate=2, seed=3)
        self.state = State(
            self.model, [optimizer], Curve(0, lambda t: 1 / (1 + t)), lambda _: None, base_lr=0.05
        )
        self.losses: list[float] = []
        self.norms: list[float | None] = []
        self.warnings: list[str] = []

    def here(self) -> bool:
        """Whether this is the rank that meets the fault."""
        return self.group.rank == self.group.world - 1

    def feed(self, step: int, split: int) -> list[Batch]:
        rows = rank_slice(self.batches.indices(step), self.group)
        parts = [part for micro_batch in rows for part in micro_batch.chunk(split)]
        batches: list[Batch] = [{"x": self.x[part], "y": self.y[part]} for part in parts]
        if self.here() and step == 2 and self.case == "nan":
            batches = [{**batch, "x": batch["x"] * torch.nan} for batch in batches]
        if self.here() and step == 2 and split == 1 and self.case == "memory":
            raise_in = {"memory": torch.ones(())}
            batches = [{**batch, **raise_in} for batch in batches]
        return batches

    def forward(self, batch: Batch) -> tuple[Tensor, Batch]:
        if "memory" in batch:
            raise OutOfMemoryError("out of memory on one rank", shrinks=True)
        return self.model(batch["x"]), batch

    def shrink(self, state: State, batches: Sequence[Batch], error: OutOfMemoryError) -> None:
        del batches
        self.warnings.append(str(error))
        state.microbatch_splits *= 2

    def log(self, state: State, result: StepResult) -> None:
        del state
        self.losses.append(result.loss)
        self.norms.append(result.grad_norm)

    def decide(self, state: State, scores: Any) -> Decision:
        del scores
        stops = self.case == "stop" and self.here() and state.step == 4
        return Decision(stop="interrupted" if stops else None)

    def run(self) -> str:
        self.state.forward = self.forward
        policy = FaultPolicy("stop", "stop", 9, lambda *_: "", NullCallback(), self.shrink)
        step = Step(TaskObjective(_loss), clip_norm=0.5, group=self.group)
        job = Job(
            total=9, steps_per_epoch=self.batches.steps_per_epoch,
            step=ResilientStep(self.feed, step, policy, Statistics(self.model)),
            evaluate=lambda *_: None, decide=self.decide, save=lambda *_: None, log=self.log,
            inspect=lambda _: None, selection=Selection("loss", "min"), group=self.group,
        )  # fmt: skip
        try:
            return fit(self.state, job).reason
        except DivergedError as error:
            return str(error)


def result_of(case: str, rank: int, world: int, file: str) -> dict[str, Any]:
    training = Training(case, _group(case, rank, world, file))
    ending = training.run()
    weights = torch.cat([p.detach().flatten() for p in training.model.parameters()])
    return {
        "ending": ending, "losses": training.losses, "norms": training.norms,
        "weights": weights.tolist(), "split": training.state.microbatch_splits,
        "steps": training.state.step, "warnings": training.warnings,
    }  # fmt: skip


def ranks(case: str, world: int, folder: Path) -> list[dict[str, Any]]:
    """Run a case in `world` processes; return what each rank saw."""
    file = folder / f"{case}-{world}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "support.ranks", case, str(rank), str(world), str(file)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[1], env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for rank in range(world)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=2 * SECONDS) for process in processes]
    faults = [
        err for process, (_, err) in zip(processes, outputs, strict=True) if process.returncode
    ]
    assert not faults, "\n".join(faults)
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


if __name__ == "__main__":
    case_, rank_, world_, file_ = sys.argv[1:]
    sys.stdout.write(json.dumps(result_of(case_, int(rank_), int(world_), file_)) + "\n")
    sys.stdout.flush()
    if distributed.is_initialized():
        distributed.barrier()  # a rank that leaves early takes gloo's threads of the others along
        distributed.destroy_process_group()
    os._exit(0)  # gloo's threads may outlive the interpreter, which then is aborted
