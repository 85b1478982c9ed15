"""The same request gives the same bits; another seed does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.trainings import assert_same, configuration, differences, trace, undisturbed

from ftune.schema.root import LANGUAGE

SHORT = ("train.epochs=2",)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("same") / "run"
    undisturbed(configuration(*SHORT), out)
    return out


def test_same_seed_same_bits(reference: Path, tmp_path: Path) -> None:
    undisturbed(configuration(*SHORT), tmp_path / "again")
    assert_same(trace(reference), trace(tmp_path / "again"))


def test_other_seed_differs(reference: Path, tmp_path: Path) -> None:
    undisturbed(configuration(*SHORT, "seed=4"), tmp_path / "other")
    found = differences(trace(reference), trace(tmp_path / "other"))
    assert {"latest/model/last.weight", "metrics", "latest/training/ema/last.weight"} <= set(found)


def test_config_of_the_run_reproduces_it(reference: Path, tmp_path: Path) -> None:
    undisturbed(LANGUAGE.load(reference / "config.yaml"), tmp_path / "again")
    assert_same(trace(reference), trace(tmp_path / "again"))


def test_evaluation_batches_change_nothing(reference: Path, tmp_path: Path) -> None:
    """Looking is not touching: another evaluation batch size leaves the training alone."""
    undisturbed(configuration(*SHORT, "eval.batch_size=7"), tmp_path / "again")
    found = differences(trace(reference), trace(tmp_path / "again"))
    assert not [name for name in found if "/model/" in name or "/optimizer/" in name]


def test_the_trace_sees_both_splits(reference: Path) -> None:
    """An empty trace would agree with anything."""
    found = trace(reference)
    assert {line["split"] for line in found["metrics"]} == {"train", "val"}
    assert {"model/last.weight", "training/ema/last.weight", "training/rng/cpu"} <= set(
        found["latest"]
    )
