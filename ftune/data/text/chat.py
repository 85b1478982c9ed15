"""Conversations as one text, by the chat template of a model; and which part the model says.

Templates are Jinja and run in its sandbox with what Hugging Face templates expect, so that a
rendering equals `tokenizer.apply_chat_template`.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

from ftune.data.text.turns import ASSISTANT, Turn, counts
from ftune.errors import DataError

Tools = Sequence[Any] | None


class RefusedError(ValueError):
    """What a template says of turns that it does not accept."""


@dataclass(frozen=True)
class Chat:
    """One template. names: what it may write besides the turns (`bos_token` …). specials: texts of
    special tokens. Raises DataError where it is no Jinja."""

    source: str
    names: Mapping[str, str]
    specials: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _ = self._template

    @cached_property
    def _template(self) -> Any:
        from jinja2 import TemplateError
        from jinja2.ext import Extension, loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        class Generation(Extension):
            """Some templates mark what the model says; the mark itself writes nothing."""

            tags = {"generation"}  # noqa: RUF012

            def parse(self, parser: Any) -> Any:
                next(parser.stream)
                return parser.parse_statements(("name:endgeneration",), drop_needle=True)

        room = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
        )
        room.filters["tojson"] = _to_json
        room.globals["raise_exception"] = _refuse
        room.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
        try:
            return room.from_string(self.source)
        except (TemplateError, RecursionError) as error:
            raise DataError(f"the chat template is not readable: {error}") from None

    def text(self, turns: Sequence[Turn], answer: bool = False, tools: Tools = None) -> str:
        """The conversation; `answer`: up to where the assistant begins. Raises RefusedError."""
        try:
            rendered: str = self._template.render(
                messages=turns, tools=tools, documents=None, add_generation_prompt=answer,
                **self.names,
            )  # fmt: skip
        except Exception as error:  # whatever a stranger's template runs into
            raise RefusedError(str(error) or type(error).__name__) from None
        return rendered

    def spans(
        self, turns: Sequence[Turn], tools: Tools = None
    ) -> tuple[str, list[tuple[int, int]]]:
        """The conversation, and first and last character + 1 of each turn that counts.

        A turn is what the template adds to the ones before it, without the words that ask for it;
        it ends with the token that ends it, not with the line end behind that. Raises RefusedError.
        """
        whole = self.text(turns, tools=tools)
        spans = []
        for i, turn in enumerate(turns):
            if not counts(turn):
                continue
            before, after = self._told(turns[:i], tools), self._told(turns[: i + 1], tools)
            asked = self._asked(turns[:i], before, tools)
            if not whole.startswith(after) or not after.startswith(before):
                raise RefusedError("the chat template changes earlier turns when later ones follow")
            start = _alike(asked, whole)
            spans.append((start, start + len(self._said(whole[start : len(after)]))))
        return whole, spans

    def _told(self, turns: Sequence[Turn], tools: Tools) -> str:
        """The turns alone."""
        return self.text(turns, tools=tools).removesuffix(self._tail) if turns else ""

    def _asked(self, turns: Sequence[Turn], before: str, tools: Tools) -> str:
        """The turns with the words that ask for an answer."""
        if not turns:
            return before
        asked = self.text(turns, answer=True, tools=tools)
        return asked if asked.startswith(before) else before

    @cached_property
    def _tail(self) -> str:
        """The words that ask for an answer where a template writes them unasked (Llama 3's first).

        They stand behind the token that ends a turn, whoever said it.
        """
        asked = question("a")
        try:
            bare, whole = self.text(asked), self.text([*asked, _turn(ASSISTANT, "b")])
        except RefusedError:
            return ""
        shared = bare[len(bare) - _alike(bare[::-1], whole[::-1]) :]
        end = next((text for text in self.specials if text and shared.startswith(text)), None)
        tail = "" if end is None else shared.removeprefix(end)
        return tail if tail.strip() else ""

    def _said(self, text: str) -> str:
        bare = text.rstrip()
        return bare if bare.endswith(self.specials) else text

    @cached_property
    def stop(self) -> str | None:
        """The special token that ends an answer."""
        try:
            whole, spans = self.spans([_turn("user", "a"), _turn(ASSISTANT, "b")])
        except RefusedError:
            return None
        ending = whole[slice(*spans[0])].rstrip()
        return next((text for text in self.specials if text and ending.endswith(text)), None)


def _alike(one: str, other: str) -> int:
    """How many characters they have in common from the start on."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((k for k, (a, b) in pairs if a != b), min(len(one), len(other)))


def question(prompt: str) -> list[Turn]:
    """A prompt as the one turn of the user."""
    return [_turn("user", prompt)]


def answered(prompt: str, response: str) -> list[Turn]:
    """A prompt and its response as two turns."""
    return [_turn("user", prompt), _turn(ASSISTANT, response)]


def _turn(role: str, content: str) -> Turn:
    return {"role": role, "content": content}


def _refuse(message: str) -> NoReturn:
    raise RefusedError(message)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **more: Any) -> str:
    """Jinja's own filter would escape HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **more)
