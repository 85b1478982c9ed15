"""What of pytest's own process must be after a test as it was before."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping
from typing import Any

import torch

LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_")]
OF_LIBRARIES = ("PYTEST_", "CUBLAS_", "TOKENIZERS_", "TORCH", "TRITON_", "KMP_", "CC", "CXX")
"""How variables begin that pytest sets, ftune where it trains, and torch, scikit-learn and PEFT
where parts of them are imported: once, for the whole process."""


def state() -> dict[str, Any]:
    """Limits, umask, signals, working directory, environment and threads, by name."""
    mask = os.umask(0o077)
    os.umask(mask)
    limits = {name: resource.getrlimit(getattr(resource, name)) for name in LIMITS}
    handlers = {f"handler of {s.name}": signal.getsignal(s) for s in signal.Signals}
    environment = {
        f"variable {k}": v for k, v in os.environ.items() if not k.startswith(OF_LIBRARIES)
    }
    return {
        "umask": mask, **limits, **handlers, **environment,
        "blocked signals": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "timer": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        "working directory": os.getcwd(),  # noqa: PTH109
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "cores": os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
        "threads of torch": torch.get_num_threads(),
        "threads between operations": torch.get_num_interop_threads(),
    }  # fmt: skip


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """In words, what is another now; values of variables may be secrets and are not shown."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [
        name if name.startswith("variable") else f"{name}: {before.get(name)} -> {after.get(name)}"
        for name in names
    ]
