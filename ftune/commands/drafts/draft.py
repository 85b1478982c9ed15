"""`ftune init --data`: a configuration for one file that runs as it is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ftune.commands.drafts.dialogues import dialogues
from ftune.commands.drafts.reading import read
from ftune.commands.drafts.roles import Roles, roles_of
from ftune.commands.drafts.scaling import Scaling, scaling
from ftune.commands.drafts.sizes import sizes_of
from ftune.commands.drafts.worth import trend, worth
from ftune.commands.drafts.write import Draft, counted
from ftune.data.new_rows import source_for
from ftune.data.profile.leaks import Leak, leaks
from ftune.errors import RequestError

TABLES = ("csv", "parquet", "jsonl", "npz")


def draft(file: Path, target: str | None, out: Path) -> str:
    """Return the text of a configuration at `out`. Raises FtuneError where the file is no table."""
    name = _source(file)
    reading = read(name, str(file))
    frame = reading.frame
    path = os.path.relpath(file.absolute(), out.absolute().parent)
    if target is None and (text := dialogues(frame, name, path, file.name)):
        return text
    roles = roles_of(frame, target)
    inputs = [column.name for column in roles.columns]
    plain = [n for n in inputs if frame.kind(n) != "array"]
    leaking = [] if roles.separator else leaks(frame, plain, roles.target.value, roles.classes)
    scores = worth(frame.without([leak.column for leak in leaking]), _without(roles, leaking))
    scaled = scaling(frame, roles)
    if scores is not None and scaled.score is not None and not leaking:
        rescaled = replace(scores, linear=scaled.score)
        scores = rescaled if rescaled.straight else scores
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
        sizes_of(trained, scores, roles.classes),
        scaled if scores is not None and scores.straight else Scaling(),
        leaking,
        trend(frame, roles),
    ).text()


def _without(roles: Roles, leaking: list[Leak]) -> Roles:
    names = {leak.column for leak in leaking}
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
