"""The stored traces, with the machine whose bits they are."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path

from golden.record import Trace

FILE = Path(__file__).parents[1] / "equalities/golden/traces.json"


@dataclass(frozen=True)
class Stored:
    """machine: processor, torch and threads, where bits agree."""

    machine: dict[str, str]
    traces: dict[str, Trace]

    def write(self) -> None:
        FILE.parent.mkdir(exist_ok=True)
        text = json.dumps({"machine": self.machine, "traces": self.traces}, indent=1)
        FILE.write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def read() -> Stored:
        return Stored(**json.loads(FILE.read_text("utf-8")))


def machine() -> dict[str, str]:
    """What the bits of a training hang on."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "threads": "1",
    }
