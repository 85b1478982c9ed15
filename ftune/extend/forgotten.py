"""A run whose parts a `--code` file registers: named where that file is not given again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ftune.errors import ConfigError, RequestError
from ftune.extend import loaded_code


@contextmanager
def needing(code: Sequence[Mapping[str, str]] | None, whose: object) -> Iterator[None]:
    """Reads a configuration that `code` took part in.

    Raises RequestError, with file and hash, where it cannot be read because one was forgotten.
    """
    try:
        yield
    except ConfigError:
        given = {module["sha256"] for module in loaded_code()}
        absent = [module for module in code or () if module["sha256"] not in given]
        if not absent:
            raise
        listed = "\n  ".join(_told(**module) for module in absent)
        raise RequestError(
            f"{whose} was made with code that is not given now:\n  {listed}"
        ) from None


def _told(file: str, sha256: str) -> str:
    """One file: what to write, or why that alone does not do."""
    path, digest = Path(file), f"sha256:{sha256}"
    if not path.is_file():
        return f"--code {path.name} ({digest}); it is no longer at {file}"
    now = hashlib.sha256(path.read_bytes()).hexdigest()
    if now != sha256:
        return f"--code {file} ({digest}); it has changed since, and is sha256:{now} now"
    return f"--code {file} ({digest})"
