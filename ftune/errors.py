"""Everything ftune says when it stops, as one family.

FtuneError
├── RequestError            exit 2   the request is wrong; nothing was changed
│   ├── ConfigError                  one or more Problems in a configuration
│   ├── DataError                    a table, a split or a target that cannot be used
│   │   └── AbsentDataError          a file or folder of data that is not where it should be
│   ├── CheckpointError              a base or run that cannot be read or does not fit
│   ├── ReferencedFileError          a file that a run refers to is absent, or another one now
│   ├── LockedError                  a folder or file that another process is writing
│   └── MissingExtraError            a feature whose optional packages are not installed
├── RunFailedError          exit 1   the run began and could not be finished
│   ├── DivergedError                a non-finite loss or gradient, or a sudden jump of the loss
│   └── OutOfMemoryError             a step that does not fit, however small its micro-batches
└── InterruptedRunError     exit 129 / 130 / 143   stopped by a signal, state saved
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass


class FtuneError(Exception):
    """A fault with a message meant for the user; never shown with a traceback."""

    exit_code = 2


class RequestError(FtuneError):
    """The request is wrong: usage, configuration, data or checkpoint."""


def _wrapped(hint: str) -> str:
    """A hint below its problem, within 80 columns where its words allow it."""
    return textwrap.fill(
        hint, 78, initial_indent="    ", subsequent_indent="    ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a configuration: where, which key, why, and what to write instead."""

    where: str
    key: str
    kind: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        line = f"{self.where}: {self.key}: {self.message} [{self.kind}]"
        return f"{line}\n{_wrapped(self.hint)}" if self.hint else line


class ConfigError(RequestError):
    """All the problems of one configuration, reported together."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        title = f"{count} problem{'s' if count > 1 else ''} in the configuration"
        super().__init__(
            "\n".join([title, *(f"  {p}".replace("\n", "\n  ") for p in self.problems)])
        )


class DataError(RequestError):
    """The data cannot be used as declared: names the file, the row or column, and the count."""


class AbsentDataError(DataError):
    """There is nothing where the data should lie; names what reads alike and lies beside."""

    def __init__(self, path: str, kind: str, near: str | None) -> None:
        super().__init__(f"{path}: no such {kind}" + (f"; did you mean `{near}`?" if near else ""))


class CheckpointError(RequestError):
    """A base, checkpoint or run folder that cannot be read, is damaged, or does not fit."""


class ReferencedFileError(RequestError):
    """A file that holds the frozen weights of a run is absent, or another one now.

    No CheckpointError: an earlier checkpoint of the run refers to the same file.
    """


class LockedError(RequestError):
    """A run folder or an export that another process is writing; nothing was touched."""


class MissingExtraError(RequestError):
    """A feature was asked for whose optional packages are absent."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the `{extra}` extra: pip install 'ftune[{extra}]'")


class RunFailedError(FtuneError):
    """The run began and could not be finished."""

    exit_code = 1


class DivergedError(RunFailedError):
    """A loss or gradient that is not a finite number; the parameters were not updated."""


class SpikeError(DivergedError):
    """A loss far above the recent ones; the parameters were not updated."""


class OutOfMemoryError(RunFailedError):
    """The memory of the machine, or of its GPU, did not suffice.

    shrinks: whether a smaller micro-batch would need less; then nothing was updated yet.
    """

    def __init__(self, message: str, shrinks: bool = False) -> None:
        super().__init__(message)
        self.shrinks = shrinks


class InterruptedRunError(FtuneError):
    """A signal stopped the run at a step boundary; its state is on disk, if it has a folder.

    run: what `ftune resume` takes to go on with it.
    """

    def __init__(self, signal_number: int, run: str | None) -> None:
        saved = f"state saved. Continue with: ftune resume {run}" if run else "nothing was written"
        super().__init__(f"interrupted; {saved}")
        self.exit_code = 128 + signal_number
