"""The text of a drafted configuration: short lines, each guess with its reason."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftune.commands.drafts.reading import Reading
from ftune.commands.drafts.roles import Roles
from ftune.commands.drafts.scaling import BOUNDS, Scaling, logged
from ftune.commands.drafts.sizes import Sizes
from ftune.data.frame import Array, Frame
from ftune.data.profile.leaks import Leak
from ftune.data.transforms.robust import FAR

WIDTH, COMMENT = 80, 30
PLAIN = re.compile(r"^[A-Za-z_][\w./-]*$")
NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
CHOOSE = "TO CHOOSE"
BUSY = 200
"""With more categories than this in all, each needs more rows of its own."""


@dataclass(frozen=True)
class Draft:
    """Everything that was guessed of a file.

    source, path: of `data`. trend: whether the year helps to predict later rows.
    """

    title: str
    source: str
    path: str
    reading: Reading
    roles: Roles
    sizes: Sizes
    scaling: Scaling
    leaks: list[Leak]
    trend: bool

    def text(self) -> str:
        """Return the configuration as YAML with comments."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        roles, sizes, frame = self.roles, self.sizes, self.reading.frame
        yield from (f"# {line}" for line in textwrap.wrap(self.title, WIDTH - 2))
        tagged = f"{{name: {roles.task.value}, multi_label: true}}"
        yield from _line(f"task: {tagged if roles.separator else roles.task.value}", roles.task.why)
        yield "data:"
        yield f"  source: {self.source}"
        yield f"  path: {quoted(self.path)}"
        yield from self._settings()
        yield from _line(f"  target: {quoted(roles.target.value)}", roles.target.why)
        if roles.separator:
            yield f"  separator: {quoted(roles.separator)}"
        else:
            yield from self._gaps()
        yield from self._split()
        yield "  transforms:"
        yield from self._transforms(frame)
        if not roles.classes:
            yield from target_transforms(frame[roles.target.value], self.scaling.plain)
        yield from self._model()
        rate = f"{{name: adamw, lr: {sizes.lr:g}, weight_decay: {sizes.weight_decay:g}}}"
        yield f"optimizer: {rate}"
        yield "schedule: {name: cosine, warmup: 0.05}"
        length = f"epochs: {sizes.epochs}, batch_size: {sizes.batch_size}, ema: {sizes.ema:g}"
        yield f"train: {{{length}}}"
        if roles.classes and sizes.batch_size < 256:
            yield from _line("eval: {metric: loss}", "steadier than accuracy on few rows")

    def _settings(self) -> Iterator[str]:
        """Yield the settings of the file's format, and what the user has to choose."""
        for key, value in self.reading.settings.items():
            if key != "types":
                yield from _line(f"  {key}: {quoted(value)}", self.reading.reasons.get(key, ""))
                continue
            yield "  types:"
            yield from (f"    {quoted(name)}: {quoted(kind)}" for name, kind in value.items())
        for doubt in self.reading.doubts:
            yield from (f"  # {line}" for line in textwrap.wrap(f"{CHOOSE}: {doubt}", WIDTH - 4))

    def _gaps(self) -> Iterator[str]:
        """Yield that rows without a target are left out, where there are any."""
        name, frame = self.roles.target.value, self.reading.frame
        count = int(frame.missing(name).sum())
        if not count:
            return
        source = self.reading.source
        words = source.swallowed(frame.origin, name) if self.roles.classes else {}
        listed = f"; `missing` lists {_some([f'`{word}`' for word in words])}" if words else ""
        yield from _line(
            "  drop_missing_target: true",
            f"{counted(count, 'row')} {'has' if count == 1 else 'have'} no `{name}`{listed}",
        )

    def _split(self) -> Iterator[str]:
        for key, guess in (("group", self.roles.group), ("time", self.roles.time)):
            if guess is not None:
                split = f"  split: {{val: 0.1, test: 0.2, {key}: {quoted(guess.value)}}}"
                yield from _line(split, guess.why)
                return
        yield "  split: {val: 0.1, test: 0.2}"

    def _transforms(self, frame: Frame) -> Iterator[str]:
        """Yield the transforms that this table needs; the first drop columns."""
        roles, rows = self.roles, len(frame)
        for name, why in roles.drop.items():
            yield from _line(f"    - drop: [{quoted(name)}]", why)
        for leak in self.leaks:
            yield from _line(f"    # - drop: [{quoted(leak.column)}]", f"alone gives"
                             f" `{leak.target}`: is it known when you predict?")  # fmt: skip
        yield from _line("    - drop_constant", "what never varies in the training rows")
        dates, texts = roles.inputs("date"), roles.inputs("text")
        numbers = roles.inputs("number")
        if dates:
            timeless = self.roles.time is not None and not self.trend
            yield from (
                _line("    - date: {parts: [month, day, weekday]}",
                      "no year: in a look at later rows it was no help")
                if timeless
                else _line("    - date", ", ".join(dates[:3]))
            )  # fmt: skip
        if any(column.gaps for column in roles.columns):
            gaps = [column.name for column in roles.columns if column.gaps]
            yield from _line("    - impute", f"gaps in {_some(gaps)}")
        if numbers or dates:
            yield from self._scaled(rows)
        if texts:
            many = sum(column.distinct or 0 for column in roles.columns if column.holds == "text")
            least = 20 if many > BUSY or rows > 20_000 else 2
            least = least if rows > 2_000 else 2
            yield from _line(f"    - one_hot: {{min_count: {least}}}", _some(texts))
        arrays = [c.name for c in roles.columns if c.holds.startswith("array")]
        if arrays:
            yield "    - standardize" if not numbers else "    # arrays as they are"
            yield from _line("    - flatten", _some(arrays))

    def _scaled(self, rows: int) -> Iterator[str]:
        if self.sizes.depth and rows >= 2_000:
            yield from _line("    - quantile", "numbers by their ranks: long tails do no harm")
        else:
            yield from _robust(self.scaling)

    def _model(self) -> Iterator[str]:
        sizes = self.sizes
        if not sizes.depth:
            yield from _line("model: {name: mlp, depth: 0}", f"a linear model; {sizes.why}")
            return
        drop = f", dropout: {sizes.dropout:g}" if sizes.dropout else ""
        model = f"model: {{name: mlp, width: {sizes.width}, depth: {sizes.depth}{drop}}}"
        yield from _line(model, sizes.why)


