"""What messages say of targets that cannot be used; shared by loading and `check --data`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftune.data.frame import listed


def unknown_classes(
    origin: str, name: str, labels: Sequence[str], where: str, known: Sequence[str]
) -> str:
    """What is said of classes that the training rows do not tell."""
    examples = ", ".join(f"`{label}`" for label in list(dict.fromkeys(labels))[:5])
    return (
        f"{origin}: target `{name}`: unknown class {examples} in {where}; known: {listed(known)}."
        " Keep only known ones with `classes`, or train on rows that have it"
    )


def unknown_tags(
    origin: str, name: str, tags: Sequence[str], where: str, known: Sequence[str]
) -> str:
    """What is said of tags that the first file does not have."""
    odd = listed(list(dict.fromkeys(tags))[:5])
    return (
        f"{origin}: target `{name}`: unknown tag {odd} in {where}; known: {listed(known)}; correct"
        " it, or train on rows that have it"
    )


def no_tags(origin: str, name: str) -> str:
    return f"{origin}: target `{name}`: no row has a tag"


def missing_target(origin: str, name: str, where: str) -> str:
    return (
        f"{origin}: the target `{name}` is missing in {where}; fill or delete these rows, or leave"
        " them out by `data.drop_missing_target: true`"
    )


def texts_for_numbers(origin: str, name: str, texts: Sequence[Any]) -> str:
    odd = ", ".join(f"{v!r}" for v in list(dict.fromkeys(texts))[:5])
    return (
        f"{origin}: the target `{name}` holds texts ({odd}), not numbers; for classes use"
        " `task: classification`"
    )


def no_label(origin: str, name: str, texts: Sequence[str], where: str) -> str:
    """What is said of labels that are neither 0 nor 1."""
    odd = ", ".join(f"`{v}`" for v in list(dict.fromkeys(texts))[:5])
    return (
        f"{origin}: the label `{name}` is {odd} in {where}; expected 0 or 1 (several tags in one"
        " column: `data.separator`)"
    )
