"""Hugging Face folders that bring Python code of their own (`auto_map`).

Their code runs with consent only, and from a private copy of the very bytes that were hashed.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftune.errors import RequestError
from ftune.security import consent

MAPPED = ("config.json", "tokenizer_config.json", "processor_config.json")
"""Files whose `auto_map` names classes."""
_CLASS = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
_copies: dict[str, tempfile.TemporaryDirectory[str]] = {}


@dataclass(frozen=True)
class Opened:
    """place: where to read the folder. digest: of the code that may run; None where none may."""

    place: str
    digest: str | None = None

    @property
    def trusted(self) -> bool:
        return self.digest is not None


def opened(folder: str | Path) -> Opened:
    """The folder itself; or the copy of one whose code was consented to. Raises RequestError."""
    folder = Path(folder)
    if not _maps(folder):
        return Opened(str(folder))
    code = _code(folder)
    digest = _digest(code)
    if not code or not consent.granted(digest, str(folder)):
        return Opened(str(folder))
    elsewhere = [name for name in _maps(folder) if not _CLASS.fullmatch(name)]
    if elsewhere:
        raise RequestError(
            f"{folder}: its auto_map names `{elsewhere[0]}`, which is not a file of this folder; "
            "bring that code into the folder and name it there"
        )
    if digest not in _copies:
        _copies[digest] = _copy(folder, code)
    return Opened(_copies[digest].name, digest)


def refusal(folder: str | Path) -> str:
    """Why a folder cannot be read without running its code, what that is, and how to avoid it."""
    code = _code(Path(folder))
    if not code:
        return (
            "needs code that is not in its folder, which ftune never runs; bring the files into a "
            "folder and give that as `path`, or register the model with --code"
        )
    shown = ", ".join([*list(code)[:4], *(["…"] if len(code) > 4 else [])])
    return (
        f"needs code from its own folder ({shown}), which would run here. Avoid it: register the "
        "model with --code FILE.py, or take a folder that the installed transformers knows. To run "
        f"its code all the same: {consent.how(_digest(code))}"
    )


def check_kernels(config: Any, where: str) -> None:
    """Raises RequestError where a configuration names compiled code on the hub (`org/kernel`)."""
    for key in ("_attn_implementation", "_experts_implementation"):
        kernel = str(getattr(config, key, None) or "")
        if "/" in kernel:
            raise RequestError(
                f"{where} names the kernel `{kernel}`, compiled code on the hub that ftune does "
                "not fetch; write `sdpa` or `eager` in its config.json"
            )


def _maps(folder: Path) -> list[str]:
    """Every class that the folder's files map to."""
    return [name for file in MAPPED for name in _named(_json(folder / file).get("auto_map"))]


def _named(value: Any) -> Iterator[str]:
    """Of a mapping or a list (a tokenizer has two classes, one of them perhaps null)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _named(item)


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _code(folder: Path) -> dict[str, bytes]:
    """The folder's Python files by name, sorted; those of folders below are never read."""
    files = sorted(folder.glob("*.py")) if folder.is_dir() else []
    return {file.name: file.read_bytes() for file in files if file.is_file()}


def _digest(code: dict[str, bytes]) -> str:
    """sha256 over a line for each file: the sha256 of its content, and its name."""
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in code.items())
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _copy(folder: Path, code: dict[str, bytes]) -> tempfile.TemporaryDirectory[str]:
    """The code and the settings as bytes, links to the rest; it ends with the process.

    transformers gets a place of its own for the modules, instead of the one in the user's home.
    """
    temporary = tempfile.TemporaryDirectory(prefix="ftune-code-", ignore_cleanup_errors=True)
    copy = Path(temporary.name)
    for name, content in code.items():
        (copy / name).write_bytes(content)
    for file in folder.iterdir():
        if file.suffix == ".json" and file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
        elif file.suffix != ".py" and file.is_file():
            (copy / file.name).symlink_to(file.resolve())
    _keep_modules_in(tempfile.mkdtemp(dir=copy))
    return temporary


def _keep_modules_in(place: str) -> None:
    from transformers import dynamic_module_utils

    dynamic_module_utils.HF_MODULES_CACHE = place  # type: ignore[attr-defined]