def _robust(scaling: Scaling) -> Iterator[str]:
    """Yield the scaling of numbers by their quartiles, and what happens to outliers."""
    beyond, usual = f"{FAR * scaling.bound:g} deviations", f"{FAR * BOUNDS[0]:g}"
    if scaling.bound == BOUNDS[0]:
        yield from _line("    - robust", f"draws in values beyond {beyond} (outliers)")
        return
    yield from _line(
        f"    - robust: {{bound: {scaling.bound:g}}}",
        f"draws in values beyond {beyond} only: by the quick look, a line goes through those beyond"
        f" {usual} (the default) too ({_some([*scaling.far])})",
    )


def target_transforms(column: Array, plain: bool = False) -> Iterator[str]:
    """Yield the transforms of a numeric target; plain: without a logarithm."""
    known = column[~np.isnan(column)]
    low, high = float(known.min()), float(known.max())
    yield from _line("  target_transforms:", "undone in predictions and metrics")
    if logged(known) and not plain:
        yield from _line("    - log", f"from {low:,.6g} to {high:,.6g}: orders of magnitude")
    yield "    - standardize"


def _line(text: str, why: str) -> Iterator[str]:
    """Yield a setting with its reason behind it, or above it where the line would be too long."""
    if not why:
        yield text
        return
    lead = max(len(text) + 2, COMMENT)
    if lead + 2 + len(why) <= WIDTH:
        yield f"{text:<{lead - 1}} # {why}"
        return
    indent = len(text) - len(text.lstrip())
    for line in textwrap.wrap(why, WIDTH - indent - 2):
        yield f"{' ' * indent}# {line}"
    yield text


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 row`, `2 rows`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" … ({len(names):,} in all)" if len(names) > 3 else "")


def quoted(value: Any) -> str:
    """Return a value as YAML that reads back the same."""
    if isinstance(value, str) and PLAIN.match(value) and value.lower() not in NOT_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)
