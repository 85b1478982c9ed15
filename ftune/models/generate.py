"""Text from a model of tokens, one id after the other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

from ftune.models.call import evaluating
from ftune.models.hf_modules import CausalLm


@torch.no_grad()
def generate(
    model: nn.Module,
    ids: Tensor,
    *,
    max_new_tokens: int,
    context: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_ids: Collection[int] = (),
    generator: torch.Generator | None = None,
) -> list[int]:
    """The ids that follow `ids`, int64 [time], up to one of `stop_ids`, which is left out.

    context: how many ids the model reads at most; earlier ones are forgotten. temperature: 0 takes
    the likeliest id; else one is drawn by `generator` (on the CPU) from softmax(logits /
    temperature), among the `top_k` likeliest and the likeliest that together have `top_p`.
    """
    assert ids.dim() == 1 and len(ids), "a prompt has at least one id"
    follow = _reader(model, context)
    known, tokens = ids, list[int]()
    with evaluating(model):
        while len(tokens) < max_new_tokens:
            logits = follow(known).float().cpu()
            chosen = _chosen(logits, temperature, top_k, top_p, generator)
            if chosen in stop_ids:
                break
            tokens.append(chosen)
            known = torch.cat([known, known.new_tensor([chosen])])
    return tokens


def _reader(model: nn.Module, context: int) -> Callable[[Tensor], Tensor]:
    """All ids so far -> the logits of the next one, [vocabulary]."""
    if isinstance(model, CausalLm):
        return Cached(model.lm, context)
    return lambda ids: model(ids[None, -context:])[0, -1]


class Cached:
    """Reads new ids with the keys and values of earlier ones, while all fits in the context."""

    def __init__(self, lm: nn.Module, context: int) -> None:
        self.lm, self.context = lm, context
        self.cache, self.seen = None, 0
        given = inspect.signature(lm.forward).parameters
        self.name = "cache" if "cache" in given else "past_key_values"  # transformers below 5.24

    def __call__(self, ids: Tensor) -> Tensor:
        if len(ids) > self.context:
            logits: Tensor = self.lm(input_ids=ids[None, -self.context :], use_cache=False).logits
            return logits[0, -1]
        known: dict[str, Any] = {self.name: self.cache}
        out = self.lm(input_ids=ids[None, self.seen :], use_cache=True, **known)
        self.cache = getattr(out, self.name, None)
        self.seen = len(ids) if self.cache is not None else 0
        logits = out.logits
        return logits[0, -1]


def _chosen(
    logits: Tensor,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    generator: torch.Generator | None,
) -> int:
    if not temperature:
        return int(logits.argmax())
    logits = logits - logits.max()  # so that no temperature, however small, overflows
    chances, order = (logits / temperature).softmax(0).sort(descending=True)
    if top_k:
        chances, order = chances[:top_k], order[:top_k]
    if top_p:
        before = chances.cumsum(0) - chances  # the likeliest always stays
        chances = chances[before < top_p * chances.sum()]
    return int(order[torch.multinomial(chances, 1, generator=generator)])
