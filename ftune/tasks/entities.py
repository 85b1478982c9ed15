"""Entities that the tags of words mark: where each begins, where it ends, what it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Span = tuple[int, int, str]

_LETTERS = dict(zip("BIESMLUW", "BIESIESS", strict=True))
"""What a prefix says, in the letters of BIOES: BILOU has last and unit, BMEWO middle and whole. A
tag with any other prefix is outside."""


def marks_entities(tags: Sequence[str]) -> bool:
    """Whether tags are of a scheme: some begin an entity, or all but `O` belong to one."""
    begins = any(tag.startswith("B-") for tag in tags)
    inside = [_read(tag)[0] != "O" for tag in tags if tag != "O"]
    return begins or (bool(inside) and all(inside))


def spans(tags: Sequence[str], rows: Sequence[int]) -> Iterator[Span]:
    """Entities of the tags of words as (first word, word after the last, kind).

    rows: the text that each word is of; none goes on into the next. As seqeval reads BIO, BIOES
    and IO by default, after conlleval (Tjong Kim Sang 2002): every tag counts. One that cannot go
    on with what stands before it begins an entity, whatever its letter, and whatever cannot be
    gone on with ends one. (seqeval's strict mode drops such entities.)
    """
    start, before, kind, row = 0, "O", "", -1
    for position, (tag, of) in enumerate(zip([*tags, "O"], [*rows, -1], strict=True)):
        letter, name = _read(tag)
        goes_on = letter in "IE" and before in "BI" and name == kind and of == row
        if before != "O" and not goes_on:
            yield start, position, kind
        if letter != "O" and not goes_on:
            start = position
        before, kind, row = letter, name, of


def _read(tag: str) -> tuple[str, str]:
    """Letter and kind: `B-PER` is (B, PER), `B` alone (B, nothing), what is of no scheme (O, )."""
    prefix, _, kind = tag.partition("-")
    letter = _LETTERS.get(prefix)
    return (letter, kind) if letter else ("O", "")
