"""Prints one row for each test file of a JUnit report: passed, failed, skipped, seconds."""

from __future__ import annotations

import sys
from collections import Counter
from xml.etree import ElementTree


def main(report: str) -> None:
    """Reads the report that pytest --junitxml wrote."""
    counts: dict[str, Counter[str]] = {}
    seconds: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("classname", "").rpartition("test_")[2]
        outcome = {"failure": "failed", "error": "failed", "skipped": "skipped"}
        kinds = [outcome[child.tag] for child in case if child.tag in outcome]
        counts.setdefault(name, Counter())[kinds[0] if kinds else "passed"] += 1
        seconds[name] += float(case.get("time", 0))  # type: ignore[assignment]
    print(f"\n{'proof':<30} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>9}")  # noqa: T201
    for name, count in counts.items():
        row = f"{count['passed']:>7} {count['failed']:>7} {count['skipped']:>8}"
        print(f"{name:<30} {row} {seconds[name]:>9.1f}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
