"""Golden runs give the losses that are stored: to the bit on the machine that stored them."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden.__main__ import PROJECT, finish, start
from golden.compare import differences
from golden.record import Trace
from golden.runs import RUNS
from golden.stored import Stored, machine


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trace]:
    return finish(start(PROJECT, tmp_path_factory.mktemp("golden"), list(RUNS)))


def test_losses_are_those_that_are_stored(recorded: dict[str, Trace]) -> None:
    stored = Stored.read()
    assert not differences(stored.traces, recorded, bits=stored.machine == machine())


def test_losses_are_near_those_that_are_stored_on_every_machine(
    recorded: dict[str, Trace],
) -> None:
    assert not differences(Stored.read().traces, recorded, bits=False)


def test_every_run_takes_its_steps(recorded: dict[str, Trace]) -> None:
    """An empty trace would agree with anything."""
    for name, trace in recorded.items():
        for part in trace.values() if "losses" not in trace else [trace]:
            assert len(part["losses"]) in (10, 20), name
            assert len(part["scores"]) >= 3, name
            assert part["weights"], name


def changed(stored: dict[str, Trace], factor: float) -> dict[str, Trace]:
    """The traces with one loss of one run multiplied."""
    losses = list(stored["lora"]["losses"])
    losses[7] = float.hex(float.fromhex(losses[7]) * factor)
    return stored | {"lora": stored["lora"] | {"losses": losses}}


def test_the_last_bit_of_a_loss_is_a_difference_where_bits_are_compared() -> None:
    stored = Stored.read().traces
    planted = changed(stored, 1 + 2**-50)
    assert [t.split(":")[0] for t in differences(stored, planted, bits=True)] == ["lora"]
    assert not differences(stored, planted, bits=False)


def test_a_thousandth_is_a_difference_on_every_machine() -> None:
    stored = Stored.read().traces
    assert differences(stored, changed(stored, 1.001), bits=False)


def test_weights_trials_and_runs_that_are_missing_are_differences() -> None:
    stored = Stored.read().traces
    weights = stored["tags"] | {"weights": dict(list(stored["tags"]["weights"].items())[1:])}
    trials = dict(list(stored["sweep"].items())[1:])
    assert differences(stored, stored | {"tags": weights}, bits=True)
    assert differences(stored, stored | {"sweep": trials}, bits=False)
    assert differences(stored, {k: v for k, v in stored.items() if k != "lora"}, bits=False)


def test_another_training_is_another_trace(recorded: dict[str, Trace], tmp_path: Path) -> None:
    again = finish(start(PROJECT, tmp_path, ["two-optimizers"]))["two-optimizers"]
    assert not differences({"lora": recorded["two-optimizers"]}, {"lora": again}, bits=True)
    assert differences({"lora": recorded["classification"]}, {"lora": again}, bits=False)
