"""`ftune init --data`: reads the file, guesses, and writes a configuration that runs as it is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftune.commands.drafts.dialogues import dialogues
from ftune.commands.drafts.reading import read
from ftune.commands.drafts.roles import Roles, roles_of
from ftune.commands.drafts.scaling import Scaling, scaling
from ftune.commands.drafts.sizes import sizes_of
from ftune.commands.drafts.worth import trend, worth
from ftune.commands.drafts.write import Draft, counted
from ftune.data.new_rows import source_for
from ftune.data.profile.leaks import leaks
from ftune.errors import RequestError

TABLES = ("csv", "parquet", "jsonl", "npz")


def draft(file: Path, target: str | None, out: Path) -> str:
    """The text of a configuration that lies at `out`. Raises FtuneError where the file is none."""
    name = _source(file)
    reading = read(name, str(file))
    frame = reading.frame
    path = os.path.relpath(file.absolute(), out.absolute().parent)
    if target is None and (text := dialogues(frame, name, path, file.name)):
        return text
    roles = roles_of(frame, target)
    inputs = [column.name for column in roles.columns]
    plain = [n for n in inputs if frame.kind(n) != "array"]
    told = [] if roles.separator else leaks(frame, plain, roles.target.value, roles.classes)
    looked = worth(frame.without([leak.column for leak in told]), _without(roles, told))
    scaled = scaling(frame, roles)
    if looked is not None and scaled.score is not None and not told:
        better = replace(looked, linear=scaled.score)
        looked = better if better.straight else looked
    known = len(frame) if roles.separator else (~frame.missing(roles.target.value)).sum()
    trained = int(known * 0.7)
    return Draft(
        f"{file.name}: {counted(len(frame), 'row')}, {counted(len(frame.columns), 'column')}."
        " A first guess by `ftune init --data`; `ftune check --data` shows what each column"
        " became.",
        name,
        path,
        reading,
        roles,
        sizes_of(trained, looked, roles.classes),
        scaled if looked is not None and looked.straight else Scaling(),
        told,
        trend(frame, roles),
    ).text()


def _without(roles: Roles, told: list[Any]) -> Roles:
    names = {leak.column for leak in told}
    columns = tuple(c for c in roles.columns if c.name not in names)
    return replace(roles, columns=columns or roles.columns)


def _source(file: Path) -> str:
    if file.is_dir():
        raise RequestError(f"{file}: is a folder; --data drafts for tables, `ftune init images`"
                           " writes a file for folders of images")  # fmt: skip
    name = source_for(file)
    if name not in TABLES or file.suffix.lower() == ".txt":
        raise RequestError(f"{file}: --data drafts for tables (csv, parquet, jsonl, npz); `ftune"
                           " init` lists templates for texts and images")  # fmt: skip
    return name
