"""Checkpoints that are damaged, bit by bit (promise C2)."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import torch

from ftune.errors import CheckpointError
from ftune.runs import checkpoint


def flip(content: bytes, dice: random.Random) -> bytes:
    """One bit turned."""
    broken = bytearray(content)
    broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
    return bytes(broken)


def cut(content: bytes, dice: random.Random) -> bytes:
    """The end is missing."""
    return content[: dice.randrange(len(content))]


def missed(
    path: Path, times: int, spoil: Callable[[bytes, random.Random], bytes], seed: int,
    accepts: Callable[[Path], bool] | None = None,
) -> int:  # fmt: skip
    """How often a checkpoint of which one file was spoilt was taken all the same."""
    dice, count = random.Random(seed), 0
    names = sorted(file for file in path.iterdir() if file.is_file())
    for _ in range(times):
        file = dice.choice(names)
        content = file.read_bytes()
        file.write_bytes(spoil(content, dice))
        count += (accepts or accepted)(path)
        file.write_bytes(content)
    return count


def accepted(path: Path) -> bool:
    try:
        checkpoint.load(path)
    except CheckpointError:
        return False
    return True


def torch_accepts(path: Path) -> bool:
    """The negative control: what torch itself says to a damaged file."""
    try:
        torch.load(path / "model.pt", weights_only=True)
    except Exception:  # whatever torch says to it
        return False
    return True
