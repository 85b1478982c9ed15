"""Embedding of ordinal columns: where each number comes from, and what it is called."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ftune.models.embedding import Embedding, table_keys
from ftune.models.shapes import Axis, Inputs

TABLE = Inputs((4,), ("age", "edu", "hours", "a.b"), {"edu": 7, "a.b": 3})
X = torch.tensor([[0.5, 6, 40, 1], [0.1, 0, 20, 2]])


def test_numbers_come_first_then_a_vector_per_column() -> None:
    part = Embedding(2).build(TABLE, 1)
    state = part.module.state_dict()
    edu, ab = state["tables.edu.weight"], state["tables.a_b.weight"]
    expected = torch.cat([X[:, [0, 2]], edu[[6, 0]], ab[[1, 2]]], 1)
    assert torch.equal(part.module(X), expected)
    assert part.after.names == ("age", "hours", "edu[0]", "edu[1]", "a.b[0]", "a.b[1]")
    assert part.after.categories == {}


def test_the_checkpoint_holds_the_tables_only_with_codes_as_names() -> None:
    part = Embedding(2).build(TABLE, 1)
    assert set(part.module.state_dict()) == {"tables.edu.weight", "tables.a_b.weight"}
    assert part.axes["tables.a_b.weight"] == (Axis(0, ("0", "1", "2"), "input"),)


def test_columns_not_listed_stay_codes() -> None:
    part = Embedding(1, columns=["a.b"]).build(TABLE, 1)
    assert part.after.names == ("age", "edu", "hours", "a.b[0]")
    assert part.after.categories == {"edu": 7}
    assert torch.equal(part.module(X)[:, :3], X[:, :3])


def test_the_order_of_the_list_does_not_matter() -> None:
    """Vectors stand in the order of the table, so that a list written otherwise is one model."""
    part = Embedding(1, columns=["a.b", "edu"]).build(TABLE, 1)
    assert part.after.names == ("age", "hours", "edu[0]", "a.b[0]")


@pytest.mark.parametrize(("codes", "width"), [(2, 2), (7, 5), (100, 21), (10_000, 50)])
def test_automatic_width(codes: int, width: int) -> None:
    part = Embedding().build(Inputs((1,), ("a",), {"a": codes}), 1)
    assert part.after.shape == (width,)
    assert width == min(50, round(1.6 * codes**0.56))


def test_a_table_of_codes_only() -> None:
    part = Embedding(2).build(Inputs((1,), ("a",), {"a": 3}), 1)
    assert part.module(torch.tensor([[2.0], [0.0]])).shape == (2, 2)


def test_keys_can_be_child_names_and_are_distinct() -> None:
    columns = ["type", "a.b", "a_b", "", "keys", "_modules", "plain"]
    keys = table_keys(columns)
    assert keys == ["type_", "a_b", "a_b_", "_", "keys_", "_modules_", "plain"]
    assert len(nn.ModuleDict({key: nn.Identity() for key in keys})) == len(columns)


def test_a_code_that_is_not_in_the_table_is_an_error() -> None:
    module = Embedding(2).build(TABLE, 1).module
    with pytest.raises(IndexError):
        module(torch.tensor([[0.5, 7, 40, 1]]))
