"""A base's tensors into a model that carries adapters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ftune.adapt.edits import Edit, replay
from ftune.adapt.names import adapted_module_of, find_module, lora_part, strip_wrappers
from ftune.adapt.schema import Lora
from ftune.adapt.transfer import transfer
from ftune.errors import RequestError


def net(seed: int, rank: int = 0) -> Any:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    if rank:
        replay(model, [Edit("lora", "0", settings=Lora(rank).settings())])
        model[0].lora.default.B.data.normal_()  # type: ignore[union-attr, operator]
    return model


def test_adapters_that_the_base_lacks_are_not_missing() -> None:
    model, base = net(0, rank=2), net(1)
    before = model[0].lora.default.B.clone()
    report = transfer(model, {}, "1", base.state_dict(), {})
    assert len(report.loaded) == 4 and not report.missing and not report.unexpected
    assert torch.equal(model[0].weight, base[0].weight)
    assert torch.equal(model[0].lora.default.B, before)


def test_adapters_that_the_base_has_are_loaded() -> None:
    model, base = net(0, rank=2), net(1, rank=2)
    assert len(transfer(model, {}, "1", base.state_dict(), {}).loaded) == 6
    assert torch.equal(model[0].lora.default.B, base[0].lora.default.B)
    report = transfer(net(0), {}, "1", base.state_dict(), {})
    assert [name for name, _, _ in report.unexpected] == ["0.lora.default.A", "0.lora.default.B"]


def test_control_other_tensors_that_the_base_lacks_are_missing() -> None:
    base = net(1).state_dict()
    del base["0.bias"]
    report = transfer(net(0, rank=2), {}, "1", base, {})
    assert [name for name, _, _ in report.missing] == ["0.bias"]


def test_names() -> None:
    assert strip_wrappers("a.base_layer.base_layer.weight") == "a.weight"
    assert strip_wrappers("a.base_layers.weight") == "a.base_layers.weight"
    part = lora_part("a.base_layer.lora.two.magnitude")
    assert part is not None and (part.module, part.name, part.part) == ("a", "two", "magnitude")
    assert lora_part("a.lora.weight") is None and lora_part("a.lora_A.default.weight") is None
    names = ["a.base_layer.weight", "a.ia3_l.default", "ab.weight", "b.lora.x.A", "b.weight"]
    assert adapted_module_of(names) == {"a.ia3_l.default": "a", "b.lora.x.A": "b"}
    assert adapted_module_of(iter(names)) == adapted_module_of(names), (
        "names are gone through twice"
    )


def test_a_path_that_leads_nowhere() -> None:
    with pytest.raises(RequestError, match=r"no module `0.lin` to adapt"):
        find_module(net(0), "0.lin")
