"""`${key}` and `${oc.env:NAME}` within limits."""

from __future__ import annotations

from typing import Any

import pytest

from ftune.config.interpolate import MAX_LENGTH, interpolate
from ftune.config.tree import parse


def after(text: str) -> tuple[Any, list[str]]:
    root = parse(text, "f")
    problems = interpolate(root)
    assert all(p.kind == "interpolation" for p in problems)
    return root.plain(), [p.message for p in problems]


def test_references_keep_their_type_alone_and_become_text_within_text() -> None:
    plain, problems = after("{a: 3, b: '${a}', c: 'x-${a}', d: '${b}', e: [1, '${e.0}'], n: null}")
    assert problems == []
    assert plain == {"a": 3, "b": 3, "c": "x-3", "d": 3, "e": [1, 1], "n": None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: ${a}", "refers to itself"),
        ("{a: '${b}', b: '${a}'}", "refers to itself"),
        ("a: ${nothing}", "no single value at `nothing`"),
        ("{a: '${b}', b: [1]}", "no single value at `b`"),
        ("a: ${oc.decode:x}", "only ${key.path} and ${oc.env:NAME}"),
        ("a: ${resolver:x}", "only ${key.path}"),
        ("a: '${b'", "not a complete"),
        ("{a: '${${b}}', b: a}", "not a complete"),
    ],
)
def test_what_cannot_be_followed_is_said(text: str, said: str) -> None:
    _, problems = after(text)
    assert problems
    assert said in problems[0]


def test_growth_is_bounded() -> None:
    lines = ["a0: " + "x" * 100] + [f"a{i}: ${{a{i - 1}}}${{a{i - 1}}}" for i in range(1, 9)]
    _, problems = after("\n".join(lines))
    assert any(f"beyond {MAX_LENGTH}" in p for p in problems)


def test_the_environment_is_read_only_where_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTUNE_TEST_NAME", "1e-3")
    plain, problems = after("{a: '${oc.env:FTUNE_TEST_NAME}', runtime: {env: [FTUNE_TEST_NAME]}}")
    assert (plain["a"], problems) == (1e-3, [])
    _, problems = after("a: ${oc.env:FTUNE_TEST_NAME}")
    assert "list FTUNE_TEST_NAME under `runtime.env`" in problems[0]
    assert "1e-3" not in problems[0]
    monkeypatch.delenv("FTUNE_TEST_NAME")
    _, problems = after("{a: '${oc.env:FTUNE_TEST_NAME}', runtime: {env: [FTUNE_TEST_NAME]}}")
    assert "has no FTUNE_TEST_NAME" in problems[0]
