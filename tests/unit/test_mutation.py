"""scripts/mutate: which faults it plants, and that it neither invents nor forgets a verdict."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from mutation import results, rooms
from mutation.__main__ import drawn, main
from mutation.child import CrashedError, TimedOutError, in_child
from mutation.mutants import Mutant, Source
from mutation.report import EQUIVALENT, Score, equivalents, judged, wilson
from mutation.results import Result, Results
from mutation.rooms import ROOMS, Room
from mutation.survey import mutants_of
from mutation.trial import Loaded, verdict
from mutation.watch import Coverage
from scipy import stats  # type: ignore[import-untyped]


def inside(*lines: str) -> set[str]:
    """What the body of a function may turn into."""
    text = "def f(a, b, c):\n" + "".join(f"    {line}\n" for line in lines)
    return {mutant.after for mutant in Source("f.py", text).mutants}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("g(a < b)", {"g(a <= b)", "g(a >= b)", "a < b", "pass"}),
        ("g(a == b)", {"g(a != b)", "a == b", "pass"}),
        ("return a + 1", {"return None", "return a - 1", "return a + 2", "return a + 0"}),
        ("return not a", {"return None", "return a"}),
        ("return min(a, b)", {"return None", "return max(a, b)"}),
        ("return a and b", {"return None", "return a or b"}),
        ("return True", {"return False"}),
        ("a += b", {"a = b", "pass", "a -= b"}),
        ("a.b = c", {"pass"}),
        ("new = c", set()),
        ("a = c", {"pass"}),
        ("g(device=1, strict=True)", {"pass"}),
        ("g(a, b, k=c)", {"g(b, a, k=c)", "g(a, b)", "pass"}),
        ("return a[b:]", {"return None", "return a[b + 1:]"}),
        ("return a.detach()", {"return None", "return a"}),
        ("return [x for x in a if b]",
         {"return None", "return [x for x in a]", "return [x for x in a if not b]"}),
        ("raise E(f'{1 + 2} rows')", {"pass"}),
        ("return f'{a + 1}'", {"return None"}),
    ],
)  # fmt: skip
def test_faults_of_a_line(line: str, expected: set[str]) -> None:
    assert inside(line) == expected


def test_conditions_and_blocks() -> None:
    assert inside("if a:", "    g()") == {"if not a:", "pass"}
    assert inside("if not a:", "    g()") == {"if a:", "pass"}
    assert inside("with no_grad():", "    g()") == {"if True:", "pass"}


def test_what_is_no_behaviour_is_left_alone() -> None:
    text = '''
from __future__ import annotations
if TYPE_CHECKING:
    import torch
Rows = Array[int]
class P(Protocol):
    def f(self) -> int: ...
def f(a: Array[1]) -> Array[2]:
    """Text."""
    x: Array[3]
'''
    assert Source("f.py", text).mutants == []


def test_defaults_are_imported_and_bodies_are_live() -> None:
    source = Source(
        "f.py", "X = 1\nclass C:\n    y: int = 2\n    def f(self, a=3):\n        g(4)\n"
    )
    live = {mutant.before: mutant.live for mutant in source.mutants}
    assert live == {"X = 1": False, "y: int = 2": False, "def f(self, a=3):": False, "g(4)": True}


def test_a_key_holds_while_its_function_reads_the_same() -> None:
    def keys(text: str) -> set[str]:
        return {mutant.key for mutant in Source("f.py", text).mutants if mutant.scope == "f"}

    text = "def f(a):\n    return a + 1\ndef g(a):\n    return a\n"
    assert keys(text) == keys("# moved\n" + text.replace("    return a\n", "    return -a\n"))
    assert keys(text).isdisjoint(keys(text.replace("a + 1", "(a + 1)  # other")))


def test_alike_lines_are_mutants_of_their_own() -> None:
    source = Source("f.py", "def f(a):\n    g(a, 1)\n    g(a, 1)\n")
    assert len({mutant.key for mutant in source.mutants}) == len(source.mutants) == 8


def test_every_mutant_of_a_room_compiles_and_differs() -> None:
    original = {source.file: source for source, _ in mutants_of(ROOMS["batches"])}
    for source, mutant in mutants_of(ROOMS["batches"]):
        compile(source.text(mutant), source.file, "exec")
        source.code(mutant, source.file)
        assert mutant.before != mutant.after
    assert len(original) == 1


def test_planted_code_runs_and_the_tree_is_whole_afterwards(tmp_path: Path) -> None:
    file = tmp_path / "planted_here.py"
    file.write_text("def double(a):\n    return a * 2\n")
    spec = importlib.util.spec_from_file_location("planted_here", file)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    source, loaded = Source(str(file), file.read_text()), Loaded([str(file)])
    answers = {}
    for mutant in source.mutants:

        def work(mutant: Mutant = mutant) -> str:
            assert loaded.plant(source, mutant)
            return str(module.double(8))

        answers[mutant.after] = in_child(work, 5)
    assert answers == {
        "return None": "None", "return a / 2": "4.0", "return a * 3": "24", "return a * 1": "8",
    }  # fmt: skip
    assert module.double(8) == 16


def test_a_child_cannot_hang_crash_or_be_mistaken() -> None:
    def spin() -> str:
        while True:
            pass

    def wait() -> str:
        time.sleep(60)
        return ""

    def die() -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    with pytest.raises(TimedOutError):
        in_child(spin, 0.1)
    with pytest.raises(TimedOutError):
        in_child(wait, 0.05)
    with pytest.raises(CrashedError):
        in_child(die, 5)
    with pytest.raises(CrashedError):
        in_child(lambda: str(1 / 0), 5)
    assert verdict(lambda: "", 1) == ("survived", "")
    assert verdict(lambda: "test_x", 1) == ("killed", "test_x")
    with pytest.raises(RuntimeError, match="collected nothing"):
        verdict(lambda: "no tests", 1)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own, with its folder of results."""
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    for module in (results, rooms):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def mutant_of(text: str = "def f(a):\n    return a\n") -> Mutant:
    return Source("f.py", text).mutants[0]


