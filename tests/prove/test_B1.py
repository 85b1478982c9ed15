"""B1: bad configurations are answered, quickly, with place, key, class and remedy."""

from __future__ import annotations

from pathlib import Path

from support.bad_answers import (
    CODE,
    Answer,
    ask,
    ask_extended,
    classed,
    in_parent,
    placed,
    remedied,
)
from support.bad_configs import BAD, TYPOS, VALID, Bad
from support.ledger import SHARE, Ledger, full

# Every row, or at a share of the counts rows from all over the table.
ROWS = BAD if SHARE >= 1 else BAD[:: max(1, len(BAD) // full(len(BAD)))]


def answers(folder: Path) -> dict[Bad, Answer]:
    return {bad: ask(bad.text, folder) for bad in ROWS}


def test_every_row_as_a_command(tmp_path: Path, ledger: Ledger) -> None:
    found = answers(tmp_path)
    faulty = {bad.new: answer.faults for bad, answer in found.items() if answer.faults}
    print(faulty)  # noqa: T201
    slowest = max(answer.seconds for answer in found.values())
    ledger.counted(
        "B1", len(ROWS), len(faulty), f"files: exit 2, no torch, at most {slowest:.2f} s"
    )
    lost = sum(not placed(bad, answer.said) for bad, answer in found.items())
    assert lost <= 0.05 * len(ROWS), f"{lost} of {len(ROWS)} without place and key"
    poor = [bad.new for bad, a in found.items() if not (remedied(bad, a.said))]
    poor += [bad.new for bad, a in found.items() if placed(bad, a.said) > classed(bad, a.said)]
    ledger.counted("B1", len(ROWS), len(poor), f"with class and remedy; {lost} without place")
    typed = [bad for bad in TYPOS if bad in found]
    wrong = sum(f"did you mean `{bad.typo}`?" not in found[bad].said for bad in typed)
    assert wrong <= 0.05 * len(typed), f"{wrong} of {len(typed)} with another suggestion or none"
    ledger.counted("B1", len(typed), 0, f"typing errors; {wrong} without the right suggestion")


def test_a_fault_in_an_extended_file_is_named_there(tmp_path: Path, ledger: Ledger) -> None:
    """What lacks at the root (`task`, `data`) lacks in the file that extends."""
    rows = [bad for bad in ROWS[::4] if bad.kind != "missing" and bad.key != "extends"]
    answers = {bad: ask_extended(bad.text, tmp_path) for bad in rows}
    faulty = {bad.new: answer.faults for bad, answer in answers.items() if answer.faults}
    lost = [bad.new for bad, answer in answers.items() if not in_parent(bad, answer.said)]
    ledger.counted("B1", len(rows), len(faulty), f"faults in an extended file {faulty or ''}")
    assert len(lost) <= 0.05 * len(rows), f"without the place in the extended file: {lost}"
    own = ask(rows[0].text, tmp_path)
    ledger.control("B1", not in_parent(rows[0], own.said), "a fault that is the file's own")


def test_controls(tmp_path: Path, ledger: Ledger) -> None:
    """A valid file is no fault; torch, a traceback and a delay are seen; so is silence."""
    fine = ask(VALID, tmp_path)
    ledger.control("B1", fine.faults == ["exit 0"], "a valid file")
    text = TYPOS[0].text
    heavy = ask(text, tmp_path, code=f"import torch{CODE}")
    ledger.control("B1", "torch imported" in heavy.faults, "a check that imports torch")
    loose = ask(text, tmp_path, code="import ftune.cli; ftune.cli.load_everything()")
    ledger.control("B1", {"exit 1", "traceback"} <= set(loose.faults), "an uncaught exception")
    slow = ask(text, tmp_path, code=f"import time; time.sleep(1.5){CODE}")
    ledger.control("B1", any(f.endswith(" s") for f in slow.faults), "a check of 1.5 s")
    mute = [bad for bad in TYPOS if placed(bad, "") or remedied(bad, "")]
    ledger.control("B1", not mute, "an answer without place or suggestion")
