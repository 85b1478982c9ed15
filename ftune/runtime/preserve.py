"""The global state of a process that a training changes, and how it is put back."""

from __future__ import annotations

import random
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch

from ftune.runtime.seeds import restore_rng, rng_state


@contextmanager
def preserve_globals() -> Iterator[None]:
    """Restore at the end of the block what trainings set for the whole process.

    That is the random states of torch, numpy and Python, threads, determinism, default dtype,
    warnings filters and signal handlers. Handlers of C code, which Python cannot set, stay.
    """
    generators = rng_state(), np.random.get_state(), random.getstate()
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    debug, benchmark = torch.get_deterministic_debug_mode(), torch.backends.cudnn.benchmark
    deterministic = torch.utils.deterministic
    fill = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    filters = list(warnings.filters)
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        restore_rng(generators[0])
        np.random.set_state(generators[1])
        random.setstate(generators[2])
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        torch.set_deterministic_debug_mode(debug)
        torch.backends.cudnn.benchmark = benchmark
        deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        if warnings.filters != filters:  # to set them would show each warning a second time
            warnings.resetwarnings()
            warnings.filters[:] = filters  # type: ignore[index]
        if threading.current_thread() is threading.main_thread():
            _restore_handlers(handlers)


def _restore_handlers(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) is not handler:
            with suppress(OSError):  # SIGKILL and SIGSTOP take none
                signal.signal(number, handler)
