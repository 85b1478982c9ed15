"""What a training consists of: here the micro-batches, where one row has no batch statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ftune.assembly.build import build, read_data
from ftune.assembly.fault_policy import batch_loader
from ftune.assembly.loader import prefetched
from ftune.assembly.parts import Parts
from ftune.errors import ConfigError, RequestError
from ftune.schema.root import LANGUAGE, RunConfig

CASES = Path(__file__).resolve().parents[3] / "../shared/cases"
PLAIN: dict[str, Any] = {
    "task": "classification",
    "data": {"source": "sklearn", "name": "iris", "split": {"val": 10, "test": 10}},
    "model": {"name": "mlp", "width": 4, "norm": "batchnorm"},
    "optimizer": {"name": "adamw", "lr": 0.01},
    "train": {"epochs": 1},
    "runtime": {"device": "cpu", "threads": 1},
}
CONV: dict[str, Any] = {
    "data": {"source": "sklearn", "name": "digits", "limit": 17},
    "model": {
        "name": "sequential",
        "layers": [
            {"reshape": [1, 8, 8]}, {"conv2d": 2}, "batchnorm", "globalpool", {"linear": "out"},
        ],
    },
}  # fmt: skip
LONE = "batch statistics"


def parts_of(*changes: str, plain: dict[str, Any] | None = None) -> Parts:
    config = LANGUAGE.of(PLAIN | (plain or {}), changes)
    return build(config, read_data(config))


def trained(parts: Parts) -> list[int]:
    """Sizes of the micro-batches of an epoch, each of which goes through the model in training."""
    parts.phases.enter(0)
    take, sizes = prefetched(batch_loader(parts)), []
    for step in range(parts.batches.steps_per_epoch):
        for batch in take(step, 1):
            parts.model(batch["x"])
            sizes.append(len(batch["x"]))
    return sizes


@pytest.mark.parametrize(
    ("limit", "changes", "sizes", "note"),
    [
        (17, ("train.batch_size=16", "train.accumulate=2"), [9, 8], "shares the rows"),
        (97, ("train.batch_size=8", "train.accumulate=8"), [8] * 11 + [5, 4], "shares the rows"),
        (17, ("train.batch_size=16",), [16], "1 row is left out"),
        (18, ("train.batch_size=16", "train.accumulate=2"), [16, 2], ""),
        (17, ("train.batch_size=16", "model.norm=layernorm"), [16, 1], ""),
        (17, ("train.batch_size=5", "train.drop_last=true"), [5, 5, 5], "2 rows are left out"),
        (17, ("train.batch_size=16", "adapt=[{match: '*norm*', train: false}]"), [16, 1], ""),
        (17, ("train.batch_size=16", "adapt=[{match: '*norm*', from_epoch: 3}]"), [16], "1 row is"),
    ],
)
def test_no_row_is_lost_but_a_lone_step(
    limit: int, changes: tuple[str, ...], sizes: list[int], note: str
) -> None:
    parts = parts_of(f"data.limit={limit}", *changes)
    assert trained(parts) == sizes
    found = [text for text in parts.notes if "row" in text]
    assert len(found) == bool(note) and (not note or note in found[0])


def test_one_row_of_an_image_has_statistics_of_its_own() -> None:
    assert trained(parts_of("train.batch_size=16", plain=CONV)) == [16, 1]
    assert trained(parts_of("train.batch_size=1", plain=CONV)) == [1] * 17
    flat = [{"linear": 4}, "batchnorm", {"linear": "out"}]
    model = {"name": "sequential", "layers": flat}
    with pytest.raises(ConfigError, match="batch_size: 1 row has no batch statistics"):
        parts_of("train.batch_size=1", plain=CONV | {"model": model})


def test_torch_fails_on_a_lone_row() -> None:
    """The control: without all this the step would end in torch's error."""
    parts = parts_of("data.limit=17", "train.batch_size=16")
    parts.phases.enter(0)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        parts.model(batch_loader(parts).batch(0, torch.tensor([3]))["x"])


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_batch_size_of_one_is_refused(accumulate: int) -> None:
    words = ("train.batch_size=1", f"train.accumulate={accumulate}")
    with pytest.raises(ConfigError, match="batch_size: 1 row") as caught:
        LANGUAGE.of(PLAIN, words)
    assert "`model.norm`" in str(caught.value) and "layernorm" in str(caught.value)
    assert LANGUAGE.of(PLAIN, (*words, "model.norm=none")).train.batch_size == 1
    frozen = "adapt=[{match: 'layer2.*', train: false}]"  # what stays only building tells
    with pytest.raises(RequestError, match="batch_size: 1 row has no batch statistics"):
        parts_of(*words, frozen)


def test_a_single_training_row_is_refused() -> None:
    with pytest.raises(RequestError, match="the only training row"):
        parts_of("data.limit=1", "data.transforms=[]")


@pytest.fixture(params=["24-batchnorm-last-row/bn.yaml", "80-batchnorm-accumulate/t.yaml"])
def case(request: pytest.FixtureRequest) -> Path:
    if not CASES.is_dir():
        pytest.skip("needs ../shared/cases")
    return CASES / str(request.param)


def test_the_cases(case: Path) -> None:
    def load(*changes: str) -> RunConfig:
        return LANGUAGE.load(case, changes)

    with pytest.raises(ConfigError, match=LONE):
        load("train.batch_size=1")
    for changes in (("train.batch_size=4", "train.accumulate=8"), ("train.accumulate=2",)):
        config = load(*changes)
        parts = build(config, read_data(config))
        assert sum(trained(parts)) == len(parts.dataset.train) == 49
