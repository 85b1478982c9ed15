"""The table at the end of scripts/prove: it adds up, and lets nothing pass that was not proved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROOFS = Path(__file__).parents[1] / "prove"
SCRIPT = Path(__file__).parents[2] / "scripts" / "tabulate.py"


def case(name: str, *properties: tuple[str, object], fault: str = "") -> str:
    noted = "".join(f'<property name="{key}" value="{value}"/>' for key, value in properties)
    return (
        f'<testcase classname="tests.prove.test_{name}" name="test_it" time="2.0">'
        f"<properties>{noted}</properties>{fault}</testcase>"
    )


def counted(name: str, count: int, failures: int = 0) -> list[tuple[str, object]]:
    return [(f"{name}/count", count), (f"{name}/failures", failures), (f"{name}/what", "tries")]


def control(name: str, said: str = "caught") -> list[tuple[str, object]]:
    return [(f"{name}/control", said), (f"{name}/control of", "a careless way")]


def tabulate(folder: Path, cases: list[str], *names: str) -> tuple[int, dict[str, list[str]]]:
    """The exit code, and the words of each row."""
    for number, text in enumerate(cases):
        (folder / f"{number}.xml").write_text(
            f"<testsuites><testsuite>{text}</testsuite></testsuites>"
        )
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), *names], capture_output=True, text=True
    )
    assert done.stderr == ""
    rows = done.stdout.split("\n\n")[-1].splitlines()
    return done.returncode, {row.split()[0]: row.split() for row in rows[1:-1]}


def test_tests_of_a_promise_add_up(tmp_path: Path) -> None:
    cases = [
        case("R1", *counted("R1", 200)),
        case("R1", *counted("R1", 1020), *control("R1")),
        case("C4", *counted("C4", 100), *control("C4"), *control("C4")),
    ]
    code, rows = tabulate(tmp_path, cases, "R1", "C4")
    assert code == 0
    assert rows["R1"][-6:] == ["1,220", "0", "4", "1", "of", "1"]
    assert rows["C4"][-6:] == ["100", "0", "2", "2", "of", "2"]


@pytest.mark.parametrize(
    ("cases", "words"),
    [
        ([case("R1", *counted("R1", 9))], ["absent"]),
        ([case("R1", *counted("R1", 9), *control("R1", "missed"))], ["0", "of", "1"]),
        ([case("R1", *counted("R1", 9), *control("R1"), *control("R1", "missed"))], ["1 of 2"]),
        ([case("R1", *counted("R1", 9, 3), *control("R1"))], ["3", "2", "1", "of", "1"]),
        ([case("R1", *control("R1"))], ["0", "0", "2", "1", "of", "1"]),
        ([case("R1", *counted("R1", 9), *control("R1"), fault="<failure/>")], ["9", "1", "2"]),
        ([case("R1", fault="<error/>")], ["0", "1", "2", "absent"]),
        ([], ["missing"]),
    ],
    ids=["no control", "missed", "one missed", "failures", "nothing counted", "a test failed",
         "a test broke", "nothing ran"],
)  # fmt: skip
def test_what_is_not_proved_is_not_passed(
    cases: list[str], words: list[str], tmp_path: Path
) -> None:
    code, rows = tabulate(tmp_path, cases, "R1")
    assert code == 1
    assert " ".join(words) in " ".join(rows["R1"])


def test_every_promise_has_a_row(tmp_path: Path) -> None:
    code, rows = tabulate(tmp_path, [case("R1", *counted("R1", 9), *control("R1"))])
    assert code == 1
    proofs = {file.stem.removeprefix("test_") for file in PROOFS.glob("test_*.py")}
    assert proofs - rows.keys() == set()
    assert sum(row[-1] == "missing" for row in rows.values()) == len(rows) - 1
