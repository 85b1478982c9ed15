"""Files as people have them: read with the settings without which they would be refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pyarrow.compute as pc

from ftune.data import SOURCES
from ftune.data.frame import Frame
from ftune.data.sources.arrow import existing, readable
from ftune.data.sources.csv import Csv
from ftune.data.sources.csv_form import form_of, layout
from ftune.data.sources.distinct import Texts, distinct, is_text
from ftune.data.sources.files import TableFile
from ftune.data.sources.notation import notation_of, share, spelled
from ftune.data.sources.written import NEARLY_ALL, Way, other_notation, ways
from ftune.errors import DataError

MOST_GAPS = 3
"""So many different words among numbers may stand for gaps."""


@dataclass(frozen=True)
class Reading:
    """source: with the settings that alone fit. doubts: what is said of columns of which several
    do; the frame has the first of them. reasons: for a setting that could have been another."""

    source: Any
    frame: Frame
    doubts: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What is not as it is without being written."""
        usual = type(self.source)(self.source.path)
        every = {f.name: getattr(self.source, f.name) for f in fields(self.source)}
        return {name: value for name, value in every.items() if value != getattr(usual, name)}


def read(name: str, path: str) -> Reading:
    """A file by the source of that name. Raises DataError where no settings make it readable."""
    source: Any = SOURCES[name](path)
    if not isinstance(source, TableFile):
        return Reading(source, source.read(path))
    source = replace(source, **_layout(path, source)) if isinstance(source, Csv) else source
    reasons: dict[str, str] = {}
    source, open_columns = _settled(path, source, reasons)
    doubts = tuple(open_columns)
    chosen = source
    while open_columns:
        fitting = next(iter(open_columns.values()))
        chosen, open_columns = _settled(path, _with(path, chosen, fitting[0].settings), {})
    return Reading(source, chosen.read(path), doubts, reasons)


def _layout(path: str, source: Csv) -> dict[str, Any]:
    """The delimiter, and the lines above the header, where they are not the usual."""
    existing(path)
    with readable(path, "CSV"):
        dialect = source.dialect(path)
        single = len(form_of(dialect).names) == 1
        return (layout(dialect, ragged=False) if single else {}) or layout(dialect, ragged=True)


def _settled(path: str, source: Any, reasons: dict[str, str]) -> tuple[Any, dict[str, list[Way]]]:
    """With all settings that alone fit; and by what is said of it, the ways of each other column.

    A setting of the file may decide for a column that alone could be read in two ways.
    """
    while True:
        doubts, before = dict[str, list[Way]](), source
        for name, texts in _undeclared(path, source):
            every = ways(name, texts, source)
            fitting = _agreeing(every, source)
            if len(every) > len(fitting) == 1:
                reasons.update(
                    dict.fromkeys(fitting[0].settings, _as_the_rest(name, texts, fitting[0]))
                )
            if len(fitting) > 1:
                doubts[other_notation(name, texts, fitting)] = fitting
            elif changes := _changes(source, texts, fitting):
                before = _with(path, before, changes)
        if before == source:
            return source, doubts
        source = before


def _agreeing(fitting: list[Way], source: Any) -> list[Way]:
    """Of several ways those that leave what other columns need; all, where none does."""

    def kept(name: str, value: Any) -> bool:
        return name == "types" or getattr(source, name) in (None, value)

    agreeing = [way for way in fitting if all(kept(*pair) for pair in way.settings.items())]
    return agreeing or fitting


def _as_the_rest(name: str, texts: Texts, way: Way) -> str:
    row = pc.index(pc.is_valid(way.values), True).as_py()
    text, value = texts.values[row].as_py(), way.values[row].as_py()
    return f"`{name}`: {text} is {value:.15g}, as other columns need"


def _undeclared(path: str, source: Any) -> Iterator[tuple[str, Texts]]:
    table = source.as_set(path)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if is_text(column.type) and name not in source.types:
            yield name, distinct(column)


def _changes(source: Any, texts: Texts, fitting: list[Way]) -> dict[str, Any]:
    """The settings of the one way, and the words that stand for gaps among what it reads."""
    usual = notation_of(source)
    if not fitting and not NEARLY_ALL <= share(texts.values, texts.counts, usual) < 1:
        return {}
    values = fitting[0].values if fitting else usual.numbers(texts.values)
    odd = pc.filter(texts.values, pc.is_null(values)).to_pylist()
    words = len(odd) <= MOST_GAPS and not any(c.isdigit() for text in odd for c in text)
    gaps = {"missing": odd} if odd and words and isinstance(source, Csv) else {}
    return (dict(fitting[0].settings) if fitting else {}) | gaps


def _with(path: str, source: Any, changes: Mapping[str, Any]) -> Any:
    """The source with settings added. Raises DataError where the file would need two of one."""
    merged: dict[str, Any] = {}
    for name, value in changes.items():
        own = getattr(source, name)
        if name == "types":
            value = {**own, **value}
        elif name == "missing":
            value = [*own, *(text for text in value if text not in own)]
        elif own not in (None, value):
            raise DataError(
                f"{path}: some columns need {spelled({name: own})}, others"
                f" {spelled({name: value})}; write the numbers of the file in one way"
            )
        merged[name] = value
    return replace(source, **merged)
