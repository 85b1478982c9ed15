"""Generation: greedy, sampled, stopped, with a limited context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.log_suppression import quiet
from ftune.models.generate import generate
from ftune.models.hf import Hf
from ftune.models.shapes import Inputs

PROMPT = torch.tensor([1, 2, 3])


class Counts(nn.Module):
    """The logits of `chances`, whatever comes in; remembers how long its inputs were."""

    def __init__(self, chances: list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor(chances).log()
        self.lengths: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.lengths.append(x.shape[1])
        return self.logits.expand(*x.shape, -1)


class Next(nn.Module):
    """The id after the last one, modulo 10."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.one_hot((x + 1) % 10, 10).float()


def drawn(chances: list[float], seed: int = 0, count: int = 1000, **more: Any) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    ids = generate(
        Counts(chances), PROMPT, max_new_tokens=count, context=4, generator=generator, **more
    )
    return torch.tensor(ids).bincount(minlength=len(chances)) / count


def test_greedy_goes_on_until_it_stops() -> None:
    model = Next().train()
    assert generate(model, PROMPT, max_new_tokens=4, context=8) == [4, 5, 6, 7]
    assert generate(model, PROMPT, max_new_tokens=9, context=8, stop_ids=[6]) == [4, 5]
    assert model.training


def test_only_the_context_is_read() -> None:
    model = Counts([0.5, 0.5])
    generate(model, PROMPT, max_new_tokens=4, context=5)
    assert model.lengths == [3, 4, 5, 5]


def test_samples_follow_the_chances() -> None:
    chances = [0.1, 0.2, 0.4, 0.3]
    torch.testing.assert_close(
        drawn(chances, temperature=1.0), torch.tensor(chances), atol=0.05, rtol=0
    )
    sharper = torch.tensor(chances) ** 2
    torch.testing.assert_close(
        drawn(chances, temperature=0.5), sharper / sharper.sum(), atol=0.05, rtol=0
    )
    expected = torch.tensor([0, 0, 4 / 7, 3 / 7])
    for limit in ({"top_k": 2}, {"top_p": 0.6}):
        found = drawn(chances, temperature=1.0, **limit)
        torch.testing.assert_close(found, expected, atol=0.05, rtol=0)
    assert drawn(chances, temperature=1.0, top_p=0.01)[2] == 1


def test_samples_follow_the_generator() -> None:
    chances = [0.25] * 4
    first = drawn(chances, 1, 50, temperature=1.0)
    assert torch.equal(first, drawn(chances, 1, 50, temperature=1.0))
    assert not torch.equal(first, drawn(chances, 2, 50, temperature=1.0))


@pytest.mark.parametrize("context", [40, 9])
def test_the_cache_changes_nothing(context: int, tmp_path: Path) -> None:
    """A model of transformers with and without its cache, beyond its context too."""
    with quiet():
        transformers = pytest.importorskip("transformers")
        config = transformers.LlamaConfig(
            vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=40, initializer_range=0.5,
        )  # fmt: skip
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    model: Any = Hf(str(tmp_path)).build(Inputs((40,), vocabulary=30, positions=True), 30).module

    class Plain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return model(x)  # type: ignore[no-any-return]

    fast, slow = (
        generate(
            each, PROMPT, max_new_tokens=12, context=context, temperature=1.0,
            generator=torch.Generator().manual_seed(0),
        )
        for each in (model, Plain())
    )  # fmt: skip
    assert fast == slow
    assert len(set(fast)) > 2
