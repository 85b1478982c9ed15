from __future__ import annotations

import numpy as np
import pytest

from ftune.config.read import SettingError
from ftune.data.frame import Array, Frame
from ftune.data.schema import Split
from ftune.data.splits import few_of_each, limited, split
from ftune.errors import DataError

LABELS = np.array(["a"] * 70 + ["b"] * 30, dtype=object)


def frame(size: int = 100, **columns: Array) -> Frame:
    return Frame({"x": np.arange(size, dtype=float), **columns}, "t.csv", np.arange(1, size + 1))


def rows(parts: dict[str, Frame]) -> dict[str, list[int]]:
    return {name: part.rows.tolist() for name, part in parts.items()}


@pytest.mark.parametrize(
    "how",
    [
        Split(),
        Split(val=7, test=13),
        Split(stratify=True),
        Split(stratify=False),
        Split(group="g"),
        Split(time="t"),
        Split(val=0.5, test=0),
    ],
)
def test_every_row_on_one_side_and_the_same_again(how: Split) -> None:
    table = frame(g=np.arange(100) // 4 * 1.0, t=np.arange(100)[::-1] * 1.0)
    parts = split(table, how, 5, LABELS, [])
    assert sorted(row for side in rows(parts).values() for row in side) == list(range(1, 101))
    assert rows(parts) == rows(split(table, how, 5, LABELS, []))
    assert ("test" in parts) == bool(how.test)
    if not how.time:
        assert rows(parts) != rows(split(table, how, 6, LABELS, []))


def test_sizes() -> None:
    def sizes(how: Split) -> dict[str, int]:
        return {name: len(part) for name, part in split(frame(), how, 0, LABELS, []).items()}

    assert sizes(Split()) == {"train": 70, "test": 20, "val": 10}
    assert sizes(Split(val=3, test=5)) == {"train": 92, "test": 5, "val": 3}


def test_stratified_keeps_the_mix_and_random_does_not() -> None:
    def shares(how: Split) -> set[float]:
        found = set()
        for seed in range(5):
            for part in split(frame(), how, seed, LABELS, []).values():
                found.add(round(float((LABELS[part.rows - 1] == "b").mean()), 2))
        return found

    assert shares(Split(stratify=True)) == shares(Split()) == {0.3}
    assert shares(Split(stratify=False)) != {0.3}


def test_groups_stay_together_and_random_tears_them() -> None:
    groups = np.array([f"g{i // 7}" for i in range(100)], dtype=object)
    table = frame(g=groups)

    def torn(how: Split) -> int:
        parts = split(table, how, 1, None, [])
        sides = [set(part["g"]) for part in parts.values()]
        return sum(len(a & b) for i, a in enumerate(sides) for b in sides[i + 1 :])

    assert torn(Split(group="g")) == 0
    assert torn(Split()) > 0


def test_time_puts_the_latest_last() -> None:
    order = np.random.default_rng(0).permutation(100)
    table = frame(t=order.astype("datetime64[s]"))
    parts = split(table, Split(time="t"), 0, None, [])
    assert parts["train"]["t"].max() < parts["val"]["t"].min()
    assert parts["val"]["t"].max() < parts["test"]["t"].min()


def test_a_rare_class_is_said_or_refused() -> None:
    labels = np.array(["a"] * 99 + ["b"], dtype=object)
    notes: list[str] = []
    split(frame(), Split(), 0, labels, notes)
    assert "`b` has only 1 row" in notes[0]
    with pytest.raises(DataError, match=r"`b` has only 1 row.*stratify: false"):
        split(frame(), Split(stratify=True), 0, labels, [])


RARE = np.array(["a"] * 70 + ["b"] * 28 + ["c", "d"], dtype=object)


def share_of_b(labels: Array, how: Split, seed: int) -> list[float]:
    parts = split(frame(len(labels)), how, seed, labels, [])
    return [round(float((labels[part.rows - 1] == "b").mean()), 1) for part in parts.values()]


def test_classes_of_one_row_leave_the_others_stratified() -> None:
    """The others are divided as scikit-learn divides them alone; unstratified they are not."""
    for seed in range(5):
        assert share_of_b(RARE, Split(), seed) == [0.3, 0.3, 0.3]
        parts = split(frame(), Split(), seed, RARE, [])
        assert {99, 100} <= set(parts["train"].rows.tolist())
        sizes = {name: len(part) for name, part in parts.items()}
        assert sizes == {"train": 70, "val": 10, "test": 20}
    drawn = [share_of_b(RARE, Split(stratify=False), seed) for seed in range(5)]
    assert any(shares != [0.3, 0.3, 0.3] for shares in drawn)
    alone, among = frame(98), frame(100)
    for seed in range(3):
        whole = split(alone, Split(test=20, val=10), seed, RARE[:98], [])
        same = split(among, Split(test=20, val=10), seed, RARE, [])
        assert all(
            whole[part].rows.tolist() == same[part].rows.tolist() for part in ("val", "test")
        )


def test_what_is_said_of_the_split_is_said_once() -> None:
    def notes(labels: Array, **how: float) -> list[str]:
        found: list[str] = []
        split(frame(len(labels)), Split(**how), 0, labels, found)  # type: ignore[arg-type]
        return found

    (note,) = notes(RARE)
    assert "classes `c`, `d` have only 1 row each" in note and "stay in training" in note
    (note,) = notes(np.array(["a"] * 99 + ["b"], dtype=object))
    assert "class `b` has only 1 row" in note and "stays in training" in note
    many = np.array([f"c{i // 2}" for i in range(100)], dtype=object)
    (note,) = notes(many)
    assert note.startswith("test and val are not stratified: 20 of 100 rows cannot hold all 50")
    (note,) = notes(np.array([str(i) for i in range(100)], dtype=object))
    assert note == "test and val are not stratified: no class has more than 1 row."
    # Only one row of `b` is left beside the test split: val does without it, and the rest is mixed.
    (note,) = notes(np.array(["a"] * 98 + ["b"] * 2, dtype=object), test=50, val=10)
    assert "`b` has only 1 row" in note
    assert notes(LABELS) == []


@pytest.mark.parametrize(
    ("how", "labels", "message"),
    [
        (Split(val=50, test=50), LABELS, "none are left to train on"),
        (Split(stratify=True), None, "only classes can be stratified"),
        (Split(group="one"), None, "all of one group"),
        (Split(group="gaps"), None, "missing in row 2"),
        (Split(time="one"), None, "gives no order"),
        (Split(time="gaps"), None, "missing in row 2"),
        (Split(time="text"), None, "not dates or numbers"),
        (Split(val=1, test=1, stratify=True), LABELS, "cannot hold all 2 classes"),
    ],
)
def test_refused(how: Split, labels: Array | None, message: str) -> None:
    gaps = np.where(np.arange(100) == 1, np.nan, np.arange(100.0))
    text = np.array(["x"] * 100, dtype=object)
    table = frame(one=np.ones(100), gaps=gaps, text=text)
    with pytest.raises(DataError, match=message):
        split(table, how, 0, labels, [])


@pytest.mark.parametrize(
    "wrong", [{"val": 0.5, "test": 0.5}, {"val": 1.5}, {"group": "a", "time": "b"},
              {"stratify": True, "group": "a"}]
)  # fmt: skip
def test_settings_that_conflict(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        Split(**wrong)  # type: ignore[arg-type]


def test_smaller_limits_are_subsets() -> None:
    few, more = (set(limited(frame(), n, 3).rows.tolist()) for n in (10, 40))
    assert len(few) == 10 and few < more
    assert len(limited(frame(), 500, 3)) == 100


def test_per_class() -> None:
    notes: list[str] = []
    chosen = few_of_each(frame(), LABELS, 40, 0, notes)
    counts = np.unique(LABELS[chosen.rows - 1].astype(str), return_counts=True)[1].tolist()
    assert counts == [40, 30]
    assert notes == ["per_class: class `b` has only 30 rows."]
    with pytest.raises(DataError, match="most: `a`, 70 rows"):
        few_of_each(frame(), LABELS, 71, 0, [])
