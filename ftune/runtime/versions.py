"""What software made a run; written into run.json."""

from __future__ import annotations

import platform
import subprocess
import sys
from functools import lru_cache
from importlib import metadata
from typing import Any

# Every package that can have a part in a number; which are installed is noted.
_PACKAGES = ("ftune", "torch", "numpy", "safetensors", "pyarrow", "optuna", "scikit-learn", "scipy",
             "omegaconf")  # fmt: skip
_EXTRAS = ("transformers", "tokenizers", "sentencepiece", "gguf", "peft", "kornia", "pillow",
           "torchao", "timm", "onnx", "onnxscript", "onnxruntime")  # fmt: skip
_MODULES = {"pillow": "PIL", "scikit-learn": "sklearn"}


def versions() -> dict[str, Any]:
    """Versions of Python, the main packages and the platform, and the git state of this folder.

    `git` is None outside a repository or without git; nothing here ever fails.
    """
    return {
        "python": platform.python_version(),
        **packages(),
        "platform": platform.platform(),
        "git": git_state(),
    }


@lru_cache(maxsize=1)
def packages() -> dict[str, str | None]:
    """Version by package; of the extras, those that are installed."""
    extras = {name: _version(name) for name in _EXTRAS}
    installed = {name: version for name, version in extras.items() if version is not None}
    return {name: _version(name) for name in _PACKAGES} | installed


def takes_part(name: str) -> bool:
    """Whether an entry of `versions` can have changed a number in this process."""
    return name in ("python", "platform") or _MODULES.get(name, name) in sys.modules


def ftune_version() -> str:
    """The installed ftune; `unknown` in a folder that was never installed."""
    return _version("ftune") or "unknown"


def git_state() -> dict[str, Any] | None:
    """The commit checked out here and whether files differ from it."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": _git("status", "--porcelain") != ""}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()
