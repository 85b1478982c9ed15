"""What is said of a base's tensors: shares, remarks, lists that are cut, names that are renamed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.columns import Named, Net, axes, moved
from torch import Tensor, nn

from ftune.adapt.edits import Edit, replay
from ftune.adapt.key_mapping import Renaming, renaming
from ftune.adapt.schema import Lora
from ftune.adapt.transfer import Transfer, transfer
from ftune.errors import CheckpointError


@torch.no_grad()
def brought(model: nn.Module, base: dict[str, Tensor], head: str = "head") -> Transfer:
    return transfer(model, {}, head, base, {})


def test_rows_are_shares_of_the_model() -> None:
    """Of what the model has; what only the base has is a share of that, too."""
    items = [(f"t{i}", i + 1, "1 of 2 by name" if i == 1 else "") for i in range(6)]
    report = Transfer(items[:4], items[4:], items[:5], items[5:])
    assert report.rows() == [
        ("loaded", 4, 10, "37.0%", "t0, t1 (1 of 2 by name), t2, t3"),
        ("missing", 2, 11, "40.7%", "t4, t5"),
        ("unexpected", 5, 15, "55.6%", "t0, t1 (1 of 2 by name), t2, t3, … 1 more"),
        ("mismatched", 1, 6, "22.2%", "t5"),
    ]
    assert [row[1:] for row in Transfer().rows()] == [(0, 0, "0.0%", "")] * 4


def test_new_classes_are_named_and_those_the_base_has_are_not() -> None:
    report = moved("abc", "xy", "abc", "ynxz")[3]
    assert report.partial == {"head.weight": ("n", "z"), "head.bias": ("n", "z")}
    assert report.notes == ["new to the base, starting from random weights: n, z"]
    assert moved("abc", "xy", "abd", "yx")[3].partial == {}, "of columns it is said otherwise"


def test_classes_in_another_order_are_no_features() -> None:
    head = Named(0, tuple("xy"), "output"), Named(0, tuple("yx"), "output")
    base, model = Net(3, 2), Net(3, 2)
    with torch.no_grad():
        report = transfer(
            model, {"head.weight": (head[1],), "head.bias": (head[1],)}, "head",
            base.state_dict(), {"head.weight": (head[0],), "head.bias": (head[0],)},
        )  # fmt: skip
    assert report.notes == [] and torch.equal(model.head.weight, base.head.weight[[1, 0]])


def test_adapters_in_a_wrapper_cannot_be_in_the_base() -> None:
    pytest.importorskip("peft")
    base = Net(3, 2)
    model: Any = Net(3, 2)
    replay(model, [
        Edit("lora", "body", settings=Lora(2).settings()),
        Edit("peft", "", "other", {"type": "ia3", "targets": ["body"]}),
    ])  # fmt: skip
    report = brought(model, base.state_dict())
    assert len(report.loaded) == 4 and report.missing == [] and report.unexpected == []
    assert torch.equal(model.body.base_layer.weight, base.body.weight)


def test_a_long_list_is_cut_after_eight() -> None:
    for count, end in ((8, "h"), (9, "h, … (9 in all)")):
        letters = "abcdefghi"[:count]
        notes = moved("Z", "xy", "Z" + letters, "xy")[3].notes
        assert notes == [
            f"new features, entering with zero weight: {', '.join(letters[:8])}{end[1:]}"
        ]
        notes = moved("Z" + letters, "xy", "Z", "xy")[3].notes
        assert notes == [f"features of the base that are gone: {', '.join(letters[:8])}{end[1:]}"]


@pytest.mark.parametrize("prefix", ["", "module.", "model.net."])
def test_columns_and_classes_go_by_name_under_a_prefix_too(prefix: str) -> None:
    torch.manual_seed(0)
    base, model = Net(3, 2), Net(3, 2)
    named = {prefix + name: tensor for name, tensor in base.state_dict().items()}
    base_axes = {prefix + name: found for name, found in axes("abc", "xy").items()}
    with torch.no_grad():
        report = transfer(model, axes("cab", "yx"), "head", named, base_axes)
    x = torch.randn(9, 3)
    torch.testing.assert_close(model(x[:, [2, 0, 1]]), base(x)[:, [1, 0]])
    assert len(report.loaded) == 4


@pytest.mark.parametrize("kept", ["embed", "out"])
def test_a_tied_weight_is_there_under_either_name(kept: str) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(5, 3), nn.Linear(3, 5)
            self.out.weight = self.embed.weight

    base, model = Tied(), Tied()
    stored = {f"{kept}.weight": base.embed.weight.detach(), "out.bias": base.out.bias.detach()}
    report = brought(model, stored, "none")
    assert report.missing == [] and torch.equal(model.out.weight, base.out.weight)
    apart: Any = Tied()
    apart.out.weight = nn.Parameter(apart.out.weight.detach().clone())
    assert len(brought(apart, stored, "none").missing) == 1, "the negative control"


def test_what_is_named_alike_is_loaded_without_a_remark() -> None:
    report = moved("abc", "xy", "abc", "xy")[3]
    assert report.loaded == [("body.weight", 15, ""), ("body.bias", 5, ""),
                             ("head.weight", 10, ""), ("head.bias", 2, "")]  # fmt: skip
    report = moved("abc", "xy", "abc", "pqr")[3]
    said = "no output in common"
    assert report.mismatched == [("head.weight", 15, said), ("head.bias", 3, said)]


def test_a_base_of_which_nothing_is_taken_over_is_said() -> None:
    base, model = nn.ModuleDict({"head": nn.Linear(3, 2)}), nn.ModuleDict({"head": nn.Linear(4, 5)})
    said = "nothing of the base is taken over: all weights start at random"
    assert brought(model, base.state_dict()).notes[-1] == said
    half = nn.ModuleDict({"head": nn.Linear(4, 2)})
    assert said not in brought(half, base.state_dict()).notes, "the bias is"


def test_half_precision_comes_in_the_models_own() -> None:
    base, model = Net(3, 2), Net(3, 2)
    brought(model, {name: t.bfloat16() for name, t in base.state_dict().items()})
    assert {t.dtype for t in model.state_dict().values()} == {torch.float32}
    assert torch.equal(model.body.weight, base.body.weight.bfloat16().float())
    half = Net(4, 2).bfloat16()
    with torch.no_grad():
        transfer(half, axes("cabn", "xy"), "head", base.state_dict(), axes("abc", "xy"))
    assert half.body.weight.dtype == torch.bfloat16
    assert torch.equal(half.body.weight[:, 0], base.body.weight[:, 2].bfloat16())


def test_names_of_another_length_than_the_tensor_do_not_fit() -> None:
    base, model = Net(3, 4), Net(3, 3)
    with torch.no_grad():
        report = transfer(model, axes("abc", "xyz"), "head", base.state_dict(), axes("abc", "xyzw"))
        wrong = {"head.weight": (Named(1, tuple("pqrsn"), "input"),)}
        other = {"head.weight": (Named(1, tuple("qprst"), "input"),)}
        fresh = Net(3, 2)
        before = fresh.head.weight.clone()
        unfit = transfer(fresh, wrong, "head", Net(3, 4).state_dict(), other)
    assert torch.equal(fresh.head.weight, before), "what does not fit stays as it was"
    assert [name for name, *_ in report.loaded] == [n for n, _ in model.named_parameters()]
    assert torch.equal(model.head.weight, base.head.weight[:3])
    assert [name for name, *_ in unfit.mismatched] == ["head.weight", "head.bias"]


def test_shapes_of_the_body_are_listed_up_to_eight() -> None:
    def stack(width: int) -> nn.Module:
        return nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(9)))

    with pytest.raises(CheckpointError) as caught:
        brought(stack(2), stack(3).state_dict())
    lines = str(caught.value).splitlines()
    assert lines[0] == "9 tensors of the base have another shape:"
    assert lines[1:] == [f"  {i}.weight: base [3, 3], model [2, 2]" for i in range(8)]


def test_a_head_alone_is_no_match_and_a_model_that_is_all_head_is() -> None:
    base, model = Net(3, 2), Net(3, 2)
    head = {name: t for name, t in base.state_dict().items() if name.startswith("head.")}
    with pytest.raises(CheckpointError) as caught:
        brought(model, head)
    assert "  base:  head.weight, head.bias\n  model: body.weight, body.bias, " in str(caught.value)
    lone = nn.ModuleDict({"head": nn.Linear(5, 2)})
    part = brought(lone, {"head.weight": head["head.weight"]})
    assert part.missing == [("head.bias", 2, "")], "and so may a part of it be"
    assert len(brought(lone, head).loaded) == 2


RENAMED: dict[str, tuple[list[str], list[str], Renaming]] = {
    "alike": (["a.w", "b.w"], ["a.w", "b.w"], Renaming()),
    "wrapped once": (["module.a.w", "module.b.w"], ["a.w", "b.w"], Renaming("module.")),
    "a wrapper of its own": (["x.a.w", "x.b.w"], ["a.w", "b.w"], Renaming("x.")),
    "the model is wrapped": (["a.w", "b.w"], ["lm.a.w", "lm.b.w", "head.w"], Renaming("", "lm.")),
    "both are": (["x.a.w", "x.b.w"], ["y.a.w", "y.b.w"], Renaming("x.", "y.")),
    "most of it": (["x.a.w", "x.b.w", "n"], ["a.w", "b.w"], Renaming("x.")),
    "not by half": (["x.a.w", "b.w"], ["a.w", "b.w"], Renaming()),
    "two bare layers": (["a.weight", "a.bias"], ["b.weight", "b.bias"], Renaming()),
    "nothing alike": (["p.q.w"], ["a.b.c"], Renaming()),
}


@pytest.mark.parametrize("case", RENAMED)
def test_the_plainest_renaming_under_which_most_match(case: str) -> None:
    base, own, expected = RENAMED[case]
    assert renaming(base, own) == expected


def test_a_name_without_the_wrapper_is_left_alone() -> None:
    assert Renaming("x.", "y.")("x.a.x.w") == "y.a.x.w"
    assert Renaming("x.", "y.")("z.x.w") == "z.x.w"
