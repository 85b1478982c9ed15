"""PEFT's folders both ways, against PEFT itself; damaged ones are answered."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.peft_folders import (
    ATTENTION,
    CASES,
    PEFTS,
    Case,
    Vision,
    adapted,
    ids,
    images,
    llama,
    trained_by_peft,
)
from torch import Tensor, nn

from ftune.adapt.edits import replay
from ftune.adapt.peft_format import placed, read_peft
from ftune.adapt.peft_write import write_peft
from ftune.adapt.quantize import base_state_dict, load_tensors
from ftune.errors import CheckpointError, RequestError

peft = pytest.importorskip("peft")
pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")


def logits(model: nn.Module, x: Tensor) -> Tensor:
    found = model.eval()(x)
    return getattr(found, "logits", found)  # type: ignore[no-any-return]


def with_peft(base: nn.Module, folder: Path) -> nn.Module:
    """As anyone would; a tensor that PEFT does not find or know is an error here."""
    model = copy.deepcopy(base)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = peft.PeftModel.from_pretrained(model, str(folder))
    assert not [w for w in caught if "missing" in str(w.message).lower()]
    found = peft.get_peft_model_state_dict(loaded)
    stored = load_file(folder / "adapter_model.safetensors")
    assert set(stored) <= set(found), "PEFT knows every tensor"
    return loaded  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", CASES)
def test_ours_loads_in_peft_and_back_here(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    model, base = adapted(case)
    x = case[1]()
    tmp_path = tmp_path / "new" / "folder"
    written = write_peft(tmp_path, model, base_model="somewhere", task_type=None)
    assert written.left_out == () and written.tensors >= 2 * len(case[2])
    theirs = with_peft(base, tmp_path)
    wanted = logits(model, x)
    assert torch.allclose(logits(theirs, x), wanted, atol=1e-4)
    assert not torch.allclose(logits(base, x), wanted, atol=1e-3), "control: it does something"
    here = copy.deepcopy(base)
    specs, tensors = read_peft(tmp_path)
    replay(here, specs)
    load_tensors(here, {**base_state_dict(here), **tensors})
    assert torch.allclose(logits(here, x), wanted, atol=1e-6)


@pytest.mark.parametrize("name", PEFTS)
def test_what_peft_trained_loads_here(name: str, tmp_path: Path) -> None:
    theirs, here, x = trained_by_peft(name, tmp_path)
    specs, tensors = read_peft(tmp_path)
    before = logits(here, x)
    if name == "saved output":  # PEFT unties it, and so must whoever loads it
        here.lm_head.weight = nn.Parameter(here.lm_head.weight.detach().clone())  # type: ignore[union-attr, operator]
    replay(here, specs)
    own = base_state_dict(here)
    assert set(tensors) <= set(own), "every tensor has its place"
    load_tensors(here, {**own, **tensors})
    assert torch.allclose(logits(here, x), logits(theirs, x), atol=1e-4)
    assert not torch.allclose(before, logits(theirs, x), atol=1e-3), "control: it was trained"


def test_a_wrapped_base_goes_out_without_its_wrapper_and_comes_back(tmp_path: Path) -> None:
    class Wrapped(nn.Module):
        def __init__(self, lm: nn.Module) -> None:
            super().__init__()
            self.lm, self.head = lm, nn.Linear(8, 2)

    model, base = adapted(CASES["dora"])
    wrapped = Wrapped(model)
    written = write_peft(
        tmp_path, wrapped, strip="lm.", trained=["head.weight", "lm.model.norm.weight"]
    )
    assert written.left_out == ("head.weight",)
    x = ids()
    assert torch.allclose(logits(with_peft(base, tmp_path), x), logits(model, x), atol=1e-4)
    fresh = Wrapped(base)
    specs, tensors = placed(fresh, *read_peft(tmp_path))
    assert all(spec.module.startswith("lm.model.layers.") for spec in specs)
    replay(fresh, specs)
    load_tensors(fresh, {**base_state_dict(fresh), **tensors})
    assert torch.allclose(logits(fresh.lm, x), logits(model, x), atol=1e-6)
    with pytest.raises(CheckpointError, match=r"4 of its 4 modules are not there"):
        placed(Vision(), *read_peft(tmp_path))


def test_trained_modules_go_along_and_shared_ones_for_each_holder(tmp_path: Path) -> None:
    model, base = adapted(CASES["linear"])
    model.embed.weight.data += 0.1
    model.q_proj.bias.data += 0.1
    write_peft(tmp_path, model, trained=["embed.weight", "q_proj.bias", "q_proj.lora.default.A"])
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["modules_to_save"] == ["embed", "lm_head"] and config["bias"] == "lora_only"
    x = ids()
    assert torch.allclose(logits(with_peft(base, tmp_path), x), logits(model, x), atol=1e-4)


def test_targets_are_exact() -> None:
    model, _ = adapted((llama, ids, {"model.layers.0.self_attn.q_proj": {}}))
    from ftune.adapt.peft_write import target_modules
    from ftune.adapt.targets import own_modules

    own = own_modules(model)
    assert target_modules(ATTENTION, own) == ["q_proj", "v_proj"]
    assert target_modules(ATTENTION[:1], own) == ATTENTION[:1]
    nested = {"a": nn.Linear(1, 1), "b.a": nn.Linear(1, 1)}
    assert target_modules(["a"], nested) == "a", "a pattern, since the name would reach b.a"


@pytest.mark.parametrize(
    ("case", "options", "message"),
    [
        ((Vision, images, {"depthwise": {}}), {}, "PEFT has no adapter for `depthwise`"),
        ((Vision, images, {"conv": {"dora": True}, "fc": {}}), {}, "DoRA on all modules"),
        ((Vision, images, {"fc": {}}), {"trained": ["fc.weight"]}, "trained and adapted"),
        ((Vision, images, {"fc": {}}), {"strip": "lm."}, "no adapter lies under `lm.`"),
        ((Vision, images, {"fc": {}}), {"name": "two"}, "there are: default"),
        ((Vision, images, {}), {}, "no LoRA adapter"),
    ],
)
def test_what_peft_cannot_hold_is_refused(
    case: Case, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    model, _ = adapted(case)
    with pytest.raises(RequestError, match=message):
        write_peft(tmp_path / "out", model, **options)
    assert not (tmp_path / "out").exists()


def folder(path: Path) -> Path:
    model, _ = adapted(CASES["linear"])
    write_peft(path, model)
    return path


def edit(path: Path, **changes: Any) -> None:
    file = path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def weights(path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    file = path / "adapter_model.safetensors"
    save_file(change(load_file(file)), file)


HARMS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda p: (p / "adapter_config.json").unlink(), "not a PEFT adapter"),
    "config no JSON": (lambda p: (p / "adapter_config.json").write_text("{"), "as JSON"),
    "config a list": (lambda p: (p / "adapter_config.json").write_text("[]"), "no mapping"),
    "another method": (lambda p: edit(p, peft_type="IA3"), "peft_type is IA3; ftune reads LORA"),
    "pissa": (lambda p: edit(p, init_lora_weights="pissa"), "also changed the base's weights"),
    "bias of B": (lambda p: edit(p, lora_bias=True), "`lora_bias` is set"),
    "another rank": (lambda p: edit(p, r=3), r"should have rank 3, but its factors are \[2, 8\]"),
    "dora without": (lambda p: edit(p, use_dora=True), "use_dora is True"),
    "a pattern that is none": (lambda p: edit(p, rank_pattern={"(": 3}), "rank_pattern"),
    "alpha a word": (lambda p: edit(p, lora_alpha="much"), "no number"),
    "no weights": (lambda p: (p / "adapter_model.safetensors").unlink(), "has no weights"),
    "cut weights": (
        lambda p: (p / "adapter_model.safetensors").write_bytes(b"x" * 20), "damaged"
    ),
    "half a pair": (
        lambda p: weights(p, lambda t: {k: v for k, v in t.items() if "lora_A" in k}), "only one"
    ),
    "an odd name": (
        lambda p: weights(p, lambda t: {**t, "base_model.model.q_proj.lora_C": torch.ones(1)}),
        "is no tensor of a LoRA adapter",
    ),
    "nothing of LoRA": (
        lambda p: weights(p, lambda _: {"base_model.model.fc.weight": torch.ones(1)}), "no LoRA"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMS)
def test_broken_folders(name: str, tmp_path: Path) -> None:
    harm, message = HARMS[name]
    read_peft(folder(tmp_path))
    harm(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        read_peft(tmp_path)


class Canary:
    def __reduce__(self) -> Any:
        return (print, ("ran",))


def test_pickled_weights_are_tensors_only(tmp_path: Path) -> None:
    stored = load_file(folder(tmp_path) / "adapter_model.safetensors")
    (tmp_path / "adapter_model.safetensors").unlink()
    torch.save(stored, tmp_path / "adapter_model.bin")
    assert len(read_peft(tmp_path)[1]) == 2
    torch.save({"a": Canary()}, tmp_path / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="could run code"):
        read_peft(tmp_path)
