"""FTUNE_PROVE_COUNT=full: ten parts, each with seeds of its own, kept as they end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.kept import Kept, content_hash

TESTS = Path(__file__).parents[1]
PROOF = """
import os
from pathlib import Path

LOG = Path(os.environ["LOG"])


def test_parts(part, ledger):
    with LOG.open("a") as stream:
        stream.write(f"{part} ")
    if part == 3 and os.environ.get("KILLED"):
        os._exit(9)
    ledger.counted("X1", 100 + part, 0, "trials")


def test_once(ledger):
    with LOG.open("a") as stream:
        stream.write("control ")
    ledger.control("X1", True, "a careless way")
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one proof, and the machinery of this one."""
    (tmp_path / "tests/prove").mkdir(parents=True)
    (tmp_path / "tests/support").mkdir()
    (tmp_path / "ftune").mkdir(parents=True)
    (tmp_path / "ftune/code.py").write_text("1")
    shutil.copy(TESTS / "prove/conftest.py", tmp_path / "tests/prove/conftest.py")
    (tmp_path / "tests/prove/test_X1.py").write_text(PROOF)
    return tmp_path


def prove(checkout: Path, count: str, **environment: str) -> tuple[list[str], list[int]]:
    """(what ran, the counts that the report has)."""
    log, report = checkout / "log", checkout / "report.xml"
    log.write_text("")
    report.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "junit_family=xunit1",
        f"--junitxml={report}", f"--rootdir={checkout}", "--import-mode=importlib", "tests/prove",
    ]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(TESTS), "LOG": str(log), "FTUNE_PROVE_COUNT": count}
    subprocess.run(command, cwd=checkout, env={**env, **environment}, capture_output=True)
    cases = ElementTree.parse(report).iter("property") if report.exists() else ()
    counts = [int(p.attrib["value"]) for p in cases if p.attrib["name"] == "X1/count"]
    return log.read_text().split(), counts


def test_a_long_count_goes_on_where_it_was_killed(checkout: Path) -> None:
    whole = [100 + part for part in range(10)]
    assert prove(checkout, "full", KILLED="1") == (["0", "1", "2", "3"], [])
    ran, counts = prove(checkout, "full")
    assert ran == [*map(str, range(3, 10)), "control"] and counts == whole
    assert prove(checkout, "full") == ([], whole)
    (checkout / "ftune/code.py").write_text("2")
    ran, counts = prove(checkout, "full")
    assert len(ran) == 11 and counts == whole


def test_a_usual_count_is_one_part_and_keeps_nothing(checkout: Path) -> None:
    for count in ("1", "0.5"):
        assert prove(checkout, count) == (["0", "control"], [100])
    assert not (checkout / "build").exists()


def test_what_is_kept_belongs_to_a_state_and_a_name(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept", "one state")
    assert kept.noted("a proof") is None
    kept.keep("a proof", [("R1/count", 5)])
    assert kept.noted("a proof") == [("R1/count", 5)]
    assert kept.noted("another") is None
    assert Kept(tmp_path / "kept", "another state").noted("a proof") is None
    (file,) = (tmp_path / "kept").iterdir()
    file.write_text(file.read_text()[:-5])
    assert kept.noted("a proof") is None, "it was killed while it wrote"


def test_the_state_is_that_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    states = set()
    for name, content in (("one", "1"), ("one", "2"), ("two", "2")):
        (tmp_path / "a" / f"{name}.py").write_text(content)
        states.add(content_hash(tmp_path, "a"))
    assert len(states) == 3
    assert content_hash(tmp_path, "a") == content_hash(tmp_path, "a")
