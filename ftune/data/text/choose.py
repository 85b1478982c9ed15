"""Which tokenizer, and what `auto` and null mean in `tokenize`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ftune.config.spelling import suggestion
from ftune.data import TRANSFORMS
from ftune.data.text.chat import Chat
from ftune.data.text.tokenizer import Tokenizer
from ftune.data.text.trained import CHATML, TURN_END
from ftune.data.transforms.tokenize import Tokenize
from ftune.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from ftune.data.kind import TargetKind
    from ftune.data.schema import Data
    from ftune.data.text.text_columns import TextColumns

USUAL, USUAL_LANGUAGE = 512, 1024
"""Tokens a row where the model can take more: classification, and language modelling."""


def declared(data: Data) -> Tokenize:
    """The `tokenize` of the transforms, or its defaults. Raises DataError for other transforms."""
    listed = () if data.transforms == "auto" else data.transforms
    others = [TRANSFORMS.name_of(type(t)) for t in listed if not isinstance(t, Tokenize)]
    if others:
        raise DataError(f"data.transforms: `{others[0]}` is not for texts; they have `tokenize`")
    if len(listed) > 1:
        raise DataError("data.transforms: `tokenize` stands there twice; texts need it once")
    settings: Tokenize = listed[0] if listed else Tokenize()
    return settings


def chosen(
    wish: Tokenize,
    texts: Iterable[str],
    path: str | None,
    base: Tokenizer | None,
    chat: bool,
    cached: Path | None,
) -> Tokenizer:
    """The base's, the model's, or one trained on `texts` (an iterable: only then are they read).

    path: the model's. chat: whether one trained here gets the tokens of ChatML. cached: a folder.

    Raises DataError where there is no model, or its tokenizer cannot be read.
    """
    from ftune.data.text import loaded, trained

    kind = wish.tokenizer
    if base is not None:
        return base
    if kind == "model" and path is None:
        raise DataError(
            "tokenize.tokenizer: `model`, but the model brings none; choose characters or bpe, or a"
            " model with a tokenizer (`model: {name: hf, path: …}`)"
        )
    if path is not None and kind in ("auto", "model"):
        return loaded.load(path, cached)
    if kind == "characters":
        return trained.characters(texts, chat)
    return trained.bpe(texts, wish.vocabulary, chat)


def check_kept(wish: Tokenize, base: Tokenize) -> None:
    """Raises DataError where another tokenizer is asked for than the base brings."""
    for name in ("tokenizer", "vocabulary"):
        asked, there = getattr(wish, name), getattr(base, name)
        if asked not in (getattr(Tokenize(), name), there):
            raise DataError(
                f"tokenize.{name}: `{asked}`, but the base brings its tokenizer, on which its "
                "embeddings stand; leave it out, or write `data.statistics: refit`"
            )


def resolved(
    wish: Tokenize, tokenizer: Tokenizer, columns: TextColumns, kind: TargetKind
) -> Tokenize:
    """With a value for everything that was left open. Raises DataError for what does not go."""
    language = kind == "tokens"
    _check_language_only(wish, language)
    if wish.stream and columns.text is None:
        raise DataError(
            "tokenize.stream: is for texts; prompts and messages are samples of their own: use"
            " `packing`"
        )
    if wish.chat and columns.text is not None:
        raise DataError("tokenize.chat: is for `prompt` and `response`, or `messages`")
    usual = USUAL_LANGUAGE if language else USUAL
    limit = tokenizer.limit
    positions = tokenizer.positions
    if wish.max_length is not None and positions is not None and wish.max_length > positions:
        raise DataError(
            f"tokenize.max_length: {wish.max_length:,} is more than the {positions:,} positions of"
            " the model"
        )
    packing = language and wish.packing
    flows = language and columns.text is not None and columns.running and not packing
    stream = flows if wish.stream is None else wish.stream
    turns = columns.messages is not None or columns.prompt is not None
    chat = turns and (bool(tokenizer.templates) if wish.chat is None else wish.chat)
    most = wish.max_length or min(usual, limit or usual)
    return replace(
        wish,
        max_length=_with_room(most, tokenizer),
        stream=stream,
        add_eos=not columns.running if wish.add_eos is None else wish.add_eos,
        chat=chat or columns.messages is not None or (turns and wish.chat_template is not None),
    )


def _check_language_only(wish: Tokenize, language: bool) -> None:
    given = {"stream": wish.stream, "packing": wish.packing, "chat": wish.chat,
             "add_eos": wish.add_eos is not None, "chat_template": wish.chat_template is not None,
             "mask_prompt": not wish.mask_prompt}  # fmt: skip
    for name, value in given.items():
        if value and not language:
            raise DataError(f"tokenize.{name}: is for language models (task causal-lm) only")


def _with_room(most: int, tokenizer: Tokenizer) -> int:
    before, after = tokenizer.frame
    if most <= len(before) + len(after):
        raise DataError(
            f"tokenize.max_length: {most} leaves no room beside the {len(before) + len(after)}"
            " special tokens that the model expects"
        )
    return most


def chat_of(settings: Tokenize, tokenizer: Tokenizer) -> Chat | None:
    """The chat template, where turns are to be written by one. Raises DataError: there is none."""
    if not settings.chat:
        return None
    return Chat(
        _template(settings.chat_template, tokenizer), _names(tokenizer), tokenizer.special_texts
    )


def _template(wish: str | None, tokenizer: Tokenizer) -> str:
    known = dict(tokenizer.templates)
    if TURN_END in tokenizer.special_texts:  # ChatML fits every tokenizer that has its tokens
        known["chatml"] = CHATML
    if wish is not None and ("{{" in wish or "{%" in wish):
        return wish
    if wish is not None and wish not in known:
        raise DataError(
            f"tokenize.chat_template: there is no `{wish}`; {suggestion(wish, known) or 'none'}; or"
            " write it out in Jinja"
        )
    if wish is None and "default" not in known:
        near = ", ".join(f"`{name}`" for name in known)
        raise DataError(
            "the tokenizer has no chat template; name one with tokenize.chat_template"
            + (f" (it has {near})" if near else " (Jinja)")
            + ", or use `prompt` and `response` with `chat: false`"
        )
    return known["default" if wish is None else wish]


def _names(tokenizer: Tokenizer) -> dict[str, str]:
    return {f"{role}_token": text for role, text in tokenizer.specials.items()}
