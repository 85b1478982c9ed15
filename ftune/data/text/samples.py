"""Texts, prompts with responses, conversations and word lists as ids with what counts in them.

A prompt and its response are tokenised apart and joined: the mask is exact, and the prompt has the
same ids when there is no response yet. A conversation is tokenised whole, as
`apply_chat_template` does it; a token counts where it covers any character that the assistant says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ftune.batch import IGNORE_INDEX
from ftune.data.frame import Array, row_count, spoken_rows
from ftune.data.text.chat import Chat, RefusedError
from ftune.data.text.dialogues import Conversation, spoken_faults
from ftune.data.text.ragged import Ragged, Rows, side_by_side
from ftune.data.text.tokenizer import Tokenizer
from ftune.data.text.turns import Turn, counts
from ftune.errors import DataError

PIECE = 250_000
"""Characters of a stream that are tokenised as one text; the cut is at a line end."""


@dataclass(frozen=True)
class Samples:
    """x: ids of each row. y: the target of each position, or None. places: int64 [rows], the row of
    the frame that each was made of."""

    x: Ragged
    y: Ragged | None
    places: Rows
    notes: list[str] = field(default_factory=list)


def inputs(tokenizer: Tokenizer, texts: Sequence[str], most: int) -> Samples:
    """Whole texts with what the model expects around them ([CLS] … [SEP])."""
    before, after = tokenizer.frame
    bodies = tokenizer.encode(texts)
    room = most - len(before) - len(after)
    ids = _framed(bodies.head(room), before, after)
    notes = [*_unknown(tokenizer, bodies), *cut_note(bodies.lengths, room, most)]
    return Samples(ids, None, np.arange(len(texts)), notes)


def tagged(
    tokenizer: Tokenizer, words: Sequence[Sequence[str]], tags: Sequence[Sequence[int]], most: int
) -> Samples:
    """Word lists; the first token of a word has the number of its tag, the others do not count."""
    before, after = tokenizer.frame
    ids, owners = tokenizer.encode_words(words)
    first = np.ones(len(owners.flat), dtype=bool)
    first[1:] = (np.diff(owners.flat) != 0) | (np.diff(owners.owners) != 0)
    numbers = Ragged.of(tags)
    tag = numbers.flat[np.repeat(numbers.offsets[:-1], owners.lengths) + owners.flat]
    targets = owners.with_flat(np.where(first, tag, IGNORE_INDEX).astype(np.int32))
    room = most - len(before) - len(after)
    framed = _framed(ids.head(room), before, after)
    aside = [IGNORE_INDEX] * len(before), [IGNORE_INDEX] * len(after)
    notes = [*_unknown(tokenizer, ids), *cut_note(ids.lengths, room, most)]
    return Samples(framed, _framed(targets.head(room), *aside), np.arange(len(words)), notes)


def documents(tokenizer: Tokenizer, texts: Sequence[str], eos: bool) -> tuple[Ragged, list[str]]:
    """Texts to be learnt whole, each with its end."""
    before, after = tokenizer.frame
    bodies = tokenizer.encode(texts)
    return _framed(bodies, before, _end(tokenizer, after, eos)), _unknown(tokenizer, bodies)


def pairs(
    tokenizer: Tokenizer, prompts: Sequence[str], responses: Sequence[str], eos: bool
) -> tuple[Ragged, Array, list[str]]:
    """ids, and bool [tokens]: what belongs to a response, its end included."""
    before, after = tokenizer.frame
    asked, replies = tokenizer.encode(prompts), tokenizer.encode(responses)
    parts = [_framed(asked, before, []), _framed(replies, [], _end(tokenizer, after, eos))]
    ids = side_by_side(parts)
    marks = [part.with_flat(np.full(len(part.flat), i == 1)) for i, part in enumerate(parts)]
    return ids, side_by_side(marks).flat, _unknown(tokenizer, side_by_side([asked, replies]))


def dialogues(
    tokenizer: Tokenizer, chat: Chat, rows: Sequence[Conversation], where: Sequence[int]
) -> tuple[Ragged, Array, list[str]]:
    """ids, and bool [tokens]: what the assistant says. where: numbers of the rows, for messages."""
    rendered: list[tuple[str, list[tuple[int, int]]]] = []
    faults: dict[str, list[int]] = {}
    for row, number in zip(rows, where, strict=True):
        try:
            rendered.append(chat.spans(row.turns, row.tools))
        except RefusedError as error:
            faults.setdefault(f"the chat template refuses it: {error}", []).append(number)
    if faults:
        raise DataError(spoken_faults(faults))
    ids, covered = tokenizer.encode_spans([text for text, _ in rendered])
    in_answer = np.zeros(len(ids.flat), dtype=bool)
    for i, (_, spans) in enumerate(rendered):
        inside = slice(int(ids.offsets[i]), int(ids.offsets[i + 1]))
        start, end = covered[inside, 0], covered[inside, 1]
        for a, b in spans:
            in_answer[inside] |= (end > a) & (start < b)
    return ids, in_answer, [*_unknown(tokenizer, ids), *_unwritten(chat, rows)]


def _unwritten(chat: Chat, rows: Sequence[Conversation]) -> list[str]:
    """What conversations have and the template does not write."""
    calls = sum(any("tool_calls" in turn for turn in row.turns) for row in rows)
    tools = sum(row.tools is not None for row in rows)
    blank = sum(any(counts(t) and not _says(t) for t in row.turns) for row in rows)
    counted = {"tool calls": (calls, "tool_calls"), "tools": (tools, "tools")}
    return [
        f"the chat template writes no {what}: those of {row_count(number)} are left out."
        for what, (number, name) in counted.items()
        if number and name not in chat.source
    ] + [f"an answer is empty in {row_count(blank)}."] * bool(blank)


def _says(turn: Turn) -> bool:
    return bool(turn["content"].strip()) or "tool_calls" in turn


def stream(tokenizer: Tokenizer, texts: Sequence[str], eos: bool) -> tuple[Array, list[str]]:
    """int32 [tokens]: all texts in a row; without ends they are one running text."""
    if eos:
        ids, notes = documents(tokenizer, texts, eos)
        return ids.flat, notes
    ids = tokenizer.encode(_pieces(texts))
    return ids.flat, _unknown(tokenizer, ids)


def _pieces(texts: Sequence[str]) -> list[str]:
    """The running text in pieces that end with a line, or somewhere in one that does not end."""
    whole, pieces, at = "".join(texts), [], 0
    while at < len(whole):
        end = whole.find("\n", at + PIECE, at + 2 * PIECE) + 1 or at + 2 * PIECE
        pieces.append(whole[at:end])
        at = end
    return pieces


def to_predict(ids: Ragged, counted: Array, most: int, rows: Rows, notes: list[str]) -> Samples:
    """Language modelling: y is the id after that of x, where it counts.

    A row in which nothing is left to predict is left out and named. Raises DataError: all are.
    """
    cut = ids.head(most)
    target = ids.with_flat(np.where(counted, ids.flat, IGNORE_INDEX).astype(np.int32)).head(most)
    steps = np.maximum(cut.lengths - 1, 0)
    x, y = cut.cut(0, steps), target.cut(1, steps)
    useful = np.bincount(y.owners, weights=y.flat != IGNORE_INDEX, minlength=len(y)) > 0
    if not useful.any():
        raise DataError(
            f"nothing is left to learn in any of the {len(rows):,} rows within {most:,} tokens"
            " (tokenize.max_length); raise it, or correct the responses"
        )
    notes = [*notes, *cut_note(ids.lengths, most, most), *_left_out(rows[~useful].tolist(), most)]
    places = np.flatnonzero(useful)
    return Samples(x.take(places), y.take(places), places, notes)


def _left_out(rows: list[int], most: int) -> list[str]:
    if not rows:
        return []
    is_ = "is" if len(rows) == 1 else "are"
    return [
        f"{spoken_rows(rows).capitalize()} {is_} left out: within {most:,} tokens nothing of the"
        " answer remains."
    ]


def cut_note(lengths: Rows, room: int, most: int) -> list[str]:
    """What truncation costs, in a sentence; nothing where it costs nothing."""
    over = np.maximum(lengths - room, 0)
    if not over.any():
        return []
    rows = int((over > 0).sum())
    share = over.sum() / lengths.sum()
    percent = f"{share:.1%}".replace("%", " %") if share >= 0.001 else "< 0.1 %"
    return [
        f"{rows:,} of {len(lengths):,} rows {'is' if rows == 1 else 'are'} cut at {most:,} tokens,"
        f" {percent} of all tokens."
    ]


def _framed(bodies: Ragged, before: Sequence[int], after: Sequence[int]) -> Ragged:
    rows = len(bodies)
    return side_by_side([Ragged.repeated(before, rows), bodies, Ragged.repeated(after, rows)])


def _end(tokenizer: Tokenizer, after: Sequence[int], eos: bool) -> list[int]:
    """The ids after a text: those that the model expects, and its end if they lack it."""
    end = tokenizer.id_of("eos")
    lacks = eos and end is not None and end not in after
    return [*after, end] if lacks and end is not None else list(after)


def _unknown(tokenizer: Tokenizer, ids: Ragged) -> list[str]:
    unknown = tokenizer.id_of("unk")
    if unknown is None:
        return []
    count = int((ids.flat == unknown).sum())
    text = tokenizer.specials["unk"]
    return [f"{count:,} of {len(ids.flat):,} tokens are unknown (`{text}`)."] if count else []
