"""Models of transformers behind our interface: x int64 [batch, time], segments as in `tokens`.

Rows are padded on the right. Children: `lm`, or `encoder` and its `head`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ftune.errors import RequestError
from ftune.models.tokens import places, pool


class CausalLm(nn.Module):
    """A causal language model: -> logits [batch, time, vocabulary].

    splits: the logits are the output layer of the last hidden states, nothing else.
    packs: from position ids that restart transformers keeps samples of one row apart.
    """

    def __init__(self, lm: Any) -> None:
        super().__init__()
        self.lm = lm
        self.splits = self.packs = True

    @property
    def config(self) -> Any:
        return self.lm.config

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        logits: Tensor = self.lm(**self._arguments(x, segments)).logits
        return logits

    def hidden(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        """What reaches the output layer: [batch, time, features]."""
        states: Tensor = self.lm.base_model(**self._arguments(x, segments)).last_hidden_state
        return states

    @property
    def output_layer(self) -> nn.Module | None:
        """[…, features] -> […, vocabulary]; None for a model whose logits are more than that."""
        return self.lm.get_output_embeddings() if self.splits else None

    def _arguments(self, x: Tensor, segments: Tensor | None) -> dict[str, Any]:
        """A causal model does not see the padding after its text: it needs no mask."""
        if segments is None or not bool((segments > 1).any()):
            return {"input_ids": x, "use_cache": False}
        if not self.packs:
            raise RequestError(
                f"model: {self.config.model_type} cannot keep samples of one row apart; write "
                "`packing: false`"
            )
        return {"input_ids": x, "position_ids": places(x, segments), "use_cache": False}

    def head_name(self, outputs: int) -> str:  # noqa: ARG002
        head = self.lm.get_output_embeddings()
        modules: dict[str, nn.Module] = dict(self.named_modules())
        return next(name for name, module in modules.items() if module is head)

    @torch.no_grad()
    def prove(self) -> None:
        """Finds out on a few tokens what the model can do, rather than trusting its name."""
        self.eval()
        ids = torch.arange(1, 8).remainder(self.config.get_text_config().vocab_size)[None]
        segments = torch.tensor([[1, 1, 1, 2, 2, 2, 2]])
        whole, alone = self(ids), self(ids[:, 3:])
        self.splits = _same(self.lm.get_output_embeddings()(self.hidden(ids)), whole)
        self.packs = _same(self(ids, segments)[:, 3:], alone)


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= 1e-3 * b.std())


class Encoder(nn.Module):
    """Hidden states, pooled to one vector a row, and a linear head: -> [batch, outputs]."""

    def __init__(
        self, encoder: Any, outputs: int, pooling: str, normalize: bool, dropout: float
    ) -> None:
        super().__init__()
        self.pooling, self.normalize = pooling, normalize
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.config.get_text_config().hidden_size, outputs)

    @property
    def config(self) -> Any:
        return self.encoder.config

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        outputs: Tensor = self.head(self.dropout(self.embed(x, segments)))
        return outputs

    def embed(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        """The vector of each row: [batch, features]."""
        states = self.encoder(**_masked(x, segments)).last_hidden_state
        kind = {"mean": "avg", "cls": "first"}.get(self.pooling, self.pooling)
        vectors = pool(states, segments, kind)
        return F.normalize(vectors, dim=-1) if self.normalize else vectors

    def head_name(self, outputs: int) -> str:  # noqa: ARG002
        return "head"


class Native(nn.Module):
    """A classifier with the head its architecture has, of rows or of tokens."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        # transformers would look for the last token by a padding id, which may not be the data's.
        self.scores_last = "ForSequence" in type(encoder).__name__ and hasattr(encoder, "score")

    @property
    def config(self) -> Any:
        return self.encoder.config

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        if self.scores_last:
            states = self.encoder.base_model(**_masked(x, segments)).last_hidden_state
            scores: Tensor = self.encoder.score(pool(states, segments, "last"))
            return scores
        logits: Tensor = self.encoder(**_masked(x, segments)).logits
        return logits

    def head_name(self, outputs: int) -> str:
        """The last linear layer outside the base model that has so many outputs."""
        base = {id(module) for module in self.encoder.base_model.modules()}
        heads: list[str] = [
            name
            for name, module in self.named_modules()
            if isinstance(module, nn.Linear)
            and id(module) not in base
            and module.out_features == outputs
        ]
        return heads[-1]


def _masked(x: Tensor, segments: Tensor | None) -> dict[str, Tensor]:
    if segments is None:
        segments = torch.ones_like(x)
    elif bool((segments > 1).any()):
        raise RequestError("model: an encoder reads one text a row; write `packing: false`")
    return {"input_ids": x, "attention_mask": segments}
