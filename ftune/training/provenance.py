"""What a run depends on beside its configuration, as run.json keeps it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ftune.data.dataset import Dataset, fingerprint, raw_fingerprint
from ftune.errors import CheckpointError
from ftune.extend import loaded_code
from ftune.runs import checkpoint
from ftune.runs.files import read_json, sha256
from ftune.runs.nested import split_key
from ftune.runtime.device import choose
from ftune.runtime.precision import choose_precision
from ftune.runtime.threads import cores
from ftune.runtime.versions import versions
from ftune.schema.root import RunConfig
from ftune.security.consent import OPTION, opened
from ftune.security.redact import redact_words


def gathered(config: RunConfig, dataset: Dataset, threads: int | None = None) -> dict[str, Any]:
    """Seed, device, threads, precision, determinism, and sha256 of data, base and code.

    ran_code_from: the files whose code had consent; a note, which nothing reads back.
    threads: None where each part of the run chooses for itself.
    """
    device = choose(config.runtime.device)
    source = getattr(config.model, "source", None)
    return {
        "seed": config.seed,
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "threads": threads,
        "cores": cores(),
        "precision": choose_precision(config.train.precision, device).name,
        "determinism": determinism(),
        "data": fingerprint(dataset),
        "raw_targets": raw_fingerprint(dataset),
        "base": config.base,
        "base_sha256": base_fingerprint(config.base),
        "model_sha256": base_fingerprint(source) if source != config.base else None,
        "code": loaded_code(),
        "ran_code_from": opened(),
        "command_line": redact_words(sys.argv),
        "versions": versions(),
    }


def resume_words(folder: Path) -> str:
    """What follows `ftune resume` to go on with a run, the code that was given included."""
    words = [str(folder)]
    words += [word for file in loaded_code() for word in ("--code", file["file"])]
    words += [word for file in opened() for word in (OPTION, f"sha256:{file['sha256']}")]
    return shlex.join(words)


def determinism() -> dict[str, Any]:
    """The process's switches on which the last bits of a result depend."""
    cudnn: Any = torch.backends.cudnn
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "cudnn_benchmark": bool(cudnn.benchmark),
        "cudnn_deterministic": bool(cudnn.deterministic),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }


def base_fingerprint(names: str | Sequence[str] | None) -> str | None:
    """sha256 of the files that a run starts from, adapters included; of a run, its best step's.

    None without a base. A name on the hub stands for the revision that lies in the cache.
    """
    if not names:
        return None
    each = [names] if isinstance(names, str) else list(names)
    digests = [_of_one(name) for name in each]
    return digests[0] if len(digests) == 1 else _digest(digests)


def _of_one(name: str) -> str:
    path, key = split_key(name)
    if path.is_file():
        return _digest([_file(path), key]) if key else _file(path)
    if (path / "checkpoints").is_dir():
        path = _best(path / "checkpoints") or path
    if (path / "manifest.json").is_file():
        return _digest(read_json(path / "manifest.json"))
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.is_file()]
        return _digest([(file.name, _file(file)) for file in files])
    return _digest([name, _revision(name)])


def _best(folder: Path) -> Path | None:
    """The checkpoint that `load_base` would read."""
    for name in ("best", "latest"):
        target = checkpoint.pointed(folder, name)
        if target is not None:
            return target
    try:
        return checkpoint.newest_valid(folder)[0].path
    except CheckpointError:
        return None


def _revision(name: str) -> str | None:
    """The commit of a cached model of the hub."""
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, local_files_only=True)).name
    except Exception:  # no such library, no such name, nothing cached: said where it is loaded
        return None


def _file(path: Path) -> str:
    stat = path.stat()
    return _hashed(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _hashed(path: Path, size: int, changed: int) -> str:
    """Once for all trials of a sweep, as long as size and time stay."""
    del size, changed
    return sha256(path)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
