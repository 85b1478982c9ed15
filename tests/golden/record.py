"""Trains golden runs where it stands and writes traces.json: `python -m golden.record [NAME …]`."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from golden.inputs import write_inputs
from golden.runs import RUNS

Trace = dict[str, Any]
"""losses: float.hex of each step. scores: of each evaluation. weights: SHA-256 of each tensor."""
NO_SCORES = {"step", "epoch", "split", "lr", "time"}


def record(names: Iterable[str]) -> dict[str, Trace]:
    """Trains the runs of these names, bases first, in this folder; returns the trace of each."""
    write_inputs(Path())
    needed = dict.fromkeys(b for name in names for b in (RUNS[name].base, name) if b)
    for name in needed:
        _train(name)
    return {name: trace(Path("runs") / name) for name in names}


def trace(run: Path) -> Trace:
    """What a run, or each trial of a sweep, went through."""
    trials = sorted((run / "trials").glob("*/metrics.jsonl"))
    if trials:
        return {file.parent.name: trace(file.parent) for file in trials}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return {
        "losses": [float.hex(line["loss"]) for line in lines if line["split"] == "train"],
        "scores": [_scores(line) for line in lines if line["split"] != "train"],
        "weights": _weights(run) if (run / "checkpoints").exists() else {},
    }


def _train(name: str) -> None:
    import ftune

    golden = RUNS[name]
    base = f"runs/{golden.base}" if golden.base else None
    ftune.run(golden.command, golden.config, base=base, out=f"runs/{name}")


def _scores(line: Mapping[str, Any]) -> dict[str, str]:
    return {key: float.hex(float(line[key])) for key in line if key not in NO_SCORES}


def _weights(run: Path) -> dict[str, str]:
    """Of the delivered model, as `ftune export` writes it."""
    import numpy as np
    from safetensors.torch import load_file

    from ftune.cli import main

    file = str(run / "exported.safetensors")
    sys.argv = ["ftune", "export", str(run), "--format", "safetensors", "--out", file, "--quiet"]
    with suppress(SystemExit):
        main()
    tensors = {name: tensor.view(-1).numpy() for name, tensor in sorted(load_file(file).items())}
    return {
        name: hashlib.sha256(np.ascontiguousarray(tensor).tobytes()).hexdigest()[:16]
        for name, tensor in tensors.items()
    }


if __name__ == "__main__":
    traces = record(sys.argv[1:] or list(RUNS))
    Path("traces.json").write_text(json.dumps(traces), encoding="utf-8")
