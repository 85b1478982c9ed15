"""Predicted bytes of a network that are counted by hand, and a probe that moves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.apart import apart
from support.trainings import configuration

from ftune.assembly.build import build, read_data
from ftune.plan.memory import Memory, nbytes, predict, saved_bytes
from ftune.plan.probe import Probe
from ftune.runtime import usage

PLAIN = {
    "task": "classification",
    "data": {"source": "sklearn", "name": "iris", "split": {"val": 30, "test": 0}},
    "model": {"name": "mlp", "width": 16, "depth": 1},
    "optimizer": {"name": "adamw", "lr": 0.1},
    "train": {"steps": 3, "batch_size": 8},
    "runtime": {"threads": 1, "device": "cpu"},
}
NUMBERS = 4 * 16 + 16 + 16 * 3 + 3
STEPS_OF_ADAM = 4 * 4
"""Adam counts its steps in a number of 4 bytes for each of 4 tensors."""


def probe(*changes: str) -> Probe:
    config = configuration(*changes, plain=PLAIN)
    return Probe(build(config, read_data(config)), config)


def memory(*changes: str) -> Memory:
    return predict(probe(*changes), 0)


def test_the_bytes_of_a_network_are_those_counted_by_hand() -> None:
    counted = memory()
    assert counted.parameters == 4 * NUMBERS
    assert counted.gradients == 4 * NUMBERS
    assert counted.optimizer == 8 * NUMBERS + STEPS_OF_ADAM
    assert counted.average == 0
    assert counted.logits == 4 * 8 * 3


@pytest.mark.parametrize(
    ("changes", "optimizer", "average"),
    [
        (["optimizer={name: sgd, lr: 0.1, momentum: 0}"], 0, 0),
        (["optimizer={name: sgd, lr: 0.1, momentum: 0.9}"], 4 * NUMBERS, 0),
        (["train.ema=0.9", "optimizer={name: sgd, lr: 0.1, momentum: 0}"], 0, 4 * NUMBERS),
    ],
)
def test_other_settings_hold_other_tensors(
    changes: list[str], optimizer: int, average: int
) -> None:
    counted = memory(*changes)
    assert (counted.optimizer, counted.average) == (optimizer, average)


def test_frozen_parameters_have_no_gradient() -> None:
    head = "adapt=[{match: '*', train: false}, {match: 'head.*', train: true}]"
    assert memory(head).gradients == 4 * (16 * 3 + 3)


def test_a_larger_batch_keeps_more_for_the_backward_pass() -> None:
    small, large = memory("train.batch_size=8"), memory("train.batch_size=64")
    assert large.activations + large.logits > 4 * (small.activations + small.logits)


def test_each_storage_counts_once_and_parameters_do_not() -> None:
    tensor = torch.zeros(10)
    assert nbytes([tensor, tensor[:3], torch.zeros(2)]) == 48
    rehearsal = probe()
    with saved_bytes(rehearsal) as saved:
        (rehearsal.parts.model(torch.ones(8, 4)) ** 2).sum().backward()
    inputs, hidden, outputs = 8 * 4, 8 * 16, 8 * 3
    assert 4 * (inputs + hidden + outputs) <= saved() <= 4 * (inputs + 3 * hidden + 3 * outputs)


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_a_probe_leaves_the_weights_alone(rate: float) -> None:
    rehearsal = probe()
    before = {name: t.clone() for name, t in rehearsal.parts.model.state_dict().items()}
    for group in rehearsal.state.optimizers[0].param_groups:
        assert group["lr"] == 0
        group["lr"] = rate  # with another rate, the control, they move
    predict(rehearsal, 0)
    after = rehearsal.parts.model.state_dict()
    same = all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert same == (rate == 0)


@pytest.mark.skipif(not usage.CLEAR.exists(), reason="only Linux tells the peak")
def test_the_peak_is_that_since_it_was_asked_for(tmp_path: Path) -> None:
    def peaks() -> tuple[int, int, int]:
        cpu, seen = torch.device("cpu"), list[int]()
        tensor = torch.ones(50_000_000)
        seen.append(usage.peak(cpu) or 0)
        del tensor
        seen.append(usage.peak(cpu) or 0)
        usage.restart_peak(cpu)
        return seen[0], seen[1], usage.peak(cpu) or 0

    high, later, low = apart(peaks, tmp_path)
    assert later > high - 2**23  # counted to some pages of each thread
    assert high - low > 150_000_000


def test_without_a_count_of_the_system_the_parts_are_summed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(usage, "CLEAR", tmp_path / "absent")
    counted = predict(probe(), usage.used(torch.device("cpu")))
    assert not counted.measured
    assert counted.peak == counted.step >= 4 * 4 * NUMBERS
