"""P1: the same command twice gives the same bytes; config.yaml of a run reproduces it."""

from __future__ import annotations

import json
from pathlib import Path

from support.again import KINDS, configured, prepare, rerun_alone, run_alone, run_kind, saved_bytes
from support.children import DONE, launch
from support.ledger import Ledger, full

from ftune.report.run_diff import results
from ftune.runs.folder import RunFolder


def alone(*work: object) -> None:
    """Each run in a process of its own: what one leaves behind in memory helps no other."""
    child = launch(*work)  # type: ignore[arg-type]
    child.join(300)
    assert child.exitcode == DONE


def test_the_same_twice(ledger: Ledger, tmp_path: Path) -> None:
    prepare(tmp_path)
    kinds, parted = list(KINDS), []
    count = max(full(20), len(kinds))
    for number in range(count):
        kind = kinds[number % len(kinds)]
        one, other, said = (tmp_path / f"{number}-{name}" for name in ("one", "other", "said"))
        alone(run_alone, kind, tmp_path, number, one)
        alone(rerun_alone, one, other, said)
        summary = json.loads(said.read_text(encoding="utf-8"))
        if not summary["identical"] or saved_bytes(one) != saved_bytes(other):
            parted.append((kind, number, summary["difference"]))
    assert parted == []
    ledger.counted("P1", count, len(parted), f"runs of {', '.join(kinds)}, run again from a run's "
                   "config.yaml in another process")  # fmt: skip


def test_control_another_seed(ledger: Ledger, tmp_path: Path) -> None:
    """What the comparison must see: the same runs with another seed, in every kind."""
    prepare(tmp_path)
    missed = []
    for kind in KINDS:
        for seed in (0, 1):
            run_kind(kind, configured(kind, tmp_path, seed), tmp_path / f"{kind}-{seed}")
        found = results(RunFolder(tmp_path / f"{kind}-0"), RunFolder(tmp_path / f"{kind}-1"))
        missed += [kind] if next(found, None) is None else []
    ledger.control("P1", not missed, "another seed")
