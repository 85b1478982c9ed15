"""How the rows of a frame become samples: all that decides it, and nothing else."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ftune.data import disk_cache
from ftune.data.frame import Array, Frame, as_text
from ftune.data.kind import TargetKind
from ftune.data.target import Target
from ftune.data.text import choose, samples
from ftune.data.text.chat import Chat, answered
from ftune.data.text.dialogues import Conversation, check_pairs, conversations, word_lists
from ftune.data.text.ragged import Ragged
from ftune.data.text.samples import Samples
from ftune.data.text.text_columns import TextColumns
from ftune.data.text.tokenizer import Tokenizer
from ftune.data.transforms.tokenize import Tokenize
from ftune.errors import DataError

VERSION = 1
"""Of what is kept on disk; another way to make samples is another version."""


@dataclass(frozen=True)
class TokenizePipeline:
    """settings: `tokenize` with a value for everything. columns: where the texts stand."""

    tokenizer: Tokenizer
    settings: Tokenize
    columns: TextColumns
    target: Target

    @property
    def most(self) -> int:
        assert self.settings.max_length is not None
        return self.settings.max_length

    @cached_property
    def chat(self) -> Chat | None:
        """How turns are written; None: prompts are plain texts."""
        return choose.chat_of(self.settings, self.tokenizer)

    def stream(self, frame: Frame, kept: Path | None) -> tuple[Array, list[str]]:
        """int32 [tokens] of all rows, and notes; from the folder `kept` where they are there."""
        texts = self.columns.template("text").fill(frame, blank=self.columns.running)

        def make() -> disk_cache.Content:
            ids, notes = samples.stream(self.tokenizer, texts, bool(self.settings.add_eos))
            return {"stream": ids}, notes

        arrays, notes = disk_cache.load_or_make(kept, self._key(texts), make)
        return arrays["stream"], notes

    def samples(self, frame: Frame, kept: Path | None) -> Samples:
        """One of each row, from the folder `kept` where they are there. Raises DataError."""
        self.columns.check(frame)

        def make() -> disk_cache.Content:
            batch = self._made(frame)
            arrays = {"x": batch.x.flat, "offsets": batch.x.offsets, "places": batch.places}
            return arrays | ({} if batch.y is None else {"y": batch.y.flat}), batch.notes

        try:
            arrays, notes = disk_cache.load_or_make(kept, self._key(self._contents(frame)), make)
        except DataError as error:
            message = str(error)
            raise DataError(
                message if frame.origin in message else f"{frame.origin}: {message}"
            ) from None
        x = Ragged(arrays["x"], arrays["offsets"])
        y = x.with_flat(arrays["y"]) if "y" in arrays else None
        return Samples(x, y, arrays["places"], notes)

    def _contents(self, frame: Frame) -> list[str]:
        """What the rows hold; their numbers too, which notes may name."""
        contents = [frame.rows.tobytes().hex()]
        for name in [*self.columns.asked, *self.columns.said, *self._tags_in(frame)]:
            column = frame[name]
            if column.ndim > 1:
                texts = [np.array2string(row, threshold=row.size + 1) for row in column]
            else:
                texts = (
                    column.astype(str) if column.dtype.kind == "M" else as_text(column)
                ).tolist()
            contents += [name, *map(str, texts)]
        return contents

    def _key(self, contents: list[str]) -> str:
        about = [str(VERSION), json.dumps(dataclasses.asdict(self.settings), sort_keys=True)]
        about += [json.dumps(self.columns.to_json()), self.tokenizer.json]
        about += [json.dumps(self.tokenizer.to_json(), sort_keys=True)]
        about += [self.target.kind, *self.target.classes, f"{len(contents)} texts"]
        return disk_cache.key_of([*about, *contents])

    def _made(self, frame: Frame) -> Samples:
        if self.target.kind == "tags":
            return self._tagged(frame)
        if self.target.kind != "tokens":
            texts = self.columns.template("text").fill(frame)
            return samples.inputs(self.tokenizer, texts, self.most)
        ids, counted, notes = self._learnt(frame)
        if not self.settings.mask_prompt:
            counted = np.ones_like(counted)
        return samples.to_predict(ids, counted, self.most, frame.rows, notes)

    def check_ends(self, made: Samples) -> None:
        """Raises DataError where ends are wanted and none is to be predicted in any row."""
        if self.target.kind != "tokens" or not self.settings.add_eos or made.y is None:
            return
        if np.isin(made.y.flat, self.ends).any():
            return
        if not self.ends:
            cause = "the tokenizer has no token that ends a text; choose one that has"
        elif self.chat is not None and self.chat.stop is None:
            cause = (
                "the chat template ends answers with no special token; correct it"
                " (tokenize.chat_template)"
            )
        else:
            cause = f"all are cut before it at {self.most:,} tokens; raise tokenize.max_length"
        raise DataError(
            "the end of an answer is never learnt, so the model would not stop by itself:"
            f" {cause}, or write `tokenize: {{add_eos: false}}`"
        )

    @cached_property
    def ends(self) -> list[int]:
        """The ids at which an answer ends."""
        texts = {self.tokenizer.specials.get("eos"), *self.tokenizer.stops}
        if self.chat is not None:
            texts.add(self.chat.stop)
        ids = (self.tokenizer.core.token_to_id(text) for text in texts if text)
        return sorted({token for token in ids if token is not None})

    def _learnt(self, frame: Frame) -> tuple[Ragged, Array, list[str]]:
        """ids, what counts in them, and notes, before anything is cut."""
        eos = bool(self.settings.add_eos)
        if self.columns.text is not None:
            texts = self.columns.template("text").fill(frame, blank=self.columns.running)
            ids, notes = samples.documents(self.tokenizer, texts, eos)
            return ids, np.ones(len(ids.flat), dtype=bool), notes
        if self.columns.messages is not None:
            rows = conversations(frame, self.columns)
            assert self.chat
            return samples.dialogues(self.tokenizer, self.chat, rows, frame.rows.tolist())
        prompts = self.columns.template("prompt").fill(frame)
        responses = self.columns.template("response").fill(frame)
        if self.chat is None:
            return samples.pairs(self.tokenizer, prompts, responses, eos)
        rows = [Conversation(answered(p, r)) for p, r in zip(prompts, responses, strict=True)]
        return samples.dialogues(self.tokenizer, self.chat, rows, frame.rows.tolist())

    def _tagged(self, frame: Frame) -> Samples:
        """Without the column of tags, y is 0 at the first token of each word."""
        assert self.columns.text is not None
        words = word_lists(frame, self.columns.text, "data.text")
        if not self._tags_in(frame):
            return samples.tagged(self.tokenizer, words, [[0] * len(w) for w in words], self.most)
        name = self.target.names[0]
        tags = word_lists(frame, name, "data.target")
        check_pairs(frame, words, tags)
        return samples.tagged(self.tokenizer, words, self._tag_numbers(frame, tags), self.most)

    def _tags_in(self, frame: Frame) -> list[str]:
        names = self.target.names if self.target.kind == "tags" else ()
        return [name for name in names if name in frame.columns]

    def _tag_numbers(self, frame: Frame, tags: list[list[str]]) -> list[list[int]]:
        index_of = {tag: i for i, tag in enumerate(self.target.classes)}
        bad = np.array([any(tag not in index_of for tag in row) for row in tags], dtype=bool)
        if bad.any():
            odd = next(tag for row in tags for tag in row if tag not in index_of)
            raise DataError(
                f"{frame.origin}: target `{self.target.names[0]}`: unknown tag `{odd}` in"
                f" {frame.where(bad)}; known: {', '.join(self.target.classes[:20])}"
            )
        return [[index_of[tag] for tag in row] for row in tags]


class TrainingTexts:
    """The texts of a frame one after the other, read only if a tokenizer is to be trained."""

    def __init__(self, columns: TextColumns, kind: TargetKind, frame: Frame) -> None:
        self._columns, self._kind, self._frame = columns, kind, frame

    def __iter__(self) -> Iterator[str]:
        columns, frame = self._columns, self._frame
        if self._kind == "tags":
            assert columns.text is not None
            return (" ".join(words) for words in word_lists(frame, columns.text, "data.text"))
        if columns.messages is not None:
            rows = conversations(frame, columns)
            return (f"{turn['role']}\n{turn['content']}" for row in rows for turn in row.turns)
        names = [name for name in ("text", "prompt", "response") if getattr(columns, name)]
        filled = [columns.template(name).fill(frame, blank=columns.running) for name in names]
        return (text for texts in filled for text in texts)
