"""A tokenizer as ftune keeps it: the file of the `tokenizers` library and what stands beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ftune.data.frame import Array
from ftune.data.text.ragged import Ragged, stacked
from ftune.errors import MissingExtraError

if TYPE_CHECKING:
    import tokenizers

CHUNK = 4_000_000
"""Characters that are tokenised at once: an encoding takes some hundred bytes a token."""


@dataclass(frozen=True)
class Tokenizer:
    """Text to ids and back.

    json: the `tokenizer.json`. specials: the text of each special token by its role (bos, eos, unk,
    sep, pad, cls, mask). templates: chat templates by name. positions: how many tokens the model
    reads, limit: how many its authors give it; None where unknown. stops: texts of the tokens that
    end what a model generates.
    """

    json: str
    specials: dict[str, str] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
    limit: int | None = None
    stops: tuple[str, ...] = ()
    positions: int | None = None

    @cached_property
    def core(self) -> tokenizers.Tokenizer:
        """Raises MissingExtraError."""
        core: tokenizers.Tokenizer = library().Tokenizer.from_str(plain(self.json))
        core.no_padding()
        core.no_truncation()
        return core

    @cached_property
    def size(self) -> int:
        """How many ids there are: the largest and one."""
        return max(self.core.get_vocab(with_added_tokens=True).values()) + 1

    def id_of(self, role: str) -> int | None:
        """The id of the special token with this role."""
        text = self.specials.get(role)
        return None if text is None else self.core.token_to_id(text)

    @property
    def pad(self) -> int:
        """What fills the rows of a batch; it is masked, so that any id would do."""
        ids = (self.id_of(role) for role in ("pad", "eos", "unk"))
        return next((token for token in ids if token is not None), 0)

    @cached_property
    def frame(self) -> tuple[list[int], list[int]]:
        """The special ids that the model expects before and after a text."""
        encoding = self.core.encode("a")
        mask = np.array(encoding.special_tokens_mask)
        if mask.all():
            return [], []
        inner = np.flatnonzero(mask == 0)
        ids = encoding.ids
        return ids[: inner[0]], ids[inner[-1] + 1 :]

    @cached_property
    def special_texts(self) -> tuple[str, ...]:
        """The texts of all special tokens."""
        added = self.core.get_added_tokens_decoder().values()
        return tuple(token.content for token in added if token.special)

    def encode(self, texts: Sequence[str]) -> Ragged:
        """int32 ids of each text, without what the model expects around it."""
        with_threads()
        fast = self.core.encode_batch_fast
        return stacked(
            Ragged.of([encoding.ids for encoding in fast(part, add_special_tokens=False)])
            for part in _chunks(texts)
        )

    def encode_spans(self, texts: Sequence[str]) -> tuple[Ragged, Array]:
        """ids, and int64 [tokens, 2]: which characters of its text each token covers."""
        with_threads()
        ids, spans = [], [np.zeros((0, 2), np.int64)]
        for part in _chunks(texts):
            encodings = self.core.encode_batch(part, add_special_tokens=False)
            ids.append(Ragged.of([encoding.ids for encoding in encodings]))
            spans += [np.array(encoding.offsets, np.int64).reshape(-1, 2) for encoding in encodings]
        return stacked(ids), np.concatenate(spans)

    def encode_words(self, rows: Sequence[Sequence[str]]) -> tuple[Ragged, Ragged]:
        """ids, and the number of the word that each token belongs to, from 0.

        Words after the first get a space before them, which is how they stand in a text. A word
        of characters that the tokenizer drops becomes the unknown token, so that each has one.
        """
        encodings = self._words(rows)
        there = [set(encoding.word_ids) for encoding in encodings]
        if any(len(seen) < len(words) for seen, words in zip(there, rows, strict=True)):
            stand_in = self.specials.get("unk", "?")
            encodings = self._words(
                [
                    [word if i in seen else stand_in for i, word in enumerate(words)]
                    for words, seen in zip(rows, there, strict=True)
                ]
            )
        words = Ragged.of([cast("list[int]", encoding.word_ids) for encoding in encodings])
        return Ragged.of([encoding.ids for encoding in encodings]), words

    def _words(self, rows: Sequence[Sequence[str]]) -> list[tokenizers.Encoding]:
        with_threads()
        spaced = [[words[0], *(f" {word}" for word in words[1:])] for words in rows]
        return self.core.encode_batch(spaced, is_pretokenized=True, add_special_tokens=False)

    def decode(self, ids: Sequence[int], specials: bool = True) -> str:
        """The text; without special tokens where `specials` is false."""
        return self.core.decode(list(ids), skip_special_tokens=not specials)

    def to_json(self) -> dict[str, Any]:
        """Everything but `json`, which is large."""
        return {
            "specials": dict(self.specials),
            "templates": dict(self.templates),
            "limit": self.limit,
            "stops": list(self.stops),
            "positions": self.positions,
        }

    def array(self) -> Array:
        """`json` as uint8."""
        return np.frombuffer(self.json.encode(), dtype=np.uint8).copy()

    @classmethod
    def restore(cls, stored: Mapping[str, Any], array: Array) -> Tokenizer:
        text = np.asarray(array).astype(np.uint8).tobytes().decode()
        return cls(
            text, dict(stored["specials"]), dict(stored["templates"]), stored["limit"],
            tuple(stored["stops"]), stored.get("positions"),
        )  # fmt: skip


def library() -> Any:
    """The `tokenizers` package. Raises MissingExtraError."""
    try:
        import tokenizers
    except ImportError:
        raise MissingExtraError("text", "text") from None
    return tokenizers


def plain(text: str) -> str:
    """A tokenizer.json whose tokens cover the spaces that belong to them; the ids stay."""

    def corrected(node: Any) -> Any:
        if isinstance(node, list):
            return [corrected(item) for item in node]
        if not isinstance(node, dict):
            return node
        return {key: False if key == "trim_offsets" else corrected(node[key]) for key in node}

    tokenizer = json.loads(text)
    tokenizer["post_processor"] = corrected(tokenizer.get("post_processor"))
    return json.dumps(tokenizer, ensure_ascii=False)


def with_threads() -> None:
    """Threads for us, none for children: a forked child would wait for threads it has not."""
    if "TOKENIZERS_PARALLELISM" not in os.environ:
        os.environ["TOKENIZERS_PARALLELISM"] = "true"
        os.register_at_fork(after_in_child=_without_threads)


def _without_threads() -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _chunks(texts: Sequence[str]) -> list[list[str]]:
    """Lists of texts of about CHUNK characters."""
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    cuts = np.flatnonzero(np.diff(ends // CHUNK)) + 1
    edges = [0, *cuts.tolist(), len(texts)]
    return [list(texts[a:b]) for a, b in pairwise(edges)]
