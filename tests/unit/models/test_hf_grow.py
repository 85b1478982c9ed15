"""Tokens that a tokenizer has and the weights lack get rows: the mean of the others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.case_models import save_chat_models

from ftune.errors import RequestError
from ftune.models.hf import Hf
from ftune.models.shapes import Inputs

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_chat_models(tmp_path_factory.mktemp("models"))


def inputs(vocabulary: int) -> Inputs:
    return Inputs(shape=(32,), vocabulary=vocabulary, positions=True)


def rows(path: Path) -> int:
    import transformers

    return int(transformers.AutoConfig.from_pretrained(path).vocab_size)


def test_added_tokens_get_the_mean(models: dict[str, Path]) -> None:
    from transformers import AutoModelForCausalLM

    old, path = rows(models["added"]), models["added"]
    built = Hf(path=str(path)).build(inputs(old + 2), old + 2)
    theirs = AutoModelForCausalLM.from_pretrained(path).state_dict()
    own = built.module.state_dict()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert torch.equal(own[f"lm.{name}"][:old], theirs[name])
        mean = theirs[name].mean(0)
        assert torch.allclose(own[f"lm.{name}"][old:], mean.expand(2, -1), atol=1e-7)
        assert not torch.allclose(theirs[name][0], mean, atol=1e-3), "control: rows differ"
    assert built.report is not None
    assert set(built.report.grown) == {"lm.model.embed_tokens.weight", "lm.lm_head.weight"}
    again = Hf().restore(inputs(old + 2), old + 2, built.model_card)
    again.module.load_state_dict(own)


def test_a_tokenizer_of_others_is_refused(models: dict[str, Path]) -> None:
    old = rows(models["chat"])
    with pytest.raises(RequestError, match="tokenize with the model's own"):
        Hf(path=str(models["chat"])).build(inputs(old + 50), old + 50)
    report = Hf(path=str(models["chat"])).build(inputs(old), old).report
    assert report is not None and not report.grown
