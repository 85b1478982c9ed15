"""Proofs that hold are kept in a long count, so that an interrupted one goes on where it was.

A proof is taken over only while the package, the support and its own file read the same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

Noted = list[tuple[str, object]]


def content_hash(root: Path, *folders: str) -> str:
    """Of all Python files in some folders of a checkout."""
    total = hashlib.sha256()
    for file in sorted(file for folder in folders for file in (root / folder).rglob("*.py")):
        total.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()


@dataclass(frozen=True)
class Kept:
    """What each proof noted in the ledger, a file for each, below a folder. state: of the code."""

    folder: Path
    state: str

    def noted(self, name: str) -> Noted | None:
        """What a proof noted when it held; None where it never did, or the code has changed."""
        try:
            content = json.loads(self._file(name).read_text("utf-8"))
        except (OSError, ValueError):  # never, or it was killed while it wrote
            return None
        if content["state"] != self.state or content["name"] != name:
            return None
        return [(key, value) for key, value in content["noted"]]

    def keep(self, name: str, noted: Noted) -> None:
        """A proof has held."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"name": name, "state": self.state, "noted": noted}
        self._file(name).write_text(json.dumps(content), "utf-8")

    def _file(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:20]}.json"
