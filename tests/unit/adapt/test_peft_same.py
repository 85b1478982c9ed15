"""What PEFT wrote, read and written again, is what PEFT wrote: names, values, settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.peft_folders import CASES, PEFTS, Vision, Words, adapted, ids, llama, trained_by_peft
from torch import nn

from ftune.adapt.edits import Edit, replay
from ftune.adapt.peft_format import placed, read_peft
from ftune.adapt.peft_write import write_peft
from ftune.adapt.quantize import base_state_dict, load_tensors
from ftune.adapt.schema import Lora
from ftune.adapt.targets import own_modules
from ftune.errors import CheckpointError, RequestError

pytest.importorskip("peft")
pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")
ALIKE = ("peft_type", "r", "lora_alpha", "use_rslora", "use_dora", "bias", "inference_mode",
         "init_lora_weights", "lora_dropout", "task_type", "fan_in_fan_out")  # fmt: skip


def config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    return found


def brought(model: Any, folder: Path) -> Any:
    specs, tensors = read_peft(folder)
    replay(model, specs)
    load_tensors(model, {**base_state_dict(model), **tensors})
    return model


@pytest.mark.parametrize("name", [name for name in PEFTS if name != "all biases"])
def test_read_and_written_again(name: str, tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    _, model, _ = trained_by_peft(name, theirs)
    if name == "saved output":
        model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())  # type: ignore[union-attr, operator]
    settings = PEFTS[name][2]
    whole = settings.get("modules_to_save", [])
    trained = [n for n, _ in model.named_parameters() if n.rpartition(".")[0] in whole]
    trained += ["fc.bias"] if name == "biases" else []
    write_peft(ours, brought(model, theirs), trained=trained, base_model="somewhere")
    stored, wanted = (load_file(path / "adapter_model.safetensors") for path in (ours, theirs))
    assert {k: t.shape for k, t in stored.items()} == {k: t.shape for k, t in wanted.items()}
    assert all(torch.equal(stored[key], tensor) for key, tensor in wanted.items())
    with safe_open(ours / "adapter_model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}, "transformers asks for it"
    made, given = config(ours), config(theirs)
    text = (ours / "adapter_config.json").read_text("utf-8")
    assert text == json.dumps(made, indent=2, sort_keys=True) + "\n", "as PEFT lays it out"
    common = {"r", "lora_alpha"} if name == "patterns" else set()  # ours: what most modules have
    alike = [key for key in ALIKE if key not in common]
    assert [made[key] for key in alike] == [given[key] for key in alike]
    assert made["modules_to_save"] == given["modules_to_save"]
    assert made["base_model_name_or_path"] == "somewhere"


def test_ranks_and_strengths_that_differ_are_patterns_of_whole_names(tmp_path: Path) -> None:
    model, _ = adapted(CASES["ranks"])
    write_peft(tmp_path, model, task_type="CAUSAL_LM")
    found = config(tmp_path)
    first = "^model\\.layers\\.0\\.self_attn\\."
    last = "^model\\.layers\\.1\\.self_attn\\."
    assert found["r"] == 1 and found["lora_alpha"] == 3 and found["alpha_pattern"] == {}
    assert found["rank_pattern"] == {f"{first}v_proj": 2, f"{last}q_proj": 3, f"{last}v_proj": 4}
    assert found["target_modules"] == ["q_proj", "v_proj"] and found["task_type"] == "CAUSAL_LM"
    assert found["base_model_name_or_path"] is None and found["modules_to_save"] is None
    assert found["lora_dropout"] == 0.0 and found["bias"] == "none"


def test_some_with_rslora_are_written_as_the_strength_they_have(tmp_path: Path) -> None:
    """alpha / rank of PEFT equals alpha / √rank of ours: 16 · √3 for rank 3."""
    model, _ = adapted(CASES["some rslora"])
    write_peft(tmp_path, model)
    found = config(tmp_path)
    assert found["use_rslora"] is False and found["lora_alpha"] == 6
    assert list(found["alpha_pattern"].values()) == pytest.approx([16 * 3**0.5] * 2)


def test_one_of_several_adapters_is_chosen_by_name(tmp_path: Path) -> None:
    model, _ = adapted(CASES["linear"])
    replay(model, [Edit("lora", "embed", "two", Lora(3, name="two").settings())])
    with pytest.raises(RequestError, match="choose one with --adapter: default, two"):
        write_peft(tmp_path, model)
    written = write_peft(tmp_path, model, name="two")
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert set(stored) == {f"base_model.model.embed.lora_embedding_{part}" for part in "AB"}
    assert written.tensors == 2 and config(tmp_path)["r"] == 3


class Wrapped(nn.Module):
    def __init__(self, lm: nn.Module) -> None:
        super().__init__()
        self.lm, self.head = lm, nn.Linear(8, 2)


def test_what_lies_outside_the_base_is_left_out_and_said(tmp_path: Path) -> None:
    model, _ = adapted(CASES["linear"])
    wrapped = Wrapped(model)
    wrapped.other = nn.ModuleDict({"q_proj": nn.Linear(8, 8)})  # is no target of the base's
    replay(wrapped, [
        Edit("lora", "head", settings=Lora(2).settings()),
        Edit("peft", "", "other", {"type": "ia3", "targets": ["head"]}),
    ])  # fmt: skip
    trained = [n for n, p in wrapped.named_parameters() if n.startswith("head.") and p is not None]
    assert "head.base_layer.bias" in trained
    trained = [n for n in trained if not n.endswith(("weight", "other"))]
    written = write_peft(tmp_path, wrapped, strip="lm.", trained=trained)
    assert written == type(written)(2, ("head", "head.bias"))
    assert config(tmp_path)["target_modules"] == ["q_proj"]


def test_biases_of_what_is_not_adapted_stay_at_home(tmp_path: Path) -> None:
    model, _ = adapted((Vision, ids, {"fc": {}}))
    write_peft(tmp_path, model, trained=["fc.bias"])
    stored = load_file(tmp_path / "adapter_model.safetensors")
    prefix = "base_model.model.fc."
    assert set(stored) == {
        f"{prefix}{name}" for name in ("lora_A.weight", "lora_B.weight", "base_layer.bias")
    }
    with pytest.raises(RequestError, match=r"`fc\.weight` was trained and adapted"):
        write_peft(tmp_path, model, trained=["fc.weight"])


CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "grouped": {"groups": 2}, "dilated": {"dilation": 2}, "one way": {"dilation": (1, 2)},
    "mirrored": {"padding": 1, "padding_mode": "reflect"},
}  # fmt: skip


@pytest.mark.parametrize("name", [*CONVOLUTIONS, "plain"])
def test_convolutions_that_peft_would_run_otherwise(name: str, tmp_path: Path) -> None:
    conv: Any = nn.Conv2d(4, 4, 3, **CONVOLUTIONS.get(name, {"stride": 2}))
    model = nn.ModuleDict({"fc": nn.Linear(4, 4), "conv": conv})
    replay(model, [Edit("lora", path, settings=Lora(2).settings()) for path in model])
    if name == "plain":
        assert write_peft(tmp_path, model).tensors == 4
        return
    with pytest.raises(RequestError, match="not zero-padded Conv2d; export merged weights"):
        write_peft(tmp_path, model)


def test_specifications_say_what_the_folder_says(tmp_path: Path) -> None:
    trained_by_peft("patterns", tmp_path)
    specs, tensors = read_peft(tmp_path, "two", "lm.")
    ranks = {s.module: (s.settings["rank"], s.settings["alpha"]) for s in specs}
    attention = "lm.model.layers.{}.self_attn.{}_proj"
    assert ranks == {
        attention.format(0, "q"): (2, 4.0), attention.format(0, "v"): (3, 7.0),
        attention.format(1, "q"): (5, 4.0), attention.format(1, "v"): (3, 4.0),
    }  # fmt: skip
    assert {(s.kind, s.name) for s in specs} == {("lora", "two")}
    assert all(type(s.settings["alpha"]) is float for s in specs)
    assert [s.module for s in specs] == sorted(ranks)
    assert {name.partition(".lora.")[2] for name in tensors} == {"two.A", "two.B"}
    plain = llama()
    moved, there = placed(plain, specs, tensors)
    assert [s.module for s in moved] == [s.module.removeprefix("lm.") for s in specs]
    assert set(there) == {name.removeprefix("lm.") for name in tensors}
    assert placed(Wrapped(plain), moved, there) == (specs, {f"lm.{n}": t for n, t in there.items()})
    with pytest.raises(CheckpointError) as caught:
        placed(Words(), specs, tensors)
    assert f"{attention.format(1, 'v')}\n  the model has: embed, q_proj, lm_head" in str(
        caught.value
    )
    assert set(own_modules(plain)) >= {s.module for s in moved}


def edited(folder: Path, **changes: Any) -> None:
    model, _ = adapted(CASES["linear"])
    write_peft(folder, model)
    (folder / "adapter_config.json").write_text(json.dumps(config(folder) | changes))


def test_a_configuration_without_settings_has_pefts_defaults(tmp_path: Path) -> None:
    attached = nn.ModuleDict({"fc": nn.Linear(9, 9)})
    replay(attached, [Edit("lora", "fc", settings=Lora(8, dropout=0.1).settings())])
    write_peft(tmp_path, attached)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_dropout": null}')
    (spec,), _ = read_peft(tmp_path)
    assert spec.settings == Lora(8, alpha=8.0).settings()


@pytest.mark.parametrize(
    ("pattern", "slow"),
    [
        ("(a+)+", True), ("a**", True), ("a{2}{3}", True), ("a{10}", True), ("a*b*c*d*", True),
        ("a*b*c*", False), ("(q|v)_proj", False), ("a{2}", False),
    ],
)  # fmt: skip
def test_patterns_that_may_take_for_ever(pattern: str, slow: bool, tmp_path: Path) -> None:
    edited(tmp_path, alpha_pattern={"q_proj": 4, pattern: 5})
    if slow:
        with pytest.raises(CheckpointError, match=r"alpha_pattern: .* may take for ever"):
            read_peft(tmp_path)
    else:
        assert read_peft(tmp_path)[0][0].settings["alpha"] == 4


@pytest.mark.parametrize("content", [[torch.ones(2)], {"a": torch.ones(2), "b": 3}])
def test_pickles_hold_named_tensors_and_nothing_else(content: Any, tmp_path: Path) -> None:
    edited(tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    torch.save(content, tmp_path / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="something other than named tensors"):
        read_peft(tmp_path)


def test_factors_of_one_dimension_are_refused(tmp_path: Path) -> None:
    edited(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    stored = load_file(file)
    for key in stored:
        save_file(stored | {key: stored[key].flatten()}, file)
        with pytest.raises(CheckpointError, match="should have rank 2"):
            read_peft(tmp_path)


@pytest.mark.parametrize("way", [True, False, None, "gaussian", "eva", "orthogonal"])
def test_first_values_that_leave_the_base_alone(way: Any, tmp_path: Path) -> None:
    edited(tmp_path, init_lora_weights=way)
    assert len(read_peft(tmp_path)[0]) == 1


def test_what_was_trained_inside_a_wrapper_goes_along_under_its_plain_name(tmp_path: Path) -> None:
    model, _ = adapted((Vision, ids, {"fc": {}}))
    replay(model, [Edit("peft", "", "other", {"type": "ia3", "targets": ["conv"]})])
    write_peft(tmp_path, model, trained=["conv.base_layer.bias"])
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert config(tmp_path)["modules_to_save"] == ["conv"]
    assert torch.equal(stored["base_model.model.conv.bias"], model.conv.base_layer.bias)
    assert "base_model.model.conv.weight" in stored and len(stored) == 4
