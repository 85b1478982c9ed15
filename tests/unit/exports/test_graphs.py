"""Graphs run elsewhere: in onnxruntime and torch, at any batch size and length."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ftune.commands.export import export
from ftune.console import Console
from ftune.errors import RunFailedError
from ftune.exports import onnx as onnx_format
from ftune.exports.export_model import outputs
from ftune.log_suppression import quiet
from ftune.models.tokens import TokenModel
from ftune.predictor import load
from ftune.runs.base import load_base

QUIET = Console(quiet=True)
FORMS = {"onnx": ".onnx", "torch-export": ".pt2"}


def in_torch(path: Path, given: dict[str, Tensor]) -> Tensor:
    with quiet(), torch.no_grad():
        found: Tensor = torch.export.load(path).module()(**given)
    return found


def in_onnxruntime(path: Path, given: dict[str, Tensor]) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in given.items()})
    return torch.from_numpy(found)


def exported(run: Path, form: str, folder: Path) -> Callable[[dict[str, Tensor]], Tensor]:
    path = folder / f"m{FORMS[form]}"
    said = export(load_base(run), form, path, QUIET)
    assert 0 <= said["difference"] <= said["tolerance"]
    return lambda given: {"onnx": in_onnxruntime}.get(form, in_torch)(path, given)


@pytest.mark.parametrize("kind", ["table", "images"])
@pytest.mark.parametrize("form", FORMS)
def test_rows(form: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run: Path = request.getfixturevalue(kind)
    found = exported(run, form, tmp_path)
    predictor = load(run)
    for rows in (1, 3, 64):
        x = torch.randn(rows, *predictor.pipeline.features.shape)
        torch.testing.assert_close(
            found({"x": x}), outputs(predictor.built.module, {"x": x}), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(
    ("form", "kind"),
    [("torch-export", "lm"), ("torch-export", "encoder"), ("onnx", "encoder"), ("onnx", "gpt")],
)  # fmt: skip
def test_texts(form: str, kind: str, tmp_path: Path, texts: Callable[..., Path]) -> None:
    run = texts(kind)
    found = exported(run, form, tmp_path)
    model = load(run).built.module
    for rows, time in ((1, 1), (1, 4), (4, 9)):
        ids, mask = torch.randint(2, 200, (rows, time)), torch.ones(rows, time, dtype=torch.long)
        mask[-1, time - time // 2 :] = 0
        given = {"input_ids": torch.where(mask > 0, ids, 1), "attention_mask": mask}
        wanted = outputs(model, {"x": given["input_ids"], "segments": mask})
        got = found(given)
        if wanted.dim() == 3:
            wanted, got = wanted[mask > 0], got[mask > 0]
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_onnx_names_what_goes_in_and_out(table: Path, tmp_path: Path) -> None:
    import onnx

    export(load_base(table), "onnx", tmp_path / "m.onnx", QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    model = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(model, full_check=True)
    (given,), (out,) = model.graph.input, model.graph.output
    assert (given.name, out.name) == ("x", "logits")
    assert given.type.tensor_type.shape.dim[0].dim_param == "batch"
    said = {entry.key: json.loads(entry.value) for entry in model.metadata_props
            if entry.key.startswith("ftune.")}  # fmt: skip
    assert said["ftune.classes"] == said["ftune.outputs"] == ["setosa", "versicolor", "virginica"]
    assert said["ftune.inputs"][0].startswith("sepal_length")
    assert said["ftune.pipeline"] == load(table).pipeline.to_json()


def test_weights_beyond_one_buffer_lie_beside(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_format, "LARGEST", 0)
    said = export(load_base(table), "onnx", tmp_path / "m.onnx", QUIET)
    assert said["notes"] == ["above 2 GB: the weights lie beside, in m.onnx.data"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    x = torch.randn(3, 4)
    wanted = outputs(load(table).built.module, {"x": x})
    found = in_onnxruntime(tmp_path / "m.onnx", {"x": x})
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_torch_export_says_it_too(table: Path, tmp_path: Path) -> None:
    export(load_base(table), "torch-export", tmp_path / "m.pt2", QUIET)
    said = {"ftune.classes": ""}
    torch.export.load(tmp_path / "m.pt2", extra_files=said)
    assert json.loads(said["ftune.classes"]) == ["setosa", "versicolor", "virginica"]


def test_a_model_that_cannot_be_traced(
    texts: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork(self: Any, x: Tensor, segments: Tensor | None = None) -> Tensor:
        del segments
        found: Tensor = self.output_layer(self.hidden(x)) * (2 if bool(x.sum() > 3) else 1)
        return found

    base = load_base(texts("gpt"))
    monkeypatch.setattr(TokenModel, "forward", fork)
    with pytest.raises(RunFailedError, match=r"torch.export cannot trace this model: .+ or pt"):
        export(base, "torch-export", tmp_path / "m.pt2", QUIET)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["onnx", "torch-export"])
@pytest.mark.parametrize("kind", ["placed", "rotary"])
def test_places_of_any_length(
    kind: str, form: str, texts: Callable[..., Path], tmp_path: Path
) -> None:
    exported(texts(kind), form, tmp_path)
