"""Trained models in use: texts, words, prompts; adapters chosen, stacked and trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny_hf import SENTENCES, save_models
from support.trainings import QUIET, undisturbed

from ftune.assembly.build import base_pipeline, build, read_data
from ftune.commands.base_config import base_config, with_base
from ftune.commands.evaluate import evaluate
from ftune.commands.export import export
from ftune.commands.predict import predict
from ftune.errors import RequestError
from ftune.models.call import call
from ftune.predictor import Sampling, restore
from ftune.runs.adapters import load_bases, names_of, only
from ftune.runs.base import load_base
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.training.run import new_run
from ftune.training.train import train

pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, and sentences in jsonl: plain, with a label, with a tag for each word."""
    found = tmp_path_factory.mktemp("predictor")
    save_models(found)
    rows = [
        {"text": SENTENCES[i % 4], "label": "ab"[i % 2], "words": SENTENCES[i % 4].split(),
         "tags": ["LONG" if len(w) > 3 else "O" for w in SENTENCES[i % 4].split()]}
        for i in range(32)
    ]  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (found / "t.jsonl").write_text(text, encoding="utf-8")
    return found


def configuration(place: Path, task: str, model: str, rules: Any = (), **data: Any) -> RunConfig:
    plain: dict[str, Any] = {
        "task": task, "model": {"name": "hf", "path": str(place / model)}, "adapt": list(rules),
        "data": {"source": "jsonl", "path": str(place / "t.jsonl"), "cache": False,
                 "split": {"val": 4, "test": 0}, **data},
        "optimizer": {"name": "adamw", "lr": 0.02}, "train": {"steps": 4, "batch_size": 4},
        "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip
    return LANGUAGE.of(plain)


def test_each_word_gets_its_tag_and_those_cut_away_none(place: Path, tmp_path: Path) -> None:
    short = [{"tokenize": {"max_length": 9}}]
    config = configuration(
        place, "token-classification", "bert", text="words", target="tags", transforms=short
    )
    undisturbed(config, tmp_path / "run")
    found = restore(load_base(tmp_path / "run")).predict(place / "t.jsonl")
    assert found["words"][:4] == [text.split() for text in SENTENCES]
    assert [len(row) for row in found["prediction"]] == [len(row) for row in found["words"]]
    assert {tag for row in found["prediction"] for tag in row} <= {"LONG", "O", None}
    assert any(row[-1] is None for row in found["prediction"])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_classes_with_their_probabilities_in_each_format(
    suffix: str, place: Path, tmp_path: Path
) -> None:
    from pyarrow import csv, parquet
    from pyarrow import json as jsonl

    config = configuration(place, "classification", "bert", text="text", target="label")
    undisturbed(config, tmp_path / "run")
    base, target = load_base(tmp_path / "run"), tmp_path / f"p{suffix}"
    done = predict(base, place / "t.jsonl", target, None, Sampling(), QUIET)
    assert done["rows"] == 32
    read = {".csv": csv.read_csv, ".jsonl": jsonl.read_json, ".parquet": parquet.read_table}
    table = read[suffix](target)
    assert table.column_names == ["prediction", "probability/a", "probability/b"]
    assert table.num_rows == 32
    both = zip(table["probability/a"].to_pylist(), table["probability/b"].to_pylist(), strict=True)
    assert all(abs(a + b - 1) < 1e-6 for a, b in both)


def test_prompts_of_a_file_are_answered_as_each_alone(place: Path, tmp_path: Path) -> None:
    config = configuration(place, "causal-lm", "llama", prompt="{text}", response="{label}")
    undisturbed(config, tmp_path / "run")
    found = restore(load_base(tmp_path / "run"))
    told = found.predict(place / "t.jsonl", Sampling(max_tokens=5))
    assert told["response"][:4] == found.generate(list(SENTENCES), Sampling(max_tokens=5))
    drawn = [found.generate(["the"], Sampling(8, 1.0, seed=seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    with pytest.raises(RequestError, match="the prompt is empty"):
        found.generate([""])


def test_only_language_models_continue(place: Path, tmp_path: Path) -> None:
    config = configuration(place, "classification", "bert", text="text", target="label")
    undisturbed(config, tmp_path / "run")
    with pytest.raises(RequestError, match="only a language model"):
        restore(load_base(tmp_path / "run")).generate(["the"])


TWO = [
    {"match": "*.q_proj", "lora": {"rank": 2}},
    {"match": "*.q_proj", "lora": {"rank": 2, "name": "two"}},
]


def test_one_of_several_adapters_counts_where_it_is_named(place: Path, tmp_path: Path) -> None:
    undisturbed(configuration(place, "causal-lm", "llama", TWO, text="text"), tmp_path / "run")
    base, x = load_base(tmp_path / "run"), torch.arange(5)[None]
    assert names_of(base) == {"default", "two"}
    chosen = {name: restore(only(base, [name])).built.module(x) for name in ("default", "two")}
    both = restore(base).built.module(x)
    assert not torch.allclose(chosen["default"], chosen["two"], atol=1e-4)
    assert not torch.allclose(chosen["default"], both, atol=1e-4)
    with pytest.raises(RequestError, match=r"--adapter tow.*did you mean `two`"):
        only(base, ["tow"])
    with pytest.raises(RequestError, match="choose one with --adapter: default, two"):
        export(base, "peft", tmp_path / "peft", QUIET)
    for name in chosen:
        export(only(base, [name]), "peft", tmp_path / name, QUIET)
    stacked = load_bases([str(place / "llama"), str(tmp_path / "default"), str(tmp_path / "two")])
    assert names_of(stacked) == {"default", "two"}
    config = with_base(configuration(place, "causal-lm", "llama", text="text"), stacked)
    parts = build(config, read_data(config), stacked)
    assert torch.allclose(parts.model.eval()(x), both, atol=1e-5), "as they were together"


@pytest.mark.parametrize("method", [{"type": "ia3"}, {"type": "vera", "r": 4}])
def test_a_method_of_peft_is_trained_on_without_a_rule(
    method: dict[str, Any], place: Path, tmp_path: Path
) -> None:
    rules = [{"match": "*.q_proj", "peft": method}]
    undisturbed(configuration(place, "causal-lm", "llama", rules, text="text"), tmp_path / "run")
    base = load_base(tmp_path / "run")
    config = with_base(base_config(base, ["~adapt"]), base)
    parts = build(config, read_data(config), base)
    moving = [name for name, effect in parts.effects.items() if effect.train]
    assert moving and all(".default" in name for name in moving)
    before = call(parts.model.eval(), {"x": torch.arange(5)[None]})
    assert torch.equal(before, restore(base).built.module(torch.arange(5)[None]))
    run = new_run("finetune", "", tmp_path / "more", config, parts, QUIET)
    assert train(run)["status"] == "done"


def test_a_language_model_is_trained_on_with_new_rows_alone(place: Path, tmp_path: Path) -> None:
    undisturbed(configuration(place, "causal-lm", "llama", text="text"), tmp_path / "run")
    base = load_base(tmp_path / "run")
    config = with_base(base_config(base, [f"data.path={place / 't.jsonl'}"]), base)
    assert build(config, read_data(config), base).total == 4


def test_a_new_class_is_trained_with_the_head_that_it_is_in(place: Path, tmp_path: Path) -> None:
    rules = [{"match": "*.query", "lora": 2}]
    config = configuration(place, "classification", "bert", rules, text="text", target="label")
    undisturbed(config, tmp_path / "run")
    rows = [{"text": SENTENCES[i % 4], "label": "abc"[i % 3]} for i in range(24)]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    base = load_base(tmp_path / "run")
    config = with_base(base_config(base, [f"data.path={tmp_path / 'new.jsonl'}"]), base)
    parts = build(config, read_data(config), base)
    assert "new to the base, starting from random weights: c" in parts.notes
    assert all(parts.effects[name].train for name in ("head.weight", "head.bias"))
    before = restore(base).built.module.get_parameter("head.weight")
    assert torch.equal(parts.model.get_parameter("head.weight")[:2], before)


def test_a_run_needs_the_files_of_its_model_no_more(place: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(place / "bert", tmp_path / "gone")
    more: dict[str, Any] = {"text": "text", "target": "label"}
    config = configuration(place, "classification", str(folder), **more)
    undisturbed(config, tmp_path / "run")
    shutil.rmtree(folder)
    base = load_base(tmp_path / "run")
    told = [configuration(place, "classification", str(folder), **more), base_config(base)]
    told.append(LANGUAGE.of({**base.meta["config"], "model": "hf"}))
    for config in told:
        config = with_base(config, base)
        parts = build(config, read_data(config, prior=base_pipeline(base)), base)
        weight = parts.model.get_parameter("encoder.embeddings.word_embeddings.weight")
        assert torch.equal(weight, base.tensors["encoder.embeddings.word_embeddings.weight"])


def test_what_evaluate_takes(place: Path, tmp_path: Path) -> None:
    config = configuration(place, "classification", "bert", text="text", target="label")
    undisturbed(config, tmp_path / "run")
    base, rows = load_base(tmp_path / "run"), str(place / "t.jsonl")
    scored = evaluate(base, [f'data.path="{rows}"', "runtime.threads=1"], None, QUIET)
    assert list(scored["metrics"]) == [rows]
    with pytest.raises(RequestError, match=r"`seed=5`: evaluate takes data.path"):
        evaluate(base, ["seed=5"], None, QUIET)
    with pytest.raises(RequestError, match=r"--split val: all rows of data\.path"):
        evaluate(base, [f"data.path={rows}"], "val", QUIET)


def test_pictures_of_a_table_and_of_a_folder(tmp_path: Path) -> None:
    from PIL import Image

    lines = ["photo,kind"]
    for i in range(24):
        Image.new("RGB", (6, 6), (9 * i, 40, 90)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{'ab'[i % 2]}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    layers = [{"conv2d": 2, "kernel": 3}, "globalpool", {"linear": "out"}]
    data = {"source": "csv", "path": str(tmp_path / "t.csv"), "image": "photo", "target": "kind",
            "cache": False, "split": {"val": 4, "test": 0}}  # fmt: skip
    model = {"name": "sequential", "layers": layers}
    plain = {"task": "classification", "data": data, "train": {"steps": 2}, "model": model,
             "runtime": {"threads": 1}}  # fmt: skip
    undisturbed(LANGUAGE.of(plain), tmp_path / "run")
    found = restore(load_base(tmp_path / "run"))
    (tmp_path / "new").mkdir()
    for name in ("0.png", "7.png"):
        shutil.copy(tmp_path / name, tmp_path / "new")
    assert found.predict(tmp_path / "new")["photo"] == ["0.png", "7.png"]
    assert found.predict(tmp_path / "new" / "0.png")["photo"] == ["0.png"]
    assert found.predict(tmp_path / "t.csv")["photo"][:2] == ["0.png", "1.png"]
