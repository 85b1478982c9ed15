"""Adapters that PEFT puts on their base."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from ftune.commands.export import export
from ftune.console import Console
from ftune.errors import RequestError, RunFailedError
from ftune.exports import FORMATS, peft
from ftune.exports.export import write_verified
from ftune.exports.export_model import ExportModel, outputs
from ftune.log_suppression import quiet
from ftune.runs.base import load_base

QUIET = Console(quiet=True)
Make = Callable[..., Path]


@pytest.mark.parametrize("settings", [{}, {"dora": True}, {"rslora": True, "alpha": 3}])
def test_the_same_logits_on_the_base(
    settings: dict[str, Any], texts: Make, folders: dict[str, Path], tmp_path: Path,
    adapted: Callable[..., ExportModel],
) -> None:  # fmt: skip
    from peft import AutoPeftModelForCausalLM

    export_model = adapted(texts("lm"), "*.q_proj", apart=True, **settings)
    assert write_verified(export_model, FORMATS["peft"], tmp_path / "m").notes == []
    with quiet():
        load: Any = AutoPeftModelForCausalLM.from_pretrained
        model = load(tmp_path / "m").eval()
        base: Any = transformers.AutoModelForCausalLM.from_pretrained(folders["llama"])
    for batch in export_model.examples:
        real = batch["segments"] > 0
        with torch.no_grad():
            found = model(batch["x"], attention_mask=batch["segments"]).logits[real]
            plain = base(batch["x"], attention_mask=batch["segments"]).logits[real]
        wanted = outputs(export_model.model, batch)[real]
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        assert (plain - wanted).abs().max() > 0.01


@pytest.mark.parametrize("kind", ["sequence", "encoder", "last"])
def test_a_trained_head_goes_along(
    kind: str, texts: Make, tmp_path: Path, adapted: Callable[..., ExportModel]
) -> None:
    match = "*.q_proj" if kind == "last" else "*.query"
    done = write_verified(adapted(texts(kind), match, apart=True), FORMATS["peft"], tmp_path / "m")
    assert done.verification.holds
    assert (tmp_path / "m" / "head.safetensors").is_file() == (kind == "encoder")


def test_without_the_base_it_is_compared_with_the_run(
    texts: Make, adapted: Callable[..., ExportModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    export_model = adapted(texts("lm"), "*.q_proj", apart=True)
    monkeypatch.setattr(Path, "exists", lambda path: False)  # noqa: ARG005
    assert not peft._from_files(export_model)
    assert (
        "is not here; compared on the run's own weights" in peft._about_base(export_model, "x")[0]
    )


def test_another_base_than_that_of_the_files(
    texts: Make, tmp_path: Path, adapted: Callable[..., ExportModel]
) -> None:
    export_model = adapted(texts("lm"), "*.q_proj", apart=True)
    with torch.no_grad():
        export_model.model.get_parameter("lm.model.norm.weight").add_(1e-3)
    with pytest.raises(RunFailedError, match=r"stand on other weights .*`model.norm.weight`"):
        write_verified(export_model, FORMATS["peft"], tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_adapters(texts: Make, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="this run has no adapters"):
        export(load_base(texts("lm")), "peft", tmp_path / "m", QUIET)
    assert list(tmp_path.iterdir()) == []


def test_a_convolution_goes_to_peft_as_well(
    images: Path, tmp_path: Path, adapted: Callable[..., ExportModel]
) -> None:
    done = write_verified(adapted(images, "conv*", apart=True), FORMATS["peft"], tmp_path / "m")
    assert done.verification.holds and "no files that PEFT could find" in done.notes[0]
