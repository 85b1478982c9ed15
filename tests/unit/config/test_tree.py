"""YAML as a tree with places: scalars of YAML 1.2, and what is refused."""

from __future__ import annotations

import math
import resource
from pathlib import Path

import pytest

from ftune.config.tree import MAX_DEPTH, Mark, parse, parse_value, scalar
from ftune.errors import ConfigError


def test_each_value_and_key_knows_its_place() -> None:
    root = parse("a: 1\nb:\n  - {c: x}\n  - 2\n", "f.yaml")
    places = {path: str(node.mark) for path, node in root.walk()}
    assert places == {
        "": "f.yaml:1:1", "a": "f.yaml:1:4", "b": "f.yaml:3:3", "b.0": "f.yaml:3:5",
        "b.0.c": "f.yaml:3:9", "b.1": "f.yaml:4:5",
    }  # fmt: skip
    assert str(root.keys["b"]) == "f.yaml:2:1"
    assert root.plain() == {"a": 1, "b": [{"c": "x"}, 2]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1E5", 1e5), (".5", 0.5), ("-3", -3), ("1_000", 1000), ("0", 0),
        ("12:30:45", "12:30:45"), ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"),
        ("010", 10.0), ("0x10", "0x10"), ("true", True), ("False", False), ("null", None),
        ("~", None), ("", None), ("2026-01-02", "2026-01-02"), ("1.2.3", "1.2.3"), ("=", "="),
        (".inf", math.inf),
    ],
)  # fmt: skip
def test_unquoted_words_are_read_as_yaml_1_2(text: str, value: object) -> None:
    found = parse(f"a: {text}", "f").plain()["a"]
    assert found == value
    assert type(found) is type(value)
    assert type(scalar(text)) is type(value)


def test_quoted_words_stay_texts() -> None:
    assert parse("{a: '1', b: \"true\", c: 'null'}", "f").plain() == {
        "a": "1",
        "b": "true",
        "c": "null",
    }


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: 1\na: 2", "f:2:1", "twice (first at f:1:1)"),
        ("a: !!python/name:os.system x", "f:1:4", "cannot name code"),
        ("a: !custom x", "f:1:4", "cannot name code"),
        ("a: !!python/object/apply:os.system [ls]", "f:1:4", "cannot name code"),
        ("a: [1, 2", "f:1:9", "not valid YAML"),
        ("a:\n\tb: 1", "f:2:1", "not with a tab"),
        ("? {x: 1}\n: 2", "f:1:3", "a single word"),
        ("a: *missing", "f:1:4", "not valid YAML"),
    ],
)
def test_faults_are_named_with_their_place(text: str, place: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text, "f")
    (problem,) = raised.value.problems
    assert (problem.where, problem.kind) == (place, "syntax")
    assert said in problem.message


def _bomb(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines)


def test_aliases_are_followed_but_cannot_explode() -> None:
    """Bounded in nodes and memory, not by a clock: 9 levels of 9 would be 387 million values."""
    assert parse(_bomb(3, 2), "f").plain()["a2"] == [[["x", "x"]] * 2] * 2
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ConfigError, match="aliases expand to more than"):
        parse(_bomb(9, 9), "f")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    with pytest.raises(ConfigError):
        parse("a: &a [*a]", "f")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_depth_is_bounded(opening: str) -> None:
    assert parse("[" * 20 + "]" * 20, "f").plain()
    with pytest.raises(ConfigError, match=f"deeper than {MAX_DEPTH}|not valid YAML"):
        parse(opening * 100_000, "f")


def test_a_typed_value_is_yaml_or_a_text() -> None:
    mark = Mark("command line")
    assert mark.typed
    for text, value in (("1e-3", 1e-3), ("[1, 2]", [1, 2]), ("{a: b}", {"a": b"".decode() or "b"}),
                        ("a: [", "a: ["), ("", None), ("{}", {}), ("x=y", "x=y")):  # fmt: skip
        node = parse_value(text, mark)
        assert node.plain() == value
        assert node.mark.typed


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    assert parse("", str(tmp_path)).plain() == {}
    assert parse("# only a comment\n", str(tmp_path)).plain() == {}
