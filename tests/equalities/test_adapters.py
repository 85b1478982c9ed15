"""Every way to adapt a model: train → save → load → merge → export, and on from there.

Before the first step an adapted model is its base to the last bit; merged and unmerged it gives
the same; what is exported is read back and gives what the run gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny_hf import SENTENCES, save_models
from support.trainings import QUIET, undisturbed

from ftune.adapt.lora import adapted_modules
from ftune.adapt.merge import merge, unmerge
from ftune.assembly.build import build, read_data
from ftune.assembly.job import score
from ftune.commands.base_config import base_config, with_base
from ftune.commands.export import export
from ftune.data.dataset import Dataset
from ftune.models.call import call
from ftune.predictor import Predictor, restore
from ftune.runs.base import load_base
from ftune.runs.folder import read_metrics
from ftune.schema.root import LANGUAGE, RunConfig

pytest.importorskip("transformers")
pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")

FILES = ("safetensors", "safetensors apart", "pt")
LM, PEFT = (*FILES, "hf"), (*FILES, "hf", "peft")
Case = tuple[str, list[dict[str, Any]], tuple[str, ...]]  # model, rules, exports


def lora(match: str, **settings: Any) -> dict[str, Any]:
    return {"match": match, "lora": {"rank": 4, **settings}}


def peft(match: str, **settings: Any) -> dict[str, Any]:
    return {"match": match, "peft": settings}


CASES: dict[str, Case] = {
    "everything": ("llama", [], LM),
    "biases only": ("bert", [{"match": "*", "train": False}, {"match": "*.bias", "train": True}],
                    LM),
    "layer decay": ("llama", [{"match": "*", "layer_decay": 0.5}], LM),
    "lora": ("llama", [lora("*_proj")], PEFT),
    "lora with dropout": ("llama", [lora("*_proj", dropout=0.3)], PEFT),
    "rslora": ("llama", [lora("*_proj", rslora=True)], PEFT),
    "dora": ("llama", [lora("*_proj", dora=True)], PEFT),
    "lora+": ("llama", [lora("*_proj", lora_plus=8)], PEFT),
    "gaussian": ("llama", [lora("*_proj", init="gaussian")], PEFT),
    "ranks by rule": ("llama", [lora("*_proj"), lora("*.q_proj", rank=8)], PEFT),
    "of Conv1D": ("gpt2", [lora("*.c_attn"), lora("*.c_proj")], PEFT),
    "of embeddings": ("gpt2", [lora("*.wpe")], PEFT),
    "of an encoder, with biases": ("bert", [lora("*.query", bias=True)], PEFT),
    "modules to save": ("bert", [lora("*.query", modules_to_save=["*.key"])], PEFT),
    "stacked": ("llama", [lora("*.q_proj"), lora("*.q_proj", name="two")], LM),
    "of our own blocks": ("gpt", [lora("*")], FILES),
    "of convolutions": ("images", [lora("*")], FILES),
    "dora of convolutions": ("images", [lora("conv2d1", dora=True)], FILES),
    "on int8": ("llama", [{"match": "*_proj", "quantize": "int8"}, lora("*_proj")], LM),
    "ia3": ("llama", [peft("*.k_proj", type="ia3")], LM),
    "vera": ("llama", [peft("*.q_proj", type="vera", r=8)], LM),
    "oft": ("llama", [peft("*.q_proj", type="oft", oft_block_size=4)], LM),
    "lora of PEFT": ("llama", [peft("*.q_proj", type="lora", r=4)], LM),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("adapters")
    save_models(found)
    lines = [f"{text},{'ab'[i % 2]}" for i, text in enumerate(SENTENCES * 8)]
    (found / "t.csv").write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return found


def configuration(place: Path, kind: str, rules: list[dict[str, Any]]) -> RunConfig:
    gpt = [{"embedding": 16, "positions": "learned"}, {"transformer": {"heads": 2, "causal": True}},
           "layernorm", {"linear": "out"}]  # fmt: skip
    convolutions = [{"conv2d": 4, "kernel": 3}, "relu", {"conv2d": 4, "kernel": 3}, "globalpool",
                    {"linear": "out", "as": "head"}]  # fmt: skip
    texts = {"source": "csv", "path": str(place / "t.csv"), "text": "text", "cache": False,
             "split": {"val": 6, "test": 0}}  # fmt: skip
    digits = {"source": "sklearn", "name": "digits", "limit": 40, "split": {"val": 30, "test": 0}}
    own = {"gpt": gpt, "images": convolutions}
    model = (
        {"name": "sequential", "layers": own[kind]}
        if kind in own
        else {"name": "hf", "path": str(place / kind)}
    )
    classes = kind in ("bert", "images")
    data = digits if kind == "images" else texts | ({"target": "label"} if classes else {})
    plain: dict[str, Any] = {
        "task": "classification" if classes else "causal-lm", "data": data, "model": model,
        "adapt": rules, "optimizer": {"name": "adamw", "lr": 0.02}, "eval": {"metric": "loss"},
        "train": {"steps": 4, "batch_size": 4}, "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip
    return LANGUAGE.of(plain)


@pytest.mark.parametrize("name", CASES)
def test_train_save_load_merge_export(
    name: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, rules, forms = CASES[name]
    config = configuration(place, kind, rules)
    summary = undisturbed(config, tmp_path / "run")
    assert "without gradient" not in capsys.readouterr().err
    if name != "on int8":  # rounding the base is a change
        plain = build(replaced := configuration(place, kind, []), read_data(replaced))
        assert first_loss(tmp_path / "run") == score(plain, validation(plain.dataset))["loss"]
    loaded = restore(load_base(tmp_path / "run"))
    data = read_data(config, fitted=loaded.pipeline)
    assert loaded.score(validation(data))[0] == pytest.approx(summary["metrics"]["val"], abs=1e-6)
    wanted = answers(loaded, data)
    if adapted_modules(loaded.built.module):
        check_merging(loaded, data)
    for form in forms:
        check_export(tmp_path, form, wanted, data)
    check_further_training(tmp_path, summary)


def first_loss(run: Path) -> float:
    line = next(line for line in read_metrics(run / "metrics.jsonl") if line["split"] == "val")
    assert line["step"] == 0
    return float(line["loss"])


def validation(data: Dataset) -> Any:
    assert data.val is not None
    return data.val


def answers(model: Predictor, data: Dataset) -> torch.Tensor:
    with torch.no_grad():
        return call(model.built.module, validation(data).batch(torch.arange(4)))


def check_merging(loaded: Predictor, data: Dataset) -> None:
    before = answers(loaded, data)
    merge(loaded.built.module)
    merged = answers(loaded, data)
    assert (merged - before).abs().max() <= 1e-5 * before.abs().max()
    unmerge(loaded.built.module)
    assert torch.equal(answers(loaded, data), before)


def check_export(folder: Path, form: str, wanted: torch.Tensor, data: Dataset) -> None:
    """The export itself reads back and compares; what ftune reads is compared here once more."""
    kind, _, apart = form.partition(" ")
    suffix = f".{kind}" if kind in ("safetensors", "pt") else ""
    target = folder / f"{form.replace(' ', '-')}{suffix}"
    way: Mapping[str, Any] = {"adapters": "apart"} if apart and adapters(folder) else {}
    done = export(load_base(folder / "run"), kind, target, QUIET, **way)
    assert done["difference"] <= done["tolerance"]
    if suffix:
        found = answers(restore(load_base(target)), data)
        assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def adapters(folder: Path) -> bool:
    return bool(load_base(folder / "run").meta["adapters"])


def check_further_training(folder: Path, summary: Mapping[str, Any]) -> None:
    """A fine-tuning from the run begins where the run ended."""
    base = load_base(folder / "run")
    config = with_base(base_config(base, ["train.steps=1"]), base)
    parts = build(config, read_data(config), base)
    after = score(parts, validation(parts.dataset))
    assert after["loss"] == pytest.approx(summary["metrics"]["val"]["loss"], abs=1e-5)


def test_control_an_adapter_that_adds_something_is_not_its_base(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftune.adapt.lora import LoraAdapter

    fresh = LoraAdapter.__init__

    def loud(self: Any, *given: Any, **more: Any) -> None:
        fresh(self, *given, **more)
        torch.nn.init.normal_(self.B)

    monkeypatch.setattr(LoraAdapter, "__init__", loud)
    undisturbed(configuration(place, "llama", [lora("*_proj")]), tmp_path / "run")
    plain = build(replaced := configuration(place, "llama", []), read_data(replaced))
    assert first_loss(tmp_path / "run") != score(plain, validation(plain.dataset))["loss"]
