"""Promise B1: a bad configuration is answered with place, key, reason class and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from support.bad_answers import LINE, answer, ask, check, classed, placed, remedied
from support.bad_configs import BAD, REST, TYPOS, VALID, VALUES, Bad
from support.generated import mutated, overrides

from ftune.config.spelling import distance
from ftune.errors import FtuneError, RequestError
from ftune.schema.root import LANGUAGE

PROJECT = Path(__file__).resolve().parents[2]


def test_the_table_starts_from_a_valid_file(tmp_path: Path) -> None:
    (tmp_path / "ftune.yaml").write_text(VALID, encoding="utf-8")
    assert check(str(tmp_path / "ftune.yaml")) == (0, "")
    assert len(BAD) >= 50


def test_each_is_answered_with_place_key_class_and_remedy(tmp_path: Path) -> None:
    said = {bad: answer(bad, tmp_path) for bad in BAD}
    assert not [bad.new for bad in BAD if "Traceback" in said[bad]]
    lost = [bad.new for bad in BAD if not placed(bad, said[bad])]
    assert len(lost) <= 0.05 * len(BAD), lost
    assert [bad.new for bad in BAD if not classed(bad, said[bad])] == lost
    assert not [bad.new for bad in BAD if not remedied(bad, said[bad])]


def test_a_typing_error_is_one_problem_with_the_right_spelling(tmp_path: Path) -> None:
    right = []
    for bad in TYPOS:
        said = answer(bad, tmp_path)
        right.append(f"did you mean `{bad.typo}`?" in said)
    assert sum(right) >= 0.95 * len(TYPOS), [
        b.new for b, r in zip(TYPOS, right, strict=True) if not r
    ]


KEYS = ["seed", "task", "optimizer", "schedule", "runtime", "adapt"]


@pytest.mark.parametrize("key", KEYS)
def test_every_root_key_within_two_edits_is_recognised(key: str) -> None:
    """All deletions and neighbour swaps of a key, not only those somebody thought of."""
    wrong = {key[:i] + key[i + 1 :] for i in range(len(key))}
    wrong |= {key[:i] + key[i + 1] + key[i] + key[i + 2 :] for i in range(len(key) - 1)}
    wrong -= {key, *LANGUAGE.reserved}
    found = []
    for word in sorted(wrong):
        assert distance(word, key) <= 2
        with pytest.raises(RequestError) as raised:
            LANGUAGE.of({word: {}})
        found.append(f"did you mean `{key}`?" in str(raised.value))
    assert sum(found) >= 0.95 * len(found), sorted(wrong)


def test_all_problems_of_a_file_come_in_one_answer_in_the_order_of_the_file(tmp_path: Path) -> None:
    text, faults = VALID, [TYPOS[0], VALUES[4], TYPOS[-1], REST[5], VALUES[17]]
    for bad in faults:
        assert bad.old in text
        text = text.replace(bad.old, bad.new)
    (tmp_path / "ftune.yaml").write_text(text, encoding="utf-8")
    code, said = check(str(tmp_path / "ftune.yaml"))
    found = LINE.findall(said)
    assert code == 2
    assert {f[3] for f in found} == {bad.key for bad in faults}
    assert [int(f[1]) for f in found] == sorted(int(f[1]) for f in found)
    assert f"{len(faults)} problems" in said


def test_faults_of_the_file_itself(tmp_path: Path) -> None:
    file = tmp_path / "ftune.yaml"
    for content, expected in (
        (b"", "task: is required"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"- 1\n- 2\n", "a configuration is a mapping"),
        (b"hello", "a configuration is a mapping"),
        (b"#" * 1_100_000, "larger than"),
        (b"a: \x00", "not valid YAML"),
        (b"a: 1\n---\nb: 2\n", "not valid YAML"),
        (b"? [1, 2]\n: 3\n", "a key must be a single word"),
    ):
        file.write_bytes(content)
        code, said = check(str(file))
        assert code == 2
        assert expected in said, (content, said)
        assert str(file) in said
    assert check(str(tmp_path))[0] == 2
    assert "Is a directory" in check(str(tmp_path))[1]
    assert "no such file" in check(str(tmp_path / "none.yaml"))[1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train.epoch=3"], "command line `train.epoch=3`: train.epoch"),
        (["train.epochs=many"], "expected a number above 0"),
        (["optimizer.name=adm"], "did you mean `adam`?"),
        (["model.layers.9.linear=3"], "`9` is not a position in a list of 4"),
        (["model.layers.x=relu"], "`x` is not a position"),
        (["~train.nothing"], "cannot be deleted"),
        (["~nothing.at.all"], "cannot be deleted"),
        (["train.epochs=1", "nonsense"], "neither a file nor an override"),
        (["=3"], "neither a file nor an override"),
        (["seed.deeper=3"], "seed"),
        (["train=[1"], "train"),
    ],
)
def test_overrides_with_faults(words: list[str], expected: str, tmp_path: Path) -> None:
    file = tmp_path / "ftune.yaml"
    file.write_text(VALID, encoding="utf-8")
    code, said = check(str(file), *words)
    assert code == 2, said
    assert expected in said


@pytest.mark.parametrize("bad", [TYPOS[3], VALUES[7], REST[10], REST[-1]], ids=lambda b: b.new)
def test_in_a_process_of_its_own(bad: Bad, tmp_path: Path) -> None:
    found = ask(bad.text, tmp_path)
    assert [fault for fault in found.faults if not fault.endswith(" s")] == []  # no clock is asked
    assert LINE.search(found.said)
    assert "ftune.schema.root" in found.modules


@given(mutated())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_configuration_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "mutated.yaml"
    file.write_text(text, encoding="utf-8", newline="")
    try:
        LANGUAGE.load(file)
    except FtuneError as error:
        assert str(error)


@given(overrides())
@settings(max_examples=100, deadline=None)
def test_no_override_raises_anything_else(changes: list[str]) -> None:
    try:
        LANGUAGE.load(PROJECT / "configs" / "digits.yaml", changes)
    except FtuneError as error:
        assert str(error)
