"""From texts to tokens: a tokenizer chosen or trained once, stored whole in checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from ftune.data.disk_cache import cache_folder
from ftune.data.features import Features
from ftune.data.fit_targets import fit_targets
from ftune.data.frame import Array, Frame
from ftune.data.kind import Kind, TargetKind
from ftune.data.lineage import Step
from ftune.data.pipeline import Pipeline
from ftune.data.store import Store
from ftune.data.target import Target, target_of
from ftune.data.text import choose
from ftune.data.text.chat import RefusedError, Tools, question
from ftune.data.text.dialogues import check_asked, check_pairs, conversations, tag_names, word_lists
from ftune.data.text.stores import Blocks, Tokens, pack
from ftune.data.text.text_columns import TextColumns
from ftune.data.text.tokenize_pipeline import TokenizePipeline, TrainingTexts
from ftune.data.text.tokenizer import Tokenizer
from ftune.data.text.turns import Turn, without_answer
from ftune.data.transforms.tokenize import Tokenize
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Data


@dataclass(frozen=True)
class TextPipeline(Pipeline):
    """What was fitted on the training rows.

    columns: those that a prediction needs. tokenization: from a frame to
    samples. kept: the folder for what is tokenised, None for none. notes: what fitting has to say.
    Neither is stored.
    """

    kind: ClassVar[Kind] = "text"
    called: ClassVar[str] = "text"
    steps: ClassVar[tuple[Step, ...]] = ()

    columns: dict[str, str]
    tokenization: TokenizePipeline
    target_steps: tuple[Step, ...] = ()
    kept: Path | None = field(default=None, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def fit(
        cls,
        data: Data,
        train: Frame,
        kind: TargetKind,
        prior: Pipeline | None = None,
        classes: Sequence[str] | None = None,
        tokenizer: str | None = None,
    ) -> TextPipeline:
        """Chooses or trains the tokenizer; except with `statistics: refit` it is that of `prior`.

        `tokenizer` is the model's folder, GGUF file or hub name. Raises DataError.
        """
        base = prior if isinstance(prior, TextPipeline) and data.statistics != "refit" else None
        columns = TextColumns.of(data, kind).found_in(train)
        wish, cache = choose.declared(data), cache_folder(data.cache, "text")
        columns.check(train)
        chat = columns.messages is not None or bool(wish.chat)
        texts, known = TrainingTexts(columns, kind, train), base.tokenizer if base else None
        if base:
            choose.check_kept(wish, base.tokenization.settings)
        chosen = choose.chosen(wish, texts, tokenizer, known, chat, cache)
        settings = choose.resolved(wish, chosen, columns, kind)
        target = _target(data, train, kind, columns, classes)
        tokenization = TokenizePipeline(chosen, settings, columns, target)
        _ = tokenization.chat  # a template that is none is said now
        steps, notes = fit_targets(data, train, target, prior)
        if base:
            notes = [f"tokenizer of the base kept ({chosen.size:,} tokens).", *notes]
        kinds = {name: str(train.kind(name)) for name in columns.asked}
        return cls(kinds, tokenization, steps, cache, tuple(notes))

    @property
    def features(self) -> Features:
        return Features((self.tokenization.most,), None, {}, self.tokenizer.size)

    @property
    def target(self) -> Target:
        return self.tokenization.target

    @property
    def tokenizer(self) -> Tokenizer:
        return self.tokenization.tokenizer

    def inputs(self, frame: Frame, train: bool = False) -> Store:
        """Tokens, or Blocks of a stream. Raises DataError for texts that cannot be used.

        Language modelling and tags bring `y`. Rows without anything to learn are left out of
        language modelling; `source_rows` says which are there.
        """
        if self.tokenization.settings.stream:
            return self._blocks(frame, train)
        samples = self.tokenization.samples(frame, self.kept)
        if train:
            self.tokenization.check_ends(samples)
        tokens = replace(
            Tokens.of(samples.x, self.tokenizer.pad, samples.y),
            source_rows=torch.from_numpy(samples.places),
            notes=samples.notes,
        )
        packing = train and self.tokenization.settings.packing
        return pack(tokens, self.tokenization.most) if packing else tokens

    def _blocks(self, frame: Frame, train: bool) -> Blocks:
        ids, notes = self.tokenization.stream(frame, self.kept)
        width = self.tokenization.most
        if len(ids) < (width + 1 if train else 2):
            raise DataError(
                f"{frame.origin}: the text has {len(ids):,} tokens, which is less than one block"
                f" of {width:,} and one; lower tokenize.max_length"
            )
        return Blocks(torch.from_numpy(ids), width, train, self.tokenizer.pad, notes)

    def conform(self, frame: Frame) -> Frame:
        """The frame, if it has the columns that a prediction needs. Raises DataError."""
        for name in self.tokenization.columns.asked:
            assert frame[name] is not None
        return frame

    def prompts(self, frame: Frame, notes: list[str] | None = None) -> list[list[int]]:
        """What a model is given for each row, written as in training. Raises DataError.

        notes: gets a sentence about conversations that end with an answer, which is left out.
        """
        columns = self.tokenization.columns
        if columns.messages is not None:
            rows = conversations(frame, columns, answers=False)
            asked = [without_answer(row.turns) for row in rows]
            check_asked(frame, asked)
            pairs = list(zip(asked, rows, strict=True))
            ended = sum(len(turns) < len(row.turns) for turns, row in pairs)
            if ended and notes is not None:
                end = "conversations end with an answer, which is left out."
                notes.append(f"{ended:,} of {len(rows):,} {end}")
            return [self.prompt_ids(turns, tools=row.tools) for turns, row in pairs]
        texts = columns.template("prompt" if columns.prompt is not None else "text").fill(frame)
        return [self.prompt_ids(text) for text in texts]

    def prompt_ids(
        self, prompt: str | Sequence[Turn], chat: bool | None = None, tools: Tools = None
    ) -> list[int]:
        """What a model is given to continue: a text, already filled in, or turns.

        chat: whether a text becomes the user's turn; None: as in training. Raises DataError for
        turns that are refused, and for half a character.
        """
        chat = self.tokenization.chat is not None if chat is None else chat
        if isinstance(prompt, str) and not chat:
            return [*self.tokenizer.frame[0], *self._ids(prompt)]
        turns = question(prompt) if isinstance(prompt, str) else list(prompt)
        wish = replace(self.tokenization.settings, chat=True)
        template = self.tokenization.chat or choose.chat_of(wish, self.tokenizer)
        assert template is not None
        try:
            text = template.text(turns, answer=True, tools=tools)
        except RefusedError as error:
            raise DataError(f"the chat template refuses the turns: {error}") from None
        return self._ids(text)

    def _ids(self, text: str) -> list[int]:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DataError("the prompt holds half of a character; is it UTF-8?") from None
        ids: list[int] = self.tokenizer.encode([text]).flat.tolist()
        return ids

    @property
    def stop_ids(self) -> list[int]:
        """The ids at which an answer ends."""
        return self.tokenization.ends

    def decode(self, ids: Sequence[int], specials: bool = False) -> str:
        """The text of ids; special tokens only if asked for."""
        return self.tokenizer.decode(ids, specials)

    def cached(self, setting: bool | str) -> TextPipeline:
        return replace(self, kept=cache_folder(setting, "text"))

    def to_json(self) -> dict[str, Any]:
        return self.common_json() | {
            "columns": dict(self.columns),
            "tokenizer": self.tokenizer.to_json(),
            "settings": dataclasses.asdict(self.tokenization.settings),
            "form": self.tokenization.columns.to_json(),
            "cache": self.kept is not None,
        }

    def arrays(self) -> dict[str, Array]:
        """The tokenizer.json as uint8, and the arrays of the target's transforms."""
        return super().arrays() | {"tokenizer": self.tokenizer.array()}

    @classmethod
    def restore(cls, stored: Mapping[str, Any], arrays: Mapping[str, Array]) -> TextPipeline:
        """The inverse of `to_json` and `arrays`, with the usual cache. Raises CheckpointError."""
        target, steps = cls.restored_targets(stored, arrays)
        tokenization = TokenizePipeline(
            Tokenizer.restore(stored["tokenizer"], arrays["tokenizer"]),
            Tokenize(**stored["settings"]),
            TextColumns(**stored["form"]),
            target,
        )
        return cls(
            dict(stored["columns"]), tokenization, steps, cache_folder(stored["cache"], "text")
        )


def _target(
    data: Data, train: Frame, kind: TargetKind, columns: TextColumns, classes: Sequence[str] | None
) -> Target:
    names = data.targets
    if kind == "tokens" and names:
        raise DataError("data.target: a language model predicts the text itself; leave it out")
    if kind == "tags":
        words = word_lists(train, columns.text or "", "data.text")
        tags = word_lists(train, names[0], "data.target")
        check_pairs(train, words, tags)
        classes = classes or tag_names(tags)
    return target_of(data, kind, train, classes)
