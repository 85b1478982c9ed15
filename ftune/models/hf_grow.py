"""Rows for tokens that were added to a model's tokenizer and not to its weights."""

from __future__ import annotations

from typing import Any

from ftune.log_suppression import quiet
from ftune.models.hf_source import Source


def brings(source: Source, tokens: int) -> bool:
    """Return whether the tokenizer of a model's files has `tokens` ids."""
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(source.read_from, **source.arguments)
    except Exception:  # whatever a folder without a tokenizer runs into
        return False
    return max(tokenizer.get_vocab().values(), default=-1) + 1 == tokens


def grow(module: Any, tokens: int) -> dict[str, int]:
    """Gives the embedding and the output layer a row for each token; returns how many by parameter.

    A new row is the mean of the others: no token starts out more likely than an average one, and
    what the model says of the old ones hardly changes (Hewitt 2021, "Initializing New Word
    Embeddings for Pretrained Language Models").
    """
    import torch

    before = module.config.get_text_config().vocab_size
    if tokens <= before:
        return {}
    with quiet():
        module.resize_token_embeddings(tokens, mean_resizing=False)
    layers = (module.get_input_embeddings(), module.get_output_embeddings())
    tensors = {id(t): t for layer in layers if layer is not None for t in layer.parameters()}
    with torch.no_grad():
        for tensor in tensors.values():
            tensor[before:] = tensor[:before].mean(0)
    return {n: tokens - before for n, p in module.named_parameters() if id(p) in tensors}
