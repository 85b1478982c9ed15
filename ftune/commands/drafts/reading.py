"""Reading a file of data with the settings that it needs, found by trying them."""

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
"""Most different words among the numbers of a column that are taken for missing values."""


@dataclass(frozen=True)
class Reading:
    """A file as it was read.

    source: with the settings that alone fit. doubts: sentences about the columns that several
    settings fit, of which the frame has the first. reasons: why a setting is not another.
    """

    source: Any
    frame: Frame
    doubts: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings that differ from the defaults."""
        usual = type(self.source)(self.source.path)
        every = {f.name: getattr(self.source, f.name) for f in fields(self.source)}
        return {name: value for name, value in every.items() if value != getattr(usual, name)}


def read(name: str, path: str) -> Reading:
    """Read a file by the source `name`. Raises DataError where no settings make it readable."""
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
    """Return the delimiter and the lines above the header, where they are not the defaults."""
    existing(path)
    with readable(path, "CSV"):
        dialect = source.dialect(path)
        single = len(form_of(dialect).names) == 1
        return (layout(dialect, ragged=False) if single else {}) or layout(dialect, ragged=True)


def _settled(path: str, source: Any, reasons: dict[str, str]) -> tuple[Any, dict[str, list[Way]]]:
    """Return the source with all settings that alone fit, and the doubts: sentence -> ways.

    A setting of the file may decide for a column that alone could be read in two ways.
    """
    while True:
        doubts, changed = dict[str, list[Way]](), source
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
                changed = _with(path, changed, changes)
        if changed == source:
            return source, doubts
        source = changed


def _agreeing(fitting: list[Way], source: Any) -> list[Way]:
    """Return the ways that agree with the settings of other columns; all of them, if none does."""

    def agrees(name: str, value: Any) -> bool:
        return name == "types" or getattr(source, name) in (None, value)

    agreeing = [way for way in fitting if all(agrees(*pair) for pair in way.settings.items())]
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
    """Return the settings of the one way, and the words among its numbers that mean a gap."""
    usual = notation_of(source)
    if not fitting and not NEARLY_ALL <= share(texts.values, texts.counts, usual) < 1:
        return {}
    values = fitting[0].values if fitting else usual.numbers(texts.values)
    odd = pc.filter(texts.values, pc.is_null(values)).to_pylist()
    words = len(odd) <= MOST_GAPS and not any(c.isdigit() for text in odd for c in text)
    gaps = {"missing": odd} if odd and words and isinstance(source, Csv) else {}
    return (dict(fitting[0].settings) if fitting else {}) | gaps


def _with(path: str, source: Any, changes: Mapping[str, Any]) -> Any:
    """Return the source with settings added. Raises DataError where one needs two values."""
    merged: dict[str, Any] = {}
    for name, value in changes.items():
        present = getattr(source, name)
        if name == "types":
            value = {**present, **value}
        elif name == "missing":
            value = [*present, *(text for text in value if text not in present)]
        elif present not in (None, value):
            raise DataError(
                f"{path}: some columns need {spelled({name: present})}, others"
                f" {spelled({name: value})}; write the numbers of the file in one way"
            )
        merged[name] = value
    return replace(source, **merged)
