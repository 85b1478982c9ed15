"""N2: out of memory, the micro-batch shrinks; the effective batch and its rows do not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from support.children import launch
from support.ledger import Ledger, full
from support.tight import MIB, ROWS, plain, train_within, write_rows

from ftune.runs import checkpoint
from ftune.runs.folder import RunFolder, read_metrics


def run(out: Path, configuration: dict[str, Any], spare: int | None, shrinks: bool = True) -> int:
    child = launch(train_within, out, configuration, spare, shrinks)
    child.join(120)
    assert child.exitcode is not None
    return child.exitcode


def close(one: Path, other: Path) -> bool:
    """The same losses and weights, to rounding."""
    losses = [
        [m["loss"] for m in read_metrics(out / "metrics.jsonl") if m["split"] == "train"]
        for out in (one, other)
    ]
    states = [checkpoint.newest_valid(out / "checkpoints")[0].model for out in (one, other)]
    weights = all(torch.allclose(t, states[1][k], atol=1e-6) for k, t in states[0].items())
    one_by_one = zip(*losses, strict=True)
    return weights and all(math.isclose(a, b, rel_tol=1e-5) for a, b in one_by_one)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tight") / "rows.npz"
    write_rows(found)
    return found


def told(out: Path) -> dict[str, Any]:
    return dict(json.loads(out.with_suffix(".json").read_text()))


def test_n2_shrinks(file: Path, tmp_path: Path, ledger: Ledger) -> None:
    assert run(tmp_path / "whole", plain(file), None) == 0
    assert told(tmp_path / "whole")["split"] == 1
    failures, splits = 0, set()
    limits = [150 + 12 * i for i in range(full(12))]
    for spare in limits:
        out = tmp_path / f"run-{spare}"
        code = run(out, plain(file), spare * MIB)
        splits.add(told(out)["split"])
        rows = {n for batch in told(out)["rows"] for n in batch}
        failures += code != 0 or rows != set(range(ROWS)) or not close(tmp_path / "whole", out)
    assert max(splits) >= 2, f"the limits were not tight enough: {splits}"
    ledger.counted("N2", len(limits), failures, f"memory limits, splits {sorted(splits)}")


def test_n2_refuses_batch_statistics(file: Path, tmp_path: Path, ledger: Ledger) -> None:
    for spare in (230, 210, 190, 170):  # how much is enough differs with the load of the machine
        out = tmp_path / f"norm-{spare}"
        if code := run(out, plain(file, norm=True), spare * MIB):
            break
        assert told(out)["split"] == 1
    reason = str(RunFolder(out).facts().get("reason"))
    refused = code == 1 and "`norm` normalises by the statistics of its batch" in reason
    ledger.counted("N2", 1, int(not refused), "batch statistics refused")


def test_n2_control(file: Path, tmp_path: Path, ledger: Ledger) -> None:
    """With the refusal taken away, a model with batch statistics must give another result."""
    assert run(tmp_path / "whole", plain(file, norm=True), None) == 0
    code = run(tmp_path / "control", plain(file, norm=True), 230 * MIB, shrinks=False)
    assert code == 0 and told(tmp_path / "control")["split"] > 1
    different = not close(tmp_path / "whole", tmp_path / "control")
    ledger.control("N2", different, "batch statistics of split batches")
