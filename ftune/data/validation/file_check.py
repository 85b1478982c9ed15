"""One file against what the configuration asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ftune.data.frame import Frame, no_column
from ftune.data.kind import TargetKind
from ftune.data.prepare import check_classes
from ftune.data.reading import no_targets, swallowed_classes, types_of
from ftune.data.referenced_columns import TEXTS, referenced_columns
from ftune.data.sources.arrow import no_rows
from ftune.data.sources.declared import unknown_types
from ftune.data.sources.files import TableFile
from ftune.data.sources.json_faults import one_object
from ftune.data.sources.jsonl import Jsonl
from ftune.data.splits import missing_key, single_rows, unstratified
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
from ftune.data.validation import class_checks as values
from ftune.data.validation import column_checks as columns
from ftune.data.validation.open_files import DataFile
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Data


@dataclass
class FileCheck:
    """divided: the file is the one that `data.split` divides. known: the classes of the first file.

    classes, groups: what the check of this one yields: class names in order, and the values of
    `data.split.group`.
    """

    file: DataFile
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
        referenced = referenced_columns(self.data)
        source = self.data.source
        if self.first and isinstance(source, TableFile) and source.typed:
            file.faults += unknown_types(file.names, file.path, source)
        tallies = self._tallies(referenced)
        for block in file.blocks():
            file.rows += len(block.rows)
            for (_, name), tally in tallies.items():
                if name in block.columns:
                    tally.see(block.columns[name], block.rows)
                elif isinstance(tally, columns.MissingValues):  # JSON need not have every key
                    tally.missing.add(block.rows)
        if self.first and not file.misread:
            file.faults += [
                no_column(file.path, setting, name, file.names)
                for setting, names in referenced.items()
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
                file.faults += self._faults(setting, name, tally)

    def _tallies(self, referenced: dict[str, list[str]]) -> dict[tuple[str, str], Any]:
        tallies: dict[tuple[str, str], Any] = {}
        for setting, names in referenced.items():
            if setting != "data.transforms" and not (
                setting == "data.target" and (self.kind == "tags" or self.data.separator)
            ):
                tallies |= {(setting, name): columns.MissingValues() for name in names}
        source = self.data.source
        if isinstance(source, TableFile) and (self.file.mixing or self.data.kind == "table"):
            path = self.file.path
            tallies |= {
                ("types", name): columns.Declared(name, source, path) for name in source.types
            }
            declared = {*source.types, *types_of(self.data, self.kind, None)}
            rest = (name for name in self.file.names if name not in declared)
            tallies |= {("", name): columns.Written(source) for name in rest}
        elif self.kind == "numbers":
            tallies |= {("", name): columns.NoNumbers() for name in self.data.targets}
        if self.kind == "classes":
            again = self.known and not self.data.classes
            tallies["classes", self.data.targets[0]] = (
                values.Unknown(self.known) if again else values.Classes()
            )
        if self.kind == "labels" and not self.data.separator:
            tallies |= {
                ("labels", name): values.NoLabels(tuple(LABELS)) for name in self.data.targets
            }
        if self.data.separator:
            known = values.Unknown(self.known) if self.known else values.Classes()
            tallies["tags", self.data.targets[0]] = values.Tags(self.data.separator, known)
        if self.kind == "numbers":
            tallies |= {("numbers", name): values.Classes() for name in self.data.targets}
        if self.data.split.group and self.data.split.group not in self.data.targets:
            tallies["groups", self.data.split.group] = values.Classes()
        if self.data.kind == "images":
            from ftune.data.images.decode import base_of

            base = base_of(self.file.path)
            table = base != Path(self.file.path)
            tallies["pictures", self.data.picture] = values.Pictures(base, table)
        there = set(self.file.names)
        return {key: tally for key, tally in tallies.items() if key[1] in there}

    def _faults(self, setting: str, name: str, tally: Any) -> list[str]:
        """What a tally has found, in words."""
        path = self.file.path
        if isinstance(tally, columns.MissingValues):
            return self._gaps(setting, name, tally)
        if isinstance(tally, columns.Declared):
            return [fault] if (fault := tally.fault(path)) else []
        if isinstance(tally, columns.Written | columns.NoNumbers):
            return self._written(name, tally)
        if isinstance(tally, values.NoLabels):
            odd, texts = tally.odd, list(tally.texts)
            return [no_label(path, name, texts, odd.said)] if odd else []
        if isinstance(tally, values.Unknown):
            odd, texts = tally.odd, list(tally.texts)
            return [unknown_classes(path, name, texts, odd.said, self.known)] if odd else []
        if isinstance(tally, values.Tags):
            return self._tags(name, tally.each)
        if isinstance(tally, values.Classes) and setting == "groups":
            self.groups = frozenset(tally.rows)
            return []
        if isinstance(tally, values.Classes) and setting == "numbers":
            rows = tally.rows
            said = constant(path, name, rows, sum(rows.values())) if self.first else ""
            return [said] if said else []
        if isinstance(tally, values.Classes):
            return self._classes(name, tally.rows) if self.first else []
        from ftune.data.images.decode import unusable

        shown = "; ".join(tally.shown)
        return [unusable(path, tally.count, tally.total, shown)] if tally.count else []

    def _gaps(self, setting: str, name: str, gaps: columns.MissingValues) -> list[str]:
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

    def _written(self, name: str, found: columns.Written | columns.NoNumbers) -> list[str]:
        fault = found.fault(self.file.path, name) if isinstance(found, columns.Written) else ""
        if not fault and found.odd and self.kind == "numbers" and name in self.data.targets:
            fault = texts_for_numbers(self.file.path, name, found.odd)
        return [fault] if fault else []

    def _tags(self, name: str, found: values.Classes | values.Unknown) -> list[str]:
        path = self.file.path
        if isinstance(found, values.Classes):
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
            fault = fractions(self.file.path, name, rows, sum(rows.values()), data.source)
            faults += [fault] if fault else []
        few = [f"`{label}`" for label in chosen if rows.get(label) == 1]
        if few and data.split.stratify and self.divided:
            faults.append(unstratified(self.file.path, single_rows(few)))
        return faults


def _are_tags(labels: values.NoLabels | None) -> bool:
    """Whether a target holds tags, as it seems; then a gap is a row without one."""
    return labels is not None and bool(labels.odd)
