"""A base's tensors into another model: by tensor name, and entry by entry where they have names."""

from __future__ import annotations

import pytest
import torch
from support.columns import Named, Net, moved
from torch import nn

from ftune.adapt.transfer import transfer
from ftune.errors import CheckpointError

PREFIXES = ["", "module.", "model.", "_orig_mod.", "net.", "module._orig_mod.", "model.module."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes(prefix: str) -> None:
    base, model = Net(3, 2), Net(3, 2)
    named = {prefix + name: tensor for name, tensor in base.state_dict().items()}
    with torch.no_grad():
        report = transfer(model, {}, "head", named, {})
    assert len(report.loaded) == 4 and not report.missing and not report.unexpected
    assert all(torch.equal(t, base.state_dict()[n]) for n, t in model.state_dict().items())


def test_partly_there() -> None:
    base, model = Net(3, 2), Net(3, 2)
    named = {"body.weight": base.body.weight, "other": torch.ones(7)}
    with torch.no_grad():
        report = transfer(model, {}, "head", named, {})
    assert [n for n, *_ in report.missing] == ["body.bias", "head.weight", "head.bias"]
    assert report.unexpected == [("other", 7, "")]
    rows = {row[0]: row for row in report.rows()}
    assert rows["loaded"][1:3] == (1, 15) and rows["loaded"][3] == "46.9%"
    assert rows["unexpected"][4] == "other"


def test_nothing_matched() -> None:
    with pytest.raises(CheckpointError, match=r"nothing in the base matches(?s:.*)other"):
        transfer(Net(3, 2), {}, "head", {"other": torch.ones(3)}, {})


def test_another_shape_in_the_body() -> None:
    base, model = Net(3, 2, hidden=9), Net(3, 2)
    with pytest.raises(CheckpointError, match=r"(?s)another shape.*body.weight: base \[9, 3\]"):
        transfer(model, {}, "head", base.state_dict(), {})


def test_another_head_is_replaced_and_said() -> None:
    base, model, fresh, report = moved("abc", "xy", "abc", "pqr")
    assert torch.equal(model.body.weight, base.body.weight)
    assert torch.equal(model.head.weight, fresh["head.weight"])
    assert report.notes == ["the head `head` is replaced: no output in common"]
    assert [name for name, *_ in report.mismatched] == ["head.weight", "head.bias"]


def test_head_of_the_same_size_but_other_classes() -> None:
    _, model, fresh, report = moved("abc", "xy", "abc", "pq")
    assert torch.equal(model.head.weight, fresh["head.weight"])
    assert "replaced" in report.notes[0]


def test_unnamed_head_of_another_size() -> None:
    base, model = Net(3, 4), Net(3, 2)
    fresh = model.head.weight.clone()
    with torch.no_grad():
        report = transfer(model, {}, "head", base.state_dict(), {})
    assert torch.equal(model.head.weight, fresh)
    assert "base [4, 5], model [2, 5]" in report.notes[0]


def test_class_rows_by_name() -> None:
    base, model, fresh, _ = moved("abc", "xyz", "abc", "zqx")
    for name in ("weight", "bias"):
        new, old = getattr(model.head, name), getattr(base.head, name)
        assert torch.equal(new[0], old[2]) and torch.equal(new[2], old[0])
        assert torch.equal(new[1], fresh[f"head.{name}"][1]), "a new class starts fresh"


def test_shared_columns_keep_new_are_zero() -> None:
    base, model, _, report = moved("abc", "xy", "cnad", "xy")
    new, old = model.body.weight, base.body.weight
    assert torch.equal(new[:, 0], old[:, 2]) and torch.equal(new[:, 2], old[:, 0])
    assert not new[:, [1, 3]].any()
    said = " | ".join(report.notes)
    assert "new features, entering with zero weight: n, d" in said
    assert "gone: b" in said and "another order" in said
    assert report.loaded[0][2] == "2 of 4 by name"


def test_only_reordered() -> None:
    base, model, _, report = moved("abc", "xy", "cab", "xy")
    x = torch.randn(20, 3)
    torch.testing.assert_close(model(x[:, [2, 0, 1]]), base(x))
    assert report.notes == ["features in another order than the base's: matched by name"]


def test_control_by_position_a_reordered_table_is_another_function() -> None:
    torch.manual_seed(0)
    base, model = Net(3, 2), Net(3, 2)
    with torch.no_grad():
        transfer(model, {}, "head", base.state_dict(), {})
    x = torch.randn(20, 3)
    assert (model(x[:, [2, 0, 1]]) - base(x)).abs().max() > 1e-3


def test_more_columns_start_where_the_base_ended() -> None:
    base, model, _, _ = moved("abc", "xy", "abcde", "xy")
    x = torch.randn(20, 5)
    torch.testing.assert_close(model(x), base(x[:, :3]))


def test_same_columns_say_nothing() -> None:
    base, model, _, report = moved("abc", "xy", "abc", "xy")
    assert report.notes == []
    assert all(torch.equal(t, base.state_dict()[n]) for n, t in model.state_dict().items())


def test_rows_of_a_table_go_by_name_and_new_ones_stay_fresh() -> None:
    base, model = nn.Embedding(3, 4), nn.Embedding(4, 4)
    fresh = model.weight.detach().clone()
    with torch.no_grad():
        transfer(
            model, {"weight": (Named(0, tuple("cxab"), "input"),)}, "head",
            base.state_dict(), {"weight": (Named(0, tuple("abc"), "input"),)},
        )  # fmt: skip
    assert torch.equal(model.weight[0], base.weight[2])
    assert torch.equal(model.weight[2:], base.weight[:2])
    assert torch.equal(model.weight[1], fresh[1])


def test_model_that_is_one_layer() -> None:
    """Both axes in one tensor: columns and classes at once."""
    torch.manual_seed(0)
    base, model = nn.Linear(3, 2), nn.Linear(4, 3)
    fresh = model.weight.detach().clone()

    def both(inputs: str, outputs: str) -> dict[str, tuple[Named, ...]]:
        out = Named(0, tuple(outputs), "output")
        return {"weight": (Named(1, tuple(inputs), "input"), out), "bias": (out,)}

    with torch.no_grad():
        transfer(model, both("cabn", "yzx"), "", base.state_dict(), both("abc", "xy"))
    old = base.weight[:, [2, 0, 1]]
    assert torch.equal(model.weight[0, :3], old[1]) and torch.equal(model.weight[2, :3], old[0])
    assert not model.weight[[0, 2], 3].any()
    assert torch.equal(model.weight[1, :3], fresh[1, :3])