def room(folder: Path) -> Room:
    (folder / "test_f.py").write_text("1")
    return Room("r", (), ("test_f.py",))


def test_a_verdict_is_kept_until_what_gave_it_changes(kept: Path) -> None:
    here, mutant = room(kept), mutant_of()
    killer = "test_f.py::test_it"
    assert Results(here).of(mutant) is None
    Results(here).add(mutant, "killed", killer)
    kept_result = Results(here).of(mutant)
    assert kept_result is not None and kept_result.noticed and kept_result.killer == killer
    assert Results(here).of(mutant_of("def f(a):\n    a()\n    return a\n")) is None
    (kept / "test_f.py").write_text("2")
    assert Results(here).of(mutant) is None
    assert Results(here).last_killer(mutant) == killer
    Results(here).add(mutant, "survived")
    survived = Results(here).of(mutant)
    assert survived is not None and not survived.noticed
    (kept / "test_f.py").write_text("3")
    assert Results(here).of(mutant) is None


def test_a_line_that_was_cut_off_is_passed_over(kept: Path) -> None:
    here, mutant = room(kept), mutant_of()
    Results(here).add(mutant, "survived")
    with (kept / "r.jsonl").open("a") as stream:
        stream.write('{"key": "ab')
    assert Results(here).of(mutant) is not None


def test_the_interval_is_scipys() -> None:
    for successes, count in ((0, 5), (3, 7), (180, 200), (200, 200)):
        expected = stats.binomtest(successes, count).proportion_ci(0.95, "wilson")
        assert wilson(successes, count) == pytest.approx(expected, abs=1e-4)


def test_score_counts_what_is_not_equivalent() -> None:
    killed, lived, same = Source("f.py", "def f(a, b):\n    return a < b\n").mutants
    reasons = equivalents(f"f.py f\n  {same.before} → {same.after}\n    no reason\n")
    pairs = [
        (mutant, Result(mutant.key, status, "", "", str(mutant)))
        for mutant, status in ((killed, "timeout"), (lived, "uncovered"), (same, "survived"))
    ]
    score = Score.of("r", pairs, reasons)
    assert (score.noticed, score.count, score.equivalent) == (1, 2, 1)
    assert score.lived == (f"uncovered: {lived}",)


def test_a_draw_is_its_seeds_and_prefers_no_room() -> None:
    every = {name: mutants_of(ROOMS[name]) for name in ("batches", "engine")}
    sizes = {name: len(pairs) for name, pairs in every.items()}
    first = drawn(every, 100, 1)
    assert first == drawn(every, 100, 1) != drawn(every, 100, 2)
    expected = 100 * sizes["engine"] / sum(sizes.values())
    assert len(first["engine"]) == pytest.approx(expected, abs=15)
    assert sum(map(len, first.values())) == 100


def test_the_covering_tests_are_the_quickest_first() -> None:
    mutant = Source("f.py", "def f(a):\n    return a\n").mutants[0]
    lines = {"f.py": [2]}
    tests = {
        "slow": {"seconds": 2.0, "lines": lines}, "quick": {"seconds": 1.0, "lines": lines},
        "other": {"seconds": 0.1, "lines": {"f.py": [9]}},
    }  # fmt: skip
    assert Coverage(tests, []).covering(mutant) == {"quick": 1.0, "slow": 2.0}
    assert list(Coverage(tests, []).covering(mutant)) == ["quick", "slow"]


def test_each_equivalent_mutant_exists_and_has_a_reason() -> None:
    reasons = equivalents(EQUIVALENT.read_text("utf-8"))
    mutants = [mutant for name in ROOMS for _, mutant in mutants_of(ROOMS[name])]
    known = {(m.file, m.scope, m.before, m.after) for m in mutants}
    assert [key for key in reasons if key not in known] == []
    assert all(len(reason) > 10 for reason in reasons.values())
    assert sum(judged(mutant, reasons) for mutant in mutants) <= len(mutants) / 10


def test_an_unknown_room_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines"]) == 2
    assert "there are engine, optim" in capsys.readouterr().out


def test_results_are_plain_lines(kept: Path) -> None:
    Results(room(kept)).add(mutant_of(), "survived")
    (line,) = (kept / "r.jsonl").read_text().splitlines()
    assert json.loads(line)["mutant"] == "f.py:2: return a → return None"
