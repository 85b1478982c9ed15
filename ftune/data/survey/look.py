"""One file against what the configuration asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ftune.data.asked import TEXTS, asked
from ftune.data.frame import Frame, no_column
from ftune.data.kind import TargetKind
from ftune.data.prepare import check_classes
from ftune.data.reading import no_targets, swallowed_classes, types_of
from ftune.data.sources.arrow import no_rows
from ftune.data.sources.declared import unknown_types
from ftune.data.sources.files import TableFile
from ftune.data.sources.jsonl import Jsonl, one_object
from ftune.data.splits import missing_key, single_rows, unstratified
from ftune.data.survey import columns as seen
from ftune.data.survey.blocks import File
from ftune.data.target import (
    LABELS,
    Target,
    chosen_classes,
    sorted_classes,
)
from ftune.data.target_faults import (
    missing_target,
    no_label,
    no_tags,
    texts_for_numbers,
    unknown_classes,
    unknown_tags,
)
from ftune.data.text.templates import blank_text, missing_text
from ftune.data.unlikely import constant, fractions
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Data


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
        source = self.data.source
        if self.first and isinstance(source, TableFile) and source.typed:
            file.faults += unknown_types(file.names, file.path, source)
        tallies = self._tallies(wanted)
        for block in file.blocks():
            file.rows += len(block.rows)
            for (_, name), tally in tallies.items():
                if name in block.columns:
                    tally.see(block.columns[name], block.rows)
                elif isinstance(tally, seen.Gaps):  # a line of JSON need not have every key
                    tally.missing.add(block.rows)
        if self.first and not file.misread:
            file.faults += [
                no_column(file.path, setting, name, file.names)
                for setting, names in wanted.items()
                for name in names
                if name not in file.names
            ]
        if file.rows == 1 and self.data.kind == "table" and isinstance(self.data.source, Jsonl):
            file.faults += filter(None, [one_object(file.path)])
        if not file.rows and not file.faults:
            file.faults.append(no_rows(file.names, file.path))
        if file.misread:
            return
        for (setting, name), tally in tallies.items():
            if setting != "data.target" or not _are_tags(tallies.get(("labels", name))):
                file.faults += self._said(setting, name, tally)

    def _tallies(self, wanted: dict[str, list[str]]) -> dict[tuple[str, str], Any]:
        found: dict[tuple[str, str], Any] = {}
        for setting, names in wanted.items():
            if setting != "data.transforms" and not (
                setting == "data.target" and (self.kind == "tags" or self.data.separator)
            ):
                found |= {(setting, name): seen.Gaps() for name in names}
        source = self.data.source
        if isinstance(source, TableFile) and (self.file.mixing or self.data.kind == "table"):
            path = self.file.path
            found |= {("types", name): seen.Declared(name, source, path) for name in source.types}
            declared = {*source.types, *types_of(self.data, self.kind, None)}
            rest = (name for name in self.file.names if name not in declared)
            found |= {("", name): seen.Written(source) for name in rest}
        elif self.kind == "numbers":
            found |= {("", name): seen.NoNumbers() for name in self.data.targets}
        if self.kind == "classes":
            again = self.known and not self.data.classes
            found["classes", self.data.targets[0]] = (
                seen.Unknown(self.known) if again else seen.Classes()
            )
        if self.kind == "labels" and not self.data.separator:
            found |= {("labels", name): seen.NoLabels(tuple(LABELS)) for name in self.data.targets}
        if self.data.separator:
            known = seen.Unknown(self.known) if self.known else seen.Classes()
            found["tags", self.data.targets[0]] = seen.Tags(self.data.separator, known)
        if self.kind == "numbers":
            found |= {("numbers", name): seen.Classes() for name in self.data.targets}
        if self.data.split.group and self.data.split.group not in self.data.targets:
            found["groups", self.data.split.group] = seen.Classes()
        if self.data.kind == "images":
            from ftune.data.images.decode import base_of

            base = base_of(self.file.path)
            table = base != Path(self.file.path)
            found["pictures", self.data.picture] = seen.Pictures(base, table)
        there = set(self.file.names)
        return {key: tally for key, tally in found.items() if key[1] in there}

    def _said(self, setting: str, name: str, tally: Any) -> list[str]:
        """What a tally has found, in words."""
        path = self.file.path
        if isinstance(tally, seen.Gaps):
            return self._gaps(setting, name, tally)
        if isinstance(tally, seen.Declared):
            return [fault] if (fault := tally.fault(path)) else []
        if isinstance(tally, seen.Written | seen.NoNumbers):
            return self._written(name, tally)
        if isinstance(tally, seen.NoLabels):
            odd, texts = tally.odd, list(tally.texts)
            return [no_label(path, name, texts, odd.said)] if odd else []
        if isinstance(tally, seen.Unknown):
            odd, texts = tally.odd, list(tally.texts)
            return [unknown_classes(path, name, texts, odd.said, self.known)] if odd else []
        if isinstance(tally, seen.Tags):
            return self._tags(name, tally.each)
        if isinstance(tally, seen.Classes) and setting == "groups":
            self.groups = frozenset(tally.rows)
            return []
        if isinstance(tally, seen.Classes) and setting == "numbers":
            rows = tally.rows
            said = constant(path, name, rows, sum(rows.values())) if self.first else ""
            return [said] if said else []
        if isinstance(tally, seen.Classes):
            return self._classes(name, tally.rows) if self.first else []
        from ftune.data.images.decode import unusable

        shown = "; ".join(tally.shown)
        return [unusable(path, tally.count, tally.total, shown)] if tally.count else []

    def _gaps(self, setting: str, name: str, gaps: seen.Gaps) -> list[str]:
        path, where, key = self.file.path, gaps.missing.said if gaps.missing else "", ""
        if where and setting == "data.target":
            key = self._no_target(name, gaps.missing.count, where)
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

    def _no_target(self, name: str, count: int, where: str) -> str:
        if not self.data.drop_missing_target:
            more = swallowed_classes(self.file.path, self.data) if self.kind == "classes" else ""
            return missing_target(self.file.path, name, where) + more
        return no_targets(self.file.path) if count == self.file.rows else ""

    def _written(self, name: str, found: seen.Written | seen.NoNumbers) -> list[str]:
        fault = found.fault(self.file.path, name) if isinstance(found, seen.Written) else ""
        if not fault and found.odd and self.kind == "numbers" and name in self.data.targets:
            fault = texts_for_numbers(self.file.path, name, found.odd)
        return [fault] if fault else []

    def _tags(self, name: str, found: seen.Classes | seen.Unknown) -> list[str]:
        path = self.file.path
        if isinstance(found, seen.Classes):
            self.classes = sorted_classes(np.array(list(found.rows), dtype=object))
            return [] if self.classes else [no_tags(path, name)]
        odd = found.odd
        known = sorted_classes(np.array(self.known, dtype=object))
        return [unknown_tags(path, name, list(found.texts), odd.said, known)] if odd else []

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
        if not data.classes:
            said = fractions(self.file.path, name, rows, sum(rows.values()), data.source)
            faults += [said] if said else []
        few = [f"`{one}`" for one in chosen if rows.get(one) == 1]
        if few and data.split.stratify and self.divided:
            faults.append(unstratified(self.file.path, single_rows(few)))
        return faults


def _are_tags(labels: seen.NoLabels | None) -> bool:
    """Whether a target holds tags, as it seems; then a gap is a row without one."""
    return labels is not None and bool(labels.odd)
