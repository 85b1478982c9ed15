"""The nearest accepted name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftune.config.spelling import distance, nearest, suggestion

WORDS = st.text("abc", max_size=6)


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [("", "", 0), ("lr", "rl", 1), ("adam", "adamw", 1), ("kitten", "sitting", 3), ("ab", "", 2),
     ("ca", "abc", 3)],
)  # fmt: skip
def test_distance(a: str, b: str, edits: int) -> None:
    assert distance(a, b) == edits


@given(WORDS, WORDS)
def test_distance_is_symmetric_and_zero_only_for_equals(a: str, b: str) -> None:
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b)
    assert abs(len(a) - len(b)) <= distance(a, b) <= max(len(a), len(b))


@pytest.mark.parametrize(
    ("word", "choices", "expected"),
    [
        ("adamv", ["adam", "adamw"], "adamw"),
        ("batch-size", ["batch_size"], "batch_size"),
        ("Seed", ["seed"], "seed"),
        ("lion", ["muon", "adam"], None),
        ("ab", ["xy"], None),
        ("colour", ["seed"], None),
        ("standardization", ["standardize"], "standardize"),
    ],
)
def test_nearest(word: str, choices: list[str], expected: str | None) -> None:
    assert nearest(word, choices) == expected
    said = f"did you mean `{expected}`?" if expected else "accepted: " + ", ".join(sorted(choices))
    assert suggestion(word, choices) == said
