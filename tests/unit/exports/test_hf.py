"""Folders that transformers loads, tokenizer and all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from ftune.commands.export import export
from ftune.console import Console
from ftune.errors import RequestError, RunFailedError
from ftune.exports import FORMATS, hf, tokenizer
from ftune.exports.export import write_verified
from ftune.exports.export_model import ExportModel
from ftune.log_suppression import quiet
from ftune.predictor import Sampling, load
from ftune.runs.base import load_base

QUIET = Console(quiet=True)
Make = Callable[..., Path]
SENTENCES = ("the cat sat on the mat", "fish swim in the sea", "a dog", "the bird flew over it")
PROMPTS = ("the cat", "fish swim in the deep", "")


def test_a_language_model_says_the_same_greedily(texts: Make, tmp_path: Path) -> None:
    run = texts("lm")
    export(load_base(run), "hf", tmp_path / "m", QUIET)
    with quiet():
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m")
        words = transformers.AutoTokenizer.from_pretrained(tmp_path / "m")
    said = load(run).generate(PROMPTS[:2], Sampling(max_tokens=12))
    for prompt, wanted in zip(PROMPTS, said, strict=False):
        given = words(prompt, return_tensors="pt")
        with quiet():
            ids = model.generate(**given, max_new_tokens=12, do_sample=False)[0]
        answer = ids[given["input_ids"].shape[1] :]
        assert len(answer) > 3
        assert words.decode(answer, skip_special_tokens=True) == wanted


def test_the_tokenizer_is_whole(texts: Make, tmp_path: Path, folders: dict[str, Path]) -> None:
    export(load_base(texts("lm")), "hf", tmp_path / "m", QUIET)
    with quiet():
        before = transformers.AutoTokenizer.from_pretrained(folders["llama"])
        after = transformers.AutoTokenizer.from_pretrained(tmp_path / "m")
    for text in (*SENTENCES, "ünîcode 漢字\n\t 12", ""):
        assert after(text) == before(text)
    assert after.special_tokens_map == before.special_tokens_map
    batch = after(list(SENTENCES), padding=True, return_tensors="pt")
    assert batch["input_ids"].shape == batch["attention_mask"].shape


@pytest.mark.parametrize("kind", ["sequence", "last"])
def test_a_classifier_knows_its_classes(kind: str, texts: Make, tmp_path: Path) -> None:
    run = texts(kind)
    export(load_base(run), "hf", tmp_path / "m", QUIET)
    with quiet():
        classify: Any = transformers.pipeline("text-classification", model=str(tmp_path / "m"))
        found = classify(list(SENTENCES), batch_size=4, top_k=None)
    predictor = load(run)
    (tmp_path / "s.csv").write_text("text\n" + "\n".join(SENTENCES) + "\n", encoding="utf-8")
    wanted = predictor.predict(tmp_path / "s.csv")
    for row, scores in enumerate(found):
        by_class = {entry["label"]: entry["score"] for entry in scores}
        assert by_class.keys() == {"a", "b"}
        for label, score in by_class.items():
            assert score == pytest.approx(wanted[f"probability/{label}"][row], abs=1e-5)


def test_an_encoder_brings_its_head_and_says_who_reads_it(texts: Make, tmp_path: Path) -> None:
    said = export(load_base(texts("encoder")), "hf", tmp_path / "m", QUIET)
    assert "which neither of them loads" in said["notes"][0]
    with quiet():
        model = transformers.AutoModel.from_pretrained(tmp_path / "m")
    assert model.config.id2label == {0: "a", 1: "b"}
    modules = json.loads((tmp_path / "m" / "modules.json").read_text(encoding="utf-8"))
    assert [module["path"] for module in modules] == ["", "1_Pooling"]
    pooling = json.loads((tmp_path / "m" / "1_Pooling" / "config.json").read_text("utf-8"))
    assert pooling["pooling_mode_mean_tokens"] and not pooling["pooling_mode_cls_token"]


@pytest.mark.parametrize("match", ["*_proj", "/q_proj|lm_head/"])
def test_adapters_are_merged(
    match: str, texts: Make, tmp_path: Path, adapted: Callable[..., ExportModel]
) -> None:
    done = write_verified(adapted(texts("lm"), match), FORMATS["hf"], tmp_path / "m")
    assert done.verification.holds and done.verification.difference > 0
    assert bool(done.notes) == ("lm_head" in match)
    with quiet():
        model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    tied = model.lm_head.weight is model.model.embed_tokens.weight
    assert tied == ("lm_head" not in match)
    assert not any("lora" in name for name, _ in model.named_parameters())


def test_other_models_are_refused_by_name(table: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"model.name: hf.* this one: safetensors, pt, onnx"):
        export(load_base(table), "hf", tmp_path / "m", QUIET)
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_that_was_changed_is_caught(
    texts: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(found: Any, folder: Path) -> None:
        other = json.loads(found.json)
        other["pre_tokenizer"]["add_prefix_space"] = True
        tokenizer.write_tokenizer(dataclasses.replace(found, json=json.dumps(other)), folder)

    monkeypatch.setattr(hf, "write_tokenizer", spoiled)
    with pytest.raises(RunFailedError, match="the tokenizer, read back, gives other ids"):
        export(load_base(texts("lm")), "hf", tmp_path / "m", QUIET)
    assert list(tmp_path.iterdir()) == []


def test_a_weight_that_was_changed_is_caught(
    texts: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = transformers.LlamaForCausalLM.save_pretrained

    def spoiled(self: Any, path: Path) -> None:
        with torch.no_grad():
            self.model.layers[1].mlp.up_proj.weight[0] += 0.1
        keep(self, path)
        with torch.no_grad():
            self.model.layers[1].mlp.up_proj.weight[0] -= 0.1

    monkeypatch.setattr(transformers.LlamaForCausalLM, "save_pretrained", spoiled)
    with pytest.raises(RunFailedError, match="is not kept"):
        export(load_base(texts("lm")), "hf", tmp_path / "m", QUIET)
