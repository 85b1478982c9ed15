"""One file against what the configuration asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ftune.data.frame import Frame, no_column
from ftune.data.prepare import check_classes
from ftune.data.sources.arrow import no_rows
from ftune.data.sources.csv import REMEDY
from ftune.data.sources.csv_faults import misfit
from ftune.data.splits import missing_key, single_rows, unstratified
from ftune.data.survey import columns as seen
from ftune.data.survey.blocks import File
from ftune.data.target import (
    Target,
    TargetKind,
    chosen_classes,
    missing_target,
    sorted_classes,
    texts_for_numbers,
    unknown_classes,
)
from ftune.data.text.templates import Template, blank_text, missing_text
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Data

TEXTS = ("text", "prompt", "response")


def asked(data: Data) -> dict[str, list[str]]:
    """The columns that each setting names."""
    found = {"data.target": list(data.targets)}
    for name in ("group", "time"):
        column = getattr(data.split, name)
        found[f"data.split.{name}"] = [column] if column else []
    for name in TEXTS:
        text = getattr(data, name)
        found[f"data.{name}"] = Template(text, f"data.{name}").required if text else []
    found["data.messages"] = [data.messages.column] if data.messages else []
    found["data.image"] = [data.image] if data.image else []
    if data.kind == "table":
        found["data.transforms"] = _of_transforms(data)
    return found


def _of_transforms(data: Data) -> list[str]:
    """Those of transforms that still see the columns of the file under their own names."""
    found: list[str] = []
    for step in data.steps:
        if hasattr(step, "names"):
            return [*found, *step.names]
        found += getattr(step, "columns", None) or []
    return found


@dataclass
class Look:
    """divided: the file is the one that `data.split` divides. known: the classes of the first file.

    classes, groups: what a look at this one has found: class names in order, and the values of
    `data.split.group`.
    """

    file: File
    data: Data
    kind: TargetKind
    first: bool
    divided: bool
    known: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    groups: frozenset[str] = frozenset()

    def run(self) -> None:
        """Goes once over the file; what is wrong is added to its faults."""
        file = self.file
        wanted = asked(self.data)
        if self.first:
            file.faults += [
                no_column(file.path, setting, name, file.names)
                for setting, names in wanted.items()
                for name in names
                if name not in file.names
            ]
        tallies = self._tallies(wanted)
        for block in file.blocks():
            file.rows += len(block.rows)
            for (_, name), tally in tallies.items():
                if name in block.columns:
                    tally.see(block.columns[name], block.rows)
                elif isinstance(tally, seen.Gaps):  # a line of JSON need not have every key
                    tally.missing.add(block.rows)
        if not file.rows and not file.faults:
            file.faults.append(no_rows(file.names, file.path))
        for (setting, name), tally in tallies.items():
            file.faults += self._said(setting, name, tally)

    def _tallies(self, wanted: dict[str, list[str]]) -> dict[tuple[str, str], Any]:
        found: dict[tuple[str, str], Any] = {}
        for setting, names in wanted.items():
            if setting != "data.transforms" and not (
                setting == "data.target" and self.kind == "tags"
            ):
                found |= {(setting, name): seen.Gaps() for name in names}
        types = getattr(self.data.source, "types", {})
        found |= {("types", name): seen.Declared(kind) for name, kind in types.items()}
        numeric = self.file.names if self.file.mixing else ()
        numbers = self.data.targets if self.kind == "numbers" else ()
        found |= {("", n): seen.Numeric() for n in [*numeric, *numbers] if n not in types}
        if self.kind == "classes":
            known = self.known and not self.data.classes
            found["classes", self.data.targets[0]] = (
                seen.Unknown(frozenset(self.known)) if known else seen.Classes()
            )
        if self.data.split.group and self.data.split.group not in self.data.targets:
            found["groups", self.data.split.group] = seen.Classes()
        if self.data.kind == "images":
            from ftune.data.images.decode import base_of

            base = base_of(self.file.path)
            table = base != Path(self.file.path)
            found["pictures", self.data.image or "image"] = seen.Pictures(base, table)
        return {key: tally for key, tally in found.items() if key[1] in self.file.names}

    def _said(self, setting: str, name: str, tally: Any) -> list[str]:
        """What a tally has found, in words."""
        path = self.file.path
        if isinstance(tally, seen.Gaps):
            return self._gaps(setting, name, tally)
        if isinstance(tally, seen.Declared):
            odd = tally.odd
            return [misfit(path, name, odd.values[0], odd.said)] if odd else []
        if isinstance(tally, seen.Numeric):
            return self._numeric(name, tally)
        if isinstance(tally, seen.Unknown):
            odd, texts = tally.odd, list(tally.texts)
            return [unknown_classes(path, name, texts, odd.said, self.known)] if odd else []
        if isinstance(tally, seen.Classes) and setting == "groups":
            self.groups = frozenset(tally.rows)
            return []
        if isinstance(tally, seen.Classes):
            return self._classes(name, tally.rows) if self.first else []
        from ftune.data.images.decode import unusable

        shown = "; ".join(tally.shown)
        return [unusable(path, tally.count, tally.total, shown)] if tally.count else []

    def _gaps(self, setting: str, name: str, gaps: seen.Gaps) -> list[str]:
        path, where, key = self.file.path, gaps.missing.said if gaps.missing else "", ""
        if where and setting == "data.target":
            key = missing_target(path, name, where)
        elif where and setting.startswith("data.split."):
            key = missing_key(path, name, setting.rpartition(".")[2], where)
        elif where and setting == "data.image":
            from ftune.data.images.decode import missing_path

            key = missing_path(path, name, where)
        elif where:
            key = missing_text(path, setting, name, where)
        alone = getattr(self.data, setting.rpartition(".")[2], "") in (name, f"{{{name}}}")
        texts = setting.removeprefix("data.") in TEXTS and alone
        blank = [blank_text(path, setting, gaps.blank.said)] if gaps.blank and texts else []
        return ([key] if key else []) + blank

    def _numeric(self, name: str, found: seen.Numeric) -> list[str]:
        fault = found.fault(self.file.path, name, REMEDY) if self.file.mixing else ""
        if not fault and found.odd and self.kind == "numbers" and name in self.data.targets:
            fault = texts_for_numbers(self.file.path, name, found.odd.values)
        return [fault] if fault else []

    def _classes(self, name: str, rows: dict[str, int]) -> list[str]:
        """Too few of them, or too few rows of one."""
        if not rows:
            return []
        labels = np.array(list(rows), dtype=object)
        frame = Frame({name: labels}, self.file.path, np.arange(1, len(rows) + 1))
        faults, chosen, data = [], sorted_classes(labels), self.data
        try:
            chosen = chosen_classes(frame, name, data.classes) if data.classes else chosen
            self.classes = chosen
            check_classes(frame, Target((name,), "classes"), chosen, None)
        except DataError as error:
            faults.append(str(error))
        few = [f"`{one}`" for one in chosen if rows.get(one) == 1]
        if few and data.split.stratify and self.divided:
            faults.append(unstratified(self.file.path, single_rows(few)))
        return faults
