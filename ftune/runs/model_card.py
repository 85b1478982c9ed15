"""What a model needs beside its weights to be used again, as ftune stored it with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftune.adapt.edits import Edit, read_edits
from ftune.models.shapes import Axis
from ftune.record import Record


@dataclass(frozen=True)
class ModelCard:
    """The metadata about a model; empty of a file that ftune did not write.

    config: of its training. pipeline: the fitted transforms, for `data.pipeline.restore`. axes: the
    named axes of its tensors. model: its structure, for the `restore` of its schema. edits: what
    made it of the bare model. fresh: the head that started from random weights, "" for none; None
    where that is not known. class_counts: training rows of each class. code: what it was loaded
    with, for `extend.needing`.
    """

    config: Mapping[str, Any] | None = None
    pipeline: Mapping[str, Any] | None = None
    axes: Mapping[str, tuple[Axis, ...]] = field(default_factory=dict)
    model: Mapping[str, Any] | None = None
    edits: tuple[Edit, ...] = ()
    fresh: str | None = None
    class_counts: tuple[int, ...] = ()
    code: Any = None

    @classmethod
    def parse(cls, value: object, file: Path | str) -> ModelCard:
        """Return the card in a file's metadata; version 0.1 knew no `code`.

        Raises CheckpointError, which names the file, the key and what was expected.
        """
        card = Record.parse(value, file)
        return cls(
            config=card.object("config", None),
            pipeline=card.object("pipeline", None),
            axes=_axes(card),
            model=card.object("model", None),
            edits=read_edits(card.values),
            fresh=card.text("fresh", None),
            class_counts=card.numbers("class_counts", ()),
            code=card.values.get("code"),
        )


def _axes(card: Record) -> dict[str, tuple[Axis, ...]]:
    axes = Record(card.object("axes", {}), card.file, "axes")
    return {name: tuple(map(_axis, axes.records(name))) for name in axes.values}


def _axis(stored: Record) -> Axis:
    role = stored.text("role")
    if role not in ("input", "output"):
        stored.refuse("role", "input or output")
    return Axis(stored.count("dim"), stored.texts("names"), role)
