"""Messages, tables and progress bars for the user. Knows nothing of training.

With `--json`, everything goes to stderr, so that the last line of stdout is the summary. In a
pipe there are plain lines and no bar. Secrets are redacted here, whoever prints them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from ftune.record import strict
from ftune.security.redact import redact, redact_tree

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

WIDTH = 80
PROGRESS_AFTER_SECONDS = 2.0
LINE_EVERY_SECONDS = 60.0


class Progress:
    """Shows how far a run is: a bar on a terminal, in a pipe a line each minute."""

    def __init__(self, console: Console, title: str, total: int) -> None:
        self.console, self.title, self.total = console, title, total
        self.started = self.shown = time.monotonic()
        self.first: int | None = None  # a resumed run does not begin at 0
        self._bar: Any = None
        self._task: Any = None

    def update(self, done: int, text: str = "") -> None:
        """Show `done` of `total` steps; `text` is the newest score."""
        now = time.monotonic()
        self.first = done if self.first is None else self.first
        if self.console.quiet or now - self.started < PROGRESS_AFTER_SECONDS:
            return
        if self.console.is_terminal:
            if now - self.shown > 0.1 or done >= self.total:
                self.shown = now
                self._draw(done, text)
        elif now - self.shown >= LINE_EVERY_SECONDS:
            self.shown = now
            parts = [f"{self.title}: {done:,}/{self.total:,}", text, self._left(done, now)]
            self.console.info(", ".join(part for part in parts if part))

    def _left(self, done: int, now: float) -> str:
        """Return how long the rest will take at the speed since the first update."""
        if self.first is None or done <= self.first:
            return ""
        seconds = (now - self.started) / (done - self.first) * (self.total - done)
        return f"{duration(seconds)} left"

    def of(self, done: int, total: int) -> None:
        """Show `done` of a total that is not known at first."""
        self.total = total
        self.update(done)

    def _draw(self, done: int, text: str) -> None:
        if self._bar is None:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[text]}"),
                console=self.console.rich,
                transient=True,
                auto_refresh=False,
            )
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.total, text="")
        self._bar.update(self._task, completed=done, text=text, refresh=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


class Console:
    """Prints everything that the user sees, without secrets."""

    def __init__(
        self, *, json_output: bool = False, quiet: bool = False, stdout_taken: bool = False
    ) -> None:
        """stdout_taken: what was asked for is written there, so all else goes to stderr."""
        self.json_output, self.quiet, self.stdout_taken = json_output, quiet, stdout_taken
        self._rich: RichConsole | None = None

    @property
    def stream(self) -> TextIO:
        return sys.stderr if self.json_output or self.stdout_taken else sys.stdout

    @property
    def is_terminal(self) -> bool:
        return self.stream.isatty()

    @property
    def rich(self) -> RichConsole:
        if self._rich is None:
            from rich.console import Console as RichConsole

            width = None if self.is_terminal else WIDTH
            self._rich = RichConsole(
                file=self.stream, width=width, highlight=False, soft_wrap=False
            )
        return self._rich

    def info(self, text: str = "") -> None:
        """Print a plain sentence; nothing in it is read as markup."""
        if not self.quiet:
            if self.is_terminal:
                self.rich.print(redact(text), markup=False)
            else:
                print(redact(text), file=self.stream, flush=True)

    def styled(self, pieces: Sequence[tuple[str, str]]) -> None:
        """Print pieces of a text, each with a style of rich; without styles where a secret is."""
        from rich.text import Text

        whole = "".join(text for text, _ in pieces)
        if redact(whole) != whole:
            self.info(whole)
        elif not self.quiet:
            self.rich.print(Text.assemble(*pieces))

    def note(self, text: str) -> None:
        """Print something that is worth knowing and needs no action."""
        self.info(f"note: {text}")

    def print(self, text: str) -> None:
        """Print what was asked for, also when quiet, unless the summary holds it."""
        if not self.json_output:
            print(redact(text), flush=True)  # noqa: T201

    def warn(self, text: str) -> None:
        """Print a warning on stderr, also when quiet."""
        print(f"warning: {redact(text)}", file=sys.stderr, flush=True)  # noqa: T201

    def error(self, text: str) -> None:
        print(f"error: {redact(text)}", file=sys.stderr, flush=True)  # noqa: T201

    def interrupted(self, text: str) -> None:
        """Print the last sentence of a run that a signal stopped; no error, so no prefix."""
        print(redact(text), file=sys.stderr, flush=True)  # noqa: T201

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table of at most 80 columns in a pipe; numbers stand to the right."""
        if self.quiet or not rows:
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=Text(redact(title)) if title else None,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for index, column in enumerate(columns):
            right = all(isinstance(row[index], int | float) for row in rows)
            heading = Text(redact(column))  # as text: `[red]` is a name here, no markup
            table.add_column(heading, justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(redact(cell(value))) for value in row))
        self.rich.print(table)

    def result(self, summary: Mapping[str, Any]) -> None:
        """Print the summary as one JSON line with `--json`: on stdout, unless it is taken."""
        if self.json_output:
            stream = sys.stderr if self.stdout_taken else sys.stdout
            print(
                json.dumps(strict(redact_tree(summary)), allow_nan=False), file=stream, flush=True
            )

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Progress]:
        bar = Progress(self, title, total)
        try:
            yield bar
        finally:
            bar.close()


def duration(seconds: float) -> str:
    """Return a duration in its natural unit: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def cell(value: object) -> str:
    """Return a table cell: four significant digits, thousands separated, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
