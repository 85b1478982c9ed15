"""Writes docs/benchmarks.md anew from benchmarks/results/*.json."""

from __future__ import annotations

from _results import PAGE, page

if __name__ == "__main__":
    PAGE.write_text(page())
