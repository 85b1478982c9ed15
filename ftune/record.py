"""The values of a stored record by name, each of the type it should be, or a clear refusal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ftune.errors import CheckpointError

REQUIRED: Any = object()
"""The default of a value that must be there."""


@dataclass(frozen=True)
class Record:
    """A JSON object of a file; `key` is where in it, "" for the whole file.

    Each reader returns `default` for a missing name. Raises CheckpointError for a value of another
    type, with the file, the key, what is there and what was expected.
    """

    values: Mapping[str, Any]
    file: Path | str
    key: str = ""

    @classmethod
    def parse(cls, value: object, file: Path | str, key: str = "") -> Record:
        """Return the record in any JSON value. Raises CheckpointError where it is no object."""
        if not isinstance(value, Mapping):
            refuse(file, key, value, "an object")
        return cls(value, file, key)

    def count(self, name: str, default: Any = REQUIRED) -> Any:
        value = self._value(name, default)
        return self._of(name, value, value is default or type(value) is int, "a whole number")

    def number(self, name: str, default: Any = REQUIRED) -> Any:
        value = self._value(name, default)
        fits = value is default or type(value) in (int, float)
        return self._of(name, value, fits, "a number")

    def text(self, name: str, default: Any = REQUIRED) -> Any:
        value = self._value(name, default)
        return self._of(name, value, value is default or isinstance(value, str), "a text")

    def flag(self, name: str, default: Any = REQUIRED) -> Any:
        value = self._value(name, default)
        return self._of(name, value, value is default or type(value) is bool, "true or false")

    def choice(self, name: str, choices: Sequence[str]) -> Any:
        value = self._value(name, REQUIRED)
        return self._of(name, value, value in choices, f"one of {', '.join(choices)}")

    def numbers(self, name: str, default: Any = REQUIRED) -> tuple[Any, ...]:
        return self._tuple(name, default, (int, float), "a list of numbers")

    def texts(self, name: str, default: Any = REQUIRED) -> tuple[str, ...]:
        return self._tuple(name, default, (str,), "a list of texts")

    def entry(self, name: str, types: tuple[type, ...]) -> tuple[Any, ...]:
        """Return a list whose items are of these types, one after the other."""
        value = self._value(name, REQUIRED)
        fits = isinstance(value, list | tuple) and tuple(map(type, value)) == types
        expected = f"a list of {', '.join(kind.__name__ for kind in types)}"
        return tuple(self._of(name, value, fits, expected))

    def object(self, name: str, default: Any = REQUIRED) -> Any:
        value = self._value(name, default)
        return self._of(name, value, value is default or isinstance(value, Mapping), "an object")

    def records(self, name: str, default: Any = REQUIRED) -> Iterator[Record]:
        """Yield the objects of a list, each as a record."""
        value = self._value(name, default)
        self._of(name, value, isinstance(value, list | tuple), "a list of objects")
        for number, row in enumerate(value):
            yield Record.parse(row, self.file, f"{self._path(name)}.{number}")

    def refuse(self, name: str, expected: str) -> NoReturn:
        """Raise CheckpointError: the value of a name is not what was expected."""
        refuse(self.file, self._path(name), self.values.get(name), expected)

    def _tuple(
        self, name: str, default: Any, types: tuple[type, ...], expected: str
    ) -> tuple[Any, ...]:
        value = self._value(name, default)
        fits = isinstance(value, list | tuple) and all(type(item) in types for item in value)
        return tuple(self._of(name, value, fits, expected))

    def _value(self, name: str, default: Any) -> Any:
        value = self.values.get(name, default)
        if value is REQUIRED:
            raise CheckpointError(f"{self.file}: damaged: no `{self._path(name)}`")
        return value

    def _of(self, name: str, value: Any, fits: bool, expected: str) -> Any:
        if not fits:
            self.refuse(name, expected)
        return value

    def _path(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key else name


def refuse(file: Path | str, key: str, value: object, expected: str) -> NoReturn:
    """Raise CheckpointError for a value of a file that is not what was expected."""
    where = f"its `{key}`" if key else "it"
    raise CheckpointError(f"{file}: damaged: {where} is {value!r:.50}, not {expected}")


def strict(value: Any) -> Any:
    """Return a value as JSON knows it: what is no finite number is null (RFC 8259)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: strict(item) for key, item in value.items()}
    return [strict(item) for item in value] if isinstance(value, list | tuple) else value
