"""One model under two names: what wrappers put before the names of tensors, found and undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

PREFIXES = ("module.", "model.", "_orig_mod.", "net.", "network.", "backbone.")


@dataclass(frozen=True)
class Renaming:
    """What wrapped the base's names, and what wraps the model's: `module.`, `0.auto_model.`, …"""

    strip: str = ""
    add: str = ""

    def __call__(self, name: str) -> str:
        return self.add + name[len(self.strip) :] if name.startswith(self.strip) else name


def renaming(base: Collection[str], own: Collection[str]) -> Renaming:
    """The one under which most of the base's names are the model's; of several the plainest."""
    usual = ["", *PREFIXES, *(a + b for a in PREFIXES for b in PREFIXES)]
    plain = [Renaming(strip) for strip in usual]
    wrapped = [Renaming(a, b) for a in _wrappers(base) for b in _wrappers(own)]
    known = set(own)

    def matches(renaming: Renaming, least: int = 0) -> int:
        new = (renaming(name) for name in base)
        # A prefix is one of whole modules: of two bare layers each would fit the other.
        return sum(n in known and n.removeprefix(renaming.add).count(".") >= least for n in new)

    counts = {candidate: matches(candidate) for candidate in plain} | {
        candidate: matches(candidate, 1) for candidate in wrapped[1:]
    }
    return max(
        counts,
        key=lambda candidate: (counts[candidate], -len(candidate.strip) - len(candidate.add)),
    )


def _wrappers(names: Collection[str]) -> list[str]:
    """No prefix, and all that more than half of the names have."""
    counts = Counter(name[: i + 1] for name in names for i, c in enumerate(name) if c == ".")
    return ["", *(prefix for prefix, count in counts.items() if count > len(names) / 2)]
