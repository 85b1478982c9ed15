"""Learned vectors for categories and for tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.models.init import Init, initialise
from ftune.models.shapes import Axes, Axis, Inputs, MisfitError, Part, misfit


@dataclass(frozen=True)
class Embedding:
    """A learned vector per code (Guo and Berkhahn 2016).

    On a table, each ordinal column is replaced by its vector; the other columns come first. On
    texts and other sequences of codes, [time] becomes [time, size].
    """

    size: int | Literal["auto"] = setting("auto", at_least=1, at_most=100_000, words=("auto",))
    """Width of a vector; `auto` is fastai's 1.6·n^0.56 for n codes, at most 50."""
    columns: list[str] | None = setting(None)
    """The columns to embed; null is every ordinal column."""
    vocabulary: int | None = setting(None, at_least=1, at_most=10_000_000)
    """For sequences: number of codes; null is that of the tokenizer."""
    positions: Literal["none", "learned", "sinusoidal"] = setting("none")
    """For sequences: whether a vector for the place in the text is added, learned or of sines."""
    init: Init = setting("default")
    """How the vectors start; `default` is the standard normal distribution."""
    as_: str | None = setting(None)
    """Name of the layer in the checkpoint and in rules."""

    def __post_init__(self) -> None:
        if self.columns is not None and self.vocabulary is not None:
            raise SettingError(
                "vocabulary", "is for sequences, `columns` for tables; leave one out"
            )
        if self.columns is not None and len(set(self.columns)) != len(self.columns or [0]):
            raise SettingError("columns", "is empty or lists a column twice")

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        vocabulary = self.vocabulary or inputs.vocabulary
        return self._tokens(inputs, vocabulary) if vocabulary else self._columns(inputs)

    def _tokens(self, inputs: Inputs, vocabulary: int) -> Part:
        from ftune.models.tokens import TokenEmbedding

        if len(inputs.shape) != 1 or 0 in inputs.shape or inputs.time or inputs.categories:
            raise misfit("[time], a sequence of codes", inputs, "leave `vocabulary` out on a table")
        if vocabulary < inputs.vocabulary:
            fault = f"the tokenizer has {inputs.vocabulary:,} ids; leave `vocabulary` out"
            raise MisfitError(f"has room for {vocabulary:,}, {fault}")
        size = self._width(vocabulary)
        module = TokenEmbedding(vocabulary, size, inputs.shape[0], self.positions)
        initialise(module, self.init)
        if self.positions == "learned":
            initialise(module.positions, self.init)
        # A tokenizer's ids are no names: another tokenizer gives them other meanings.
        axes = {} if inputs.vocabulary else {"weight": _codes(vocabulary)}
        return Part(module, inputs.over_time(size), axes)

    def _columns(self, inputs: Inputs) -> Part:
        if self.positions != "none":
            raise MisfitError("`positions` are for sequences; leave them out on a table")
        from torch import nn

        from ftune.models.modules import ColumnEmbedding

        chosen = self._chosen(inputs)
        assert inputs.names is not None
        widths = {column: self._width(inputs.categories[column]) for column in chosen}
        keys = table_keys(chosen)
        tables = nn.ModuleDict()
        axes: Axes = {}
        for column, key in zip(chosen, keys, strict=True):
            tables[key] = nn.Embedding(inputs.categories[column], widths[column])
            initialise(tables[key], self.init)
            known = inputs.codes.get(column)
            axes[f"tables.{key}.weight"] = _codes(inputs.categories[column], known)
        others = [name for name in inputs.names if name not in widths]
        index = inputs.names.index
        module = ColumnEmbedding([index(n) for n in others], [index(n) for n in chosen], tables)
        return Part(module, _after(inputs, others, widths), axes)

    def _chosen(self, inputs: Inputs) -> list[str]:
        """The columns to embed, in the order of the table."""
        known = list(inputs.categories)
        if not known:
            raise MisfitError(
                "finds no ordinal column; add `ordinal` to data.transforms, or give `vocabulary` "
                "where the inputs are sequences of codes"
            )
        wrong = [column for column in self.columns or () if column not in known]
        if wrong:
            raise MisfitError(f"`{wrong[0]}` is not an ordinal column; they are {', '.join(known)}")
        wanted = known if self.columns is None else self.columns
        return [name for name in inputs.names or () if name in wanted]

    def _width(self, codes: int) -> int:
        return min(50, round(1.6 * codes**0.56)) if self.size == "auto" else self.size


def _after(inputs: Inputs, others: list[str], widths: dict[str, int]) -> Inputs:
    names = [*others, *(f"{column}[{i}]" for column in widths for i in range(widths[column]))]
    left = {column: n for column, n in inputs.categories.items() if column in others}
    return Inputs((len(names),), tuple(names), left, inputs.codes)


def _codes(count: int, known: tuple[str, ...] | None = None) -> tuple[Axis, ...]:
    """Rows by what their codes stand for: a refitted table may number its categories anew."""
    return (Axis(0, known or tuple(str(code) for code in range(count)), "input"),)


def table_keys(columns: Sequence[str]) -> list[str]:
    """Column names as child names: no dots, no attribute of the container, all distinct."""
    from torch import nn

    box = nn.ModuleDict()
    keys: list[str] = []
    for column in columns:
        key = column.replace(".", "_")
        while not key or key in keys or hasattr(box, key):
            key += "_"
        keys.append(key)
    return keys
