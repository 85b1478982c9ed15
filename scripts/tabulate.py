"""The table of proofs: what was counted for each promise, and whether its control was caught.

Reads JUnit reports in which tests/support/ledger.py noted `R1/count`, `R1/failures`,
`R1/what`, `R1/control` and `R1/control of`; several tests of a promise add up.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

PROMISES = {
    "R1": "exact resume after kill -9",
    "R2": "one stream of samples",
    "R3": "inexact continuations named",
    "C1": "atomic, durable checkpoints",
    "C2": "damaged checkpoints found",
    "C3": "full disk",
    "C4": "SIGTERM and SIGINT",
    "N1": "NaN and Inf caught",
    "N2": "out of memory",
    "W1": "sweeps under kill -9, one writer",
    "P1": "same command, same bytes",
    "T1": "numbers as references compute them",
    "T4": "tests notice a wrong line",
    "S1": "no file can run code",
    "S2": "consent on the command line",
    "S3": "declared sizes checked first",
    "S4": "secrets stay out",
    "S5": "checkpoints: tensors and JSON",
    "B1": "bad configs answered",
    "B2": "no uncaught exception",
    "B3": "broken data answered",
    "B4": "bases that do not fit",
    "B5": "every key is read",
    "fuzz": "hostile configs, tables, files",
}


@dataclass
class Row:
    """What the tests of one promise noted; trials and controls: a line each, for below."""

    count: int = 0
    failures: int = 0
    seconds: float = 0.0
    controls: list[bool] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def proved(self) -> bool:
        return self.count > 0 and self.failures == 0 and bool(self.controls) and all(self.controls)

    @property
    def caught(self) -> str:
        if not self.controls:
            return "absent"
        return f"{sum(self.controls)} of {len(self.controls)}"


def read(reports: Iterable[Path]) -> dict[str, Row]:
    """One row for each promise that the reports speak of."""
    rows: dict[str, Row] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            _add(rows, case)
    return rows


def _add(rows: dict[str, Row], case: ElementTree.Element) -> None:
    noted = [(p.get("name", ""), p.get("value", "")) for p in case.iter("property")]
    home = case.get("classname", "").rpartition("test_")[2]
    named = list(dict.fromkeys(name.split("/")[0] for name, _ in noted)) or [home]
    for promise in named:
        own = [(n.split("/")[1], v) for n, v in noted if n.startswith(f"{promise}/")]
        row = rows.setdefault(promise, Row())
        row.seconds += float(case.get("time", 0)) / len(named)
        failed = _note(row, own)
        if not failed and any(child.tag in ("failure", "error") for child in case):
            row.failures += 1
            row.lines.append(f"failed: {case.get('name')}")


def _note(row: Row, own: Sequence[tuple[str, str]]) -> bool:
    """Adds what one test noted; whether a failure or a missed control was among it."""
    failed, count = False, "0"
    for kind, value in own:
        if kind == "count":
            count = value
            row.count += int(value)
        elif kind == "failures":
            row.failures += int(value)
            failed = failed or value != "0"
        elif kind == "what":
            row.lines.append(f"{int(count):,} {value}")
        elif kind == "control":
            row.controls.append(value == "caught")
            failed = failed or value != "caught"
        elif kind == "control of":
            row.lines.append(f"control, {'caught' if row.controls[-1] else 'MISSED'}: {value}")
    return failed


def table(rows: dict[str, Row], names: Sequence[str] = ()) -> tuple[str, bool]:
    """The table of the promises `names` (all by default), and whether each of them is proved."""
    asked = list(names) or [*PROMISES, *(n for n in rows if n not in PROMISES)]
    heads = ("count", "failures", "seconds", "control caught")
    form = "{:<8} {:<32} {:>8} {:>8} {:>8}  {}"
    lines = [form.format("promise", "what", *heads)]
    details = []
    for name in asked:
        row, what = rows.get(name), PROMISES.get(name, "")
        if row is None or (row.count == 0 and not row.lines):
            lines.append(form.format(name, what, "missing", "", "", ""))
            continue
        shown = (f"{row.count:,}", f"{row.failures:,}", f"{row.seconds:,.0f}", row.caught)
        lines.append(form.format(name, what, *shown))
        details += [f"{name:<8} {line}" for line in row.lines]
    total = sum(row.seconds for name, row in rows.items() if name in asked)
    lines.append(form.format("", "in all", "", "", f"{total:,.0f}", ""))
    proved = all(name in rows and rows[name].proved for name in asked)
    return "\n".join([*details, "", *lines]), proved


def main(folder: str, *names: str) -> int:
    """Prints the table of the reports in a folder; 1 where something is not proved."""
    text, proved = table(read(sorted(Path(folder).glob("*.xml"))), names)
    print(text)  # noqa: T201
    return 0 if proved else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
