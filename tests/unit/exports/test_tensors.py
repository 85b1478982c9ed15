"""ftune's own files: what others read of them, and what `ftune predict` reads again."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_iris
from torch import Tensor, nn

import ftune
from ftune.commands.export import export
from ftune.console import Console
from ftune.data.frame import Frame
from ftune.errors import RequestError
from ftune.exports import FORMATS
from ftune.exports.export import write_verified
from ftune.exports.export_model import ExportModel, outputs
from ftune.predictor import Predictor
from ftune.runs.base import ARRAYS, load_base

QUIET = Console(quiet=True)
OWN = ("pt", "safetensors")


@pytest.mark.parametrize("form", OWN)
def test_everything_is_read_back(form: str, table: Path, tmp_path: Path) -> None:
    base = load_base(table)
    path = tmp_path / f"m.{form}"
    said = export(base, form, path, QUIET)
    assert (said["difference"], said["tolerance"], said["adapters"]) == (0.0, 0.0, None)
    assert said["size_bytes"] == path.stat().st_size
    found = load_base(path)
    for one, other in ((found.tensors, base.tensors), (found.pipeline, base.pipeline)):
        assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in other)
    story = json.loads(json.dumps(base.meta))
    assert found.meta == {k: v for k, v in story.items() if k not in ("loop", "exact")}


@pytest.mark.parametrize("form", OWN)
def test_it_predicts_what_the_run_predicts(form: str, table: Path, tmp_path: Path) -> None:
    wanted = of_iris(ftune.load(table))
    assert len(wanted) == 150
    export(load_base(table), form, tmp_path / f"m.{form}", QUIET)
    assert torch.equal(of_iris(ftune.load(tmp_path / f"m.{form}")), wanted)


def of_iris(predictor: Predictor) -> Tensor:
    """The outputs for the raw table, through the transforms that travel with the model."""
    x = load_iris().data
    columns = {name: x[:, i] for i, name in enumerate(predictor.pipeline.columns)}
    return predictor.outputs(Frame(columns, "iris", np.arange(len(x))))


def plain_class() -> nn.Module:
    """The network of the table's run, as its author would write it."""
    return nn.Sequential(OrderedDict(
        layer1=nn.Linear(4, 8), norm=nn.BatchNorm1d(8), relu1=nn.ReLU(), dropout1=nn.Dropout(0.3),
        layer2=nn.Linear(8, 6), relu2=nn.ReLU(), last=nn.Linear(6, 3),
    ))  # fmt: skip


@pytest.mark.parametrize("form", OWN)
@pytest.mark.parametrize("dora", [False, True])
def test_merged_it_loads_into_the_plain_class(
    form: str, dora: bool, table: Path, tmp_path: Path, adapted: Callable[..., ExportModel]
) -> None:
    export_model = adapted(table, "layer*", dora=dora)
    path = tmp_path / f"m.{form}"
    done = write_verified(export_model, FORMATS[form], path)
    assert done.verification.holds and done.verification.allowed > 0
    weights = (
        torch.load(path, weights_only=True)["model"]
        if form == "pt"
        else {k: t for k, t in load_file(path).items() if not k.startswith(ARRAYS)}
    )
    model = plain_class()
    model.load_state_dict(weights)
    untouched = plain_class()
    untouched.load_state_dict(load_base(table).tensors)
    for batch in export_model.examples:
        wanted = outputs(export_model.model, batch)
        torch.testing.assert_close(outputs(model.eval(), batch), wanted, rtol=1e-5, atol=1e-6)
        assert (
            outputs(untouched.eval(), batch) - wanted
        ).abs().max() > 100 * done.verification.allowed


@pytest.mark.parametrize("form", OWN)
def test_language_models_too(form: str, texts: Callable[..., Path], tmp_path: Path) -> None:
    said = export(load_base(texts("lm")), form, tmp_path / f"m.{form}", QUIET)
    assert said["difference"] == 0.0


def test_a_tied_output_layer_that_was_adapted(
    texts: Callable[..., Path], tmp_path: Path, adapted: Callable[..., ExportModel]
) -> None:
    """transformers' models say in their configuration what is tied; others cannot."""
    done = write_verified(adapted(texts("lm"), "lm.lm_head"), FORMATS["pt"], tmp_path / "m.pt")
    assert done.verification.holds
    gpt = adapted(texts("gpt"), "head")
    with pytest.raises(RequestError, match=r"head shares its weight .* write --apart"):
        write_verified(gpt, FORMATS["pt"], tmp_path / "gpt.pt")
    assert not (tmp_path / "gpt.pt").exists()
