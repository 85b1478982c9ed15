"""Text and plain values without their secrets."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TextIO
from urllib.parse import quote

from ftune.security.secret_forms import HIDDEN, hide_forms
from ftune.security.secret_names import is_place, is_plain_word, is_secret_key, is_secret_variable

# Mappings whose keys are the user's columns: `types: {password: string}` holds no password.
OPEN = frozenset({"types", "names", "rename", "columns"})

_read: dict[str, str] = {}
_written: set[str] = set()


def remember(name: str, value: str) -> None:
    """Notes that a configuration read an environment variable by ${oc.env:NAME}."""
    if value:
        _read[name] = value


def notice(key: str, value: Any) -> None:
    """Notes what a configuration says under a key such as `password`, to be hidden elsewhere."""
    if isinstance(value, str) and len(value) >= 6 and is_secret_key(key, value):
        _written.add(value)


def redact(text: str) -> str:
    """The text without secrets. What came from the environment is written ${oc.env:NAME}."""
    return hide_forms(_without_values(text))


def redact_tree(value: Any, key: str = "") -> Any:
    """The same for mappings, lists and scalars; a value under a key such as `password` goes."""
    if isinstance(value, Mapping):
        return {
            redact(name) if isinstance(name, str) else name: redact_tree(
                item, "" if key in OPEN else str(name)
            )
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_tree(item, key) for item in value]
    if not isinstance(value, str):
        return HIDDEN if isinstance(value, int) and is_secret_key(key, value) else value
    redacted = redact(value)
    return HIDDEN if is_secret_key(key, redacted) else redacted


def redact_words(words: Iterable[str]) -> list[str]:
    """A command line: `data.password=…` goes by its key, the rest as text."""
    redacted = []
    for word in words:
        key, equals, value = word.partition("=")
        secret = equals and is_secret_key(key.lstrip("-"), value)
        redacted.append(f"{key}={HIDDEN}" if secret else redact(word))
    return redacted


def stored(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as it is kept: what was read from the environment stands as a reference.

    So the file reads the same again wherever the variable is set. Only variables that it lists
    under `runtime.env` are referred to; other secrets are hidden.
    """
    listed = (config.get("runtime") or {}).get("env") or ()
    values = {name: _read[name] for name in listed if name in _read}
    redacted: dict[str, Any] = redact_tree(_referring(config, values))
    return redacted


def left_out(config: Mapping[str, Any]) -> list[str]:
    """Dotted keys whose value is not kept, so that the kept configuration lacks it."""
    return list(_lost(config, stored(config), ""))


def _lost(was: Any, kept: Any, path: str) -> Iterator[str]:
    if isinstance(was, Mapping):
        for name, item in was.items():
            yield from _lost(item, kept.get(name), f"{path}.{name}".strip("."))
    elif HIDDEN in str(kept) and HIDDEN not in str(was):
        yield path


def _referring(value: Any, values: Mapping[str, str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _referring(item, values, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_referring(item, values, key) for item in value]
    if not isinstance(value, str):
        return value
    for name in sorted(values, key=lambda n: -len(values[n])):
        secret = values[name] == value and is_secret_key(key, value)
        if secret or not is_plain_word(values[name]):
            value = _replaced(_pattern(values[name]), f"${{oc.env:{name}}}", value)
    return value


def _without_values(text: str) -> str:
    for pattern, instead in _known(
        tuple(os.environ.items()), tuple(_read.items()), frozenset(_written)
    ):
        text = _replaced(pattern, instead, text)
    return text


def _replaced(pattern: re.Pattern[str], instead: str, text: str) -> str:
    return pattern.sub(lambda _: instead, text)  # a plain string would be read as a template


@lru_cache(maxsize=4)
def _known(
    environment: tuple[tuple[str, str], ...],
    read: tuple[tuple[str, str], ...],
    written: frozenset[str],
) -> tuple[tuple[re.Pattern[str], str], ...]:
    """What to look for and what to write instead, the longest first."""
    replacements = dict.fromkeys(written, HIDDEN)
    replacements |= {
        value: HIDDEN for name, value in environment if is_secret_variable(name, value)
    }
    for name, value in read:
        if is_secret_variable(name, value) or not (is_plain_word(value) or is_place(value)):
            replacements[value] = f"${{oc.env:{name}}}"
    order = sorted(replacements, key=len, reverse=True)
    return tuple((_pattern(value, spellings=True), replacements[value]) for value in order)


def _pattern(value: str, spellings: bool = False) -> re.Pattern[str]:
    """Finds a value as a whole where it is a path or short; spellings: also as text is sent."""
    ways = {value, quote(value, safe="")} if spellings else {value}
    if spellings and len(value) >= 8:
        ways.add(base64.b64encode(value.encode()).decode())
    joined = "|".join(re.sub(r"(\\\s)+", r"\\s+", re.escape(way)) for way in sorted(ways, key=len))
    whole = is_place(value) or len(value) < 12
    return re.compile(rf"(?<!\w)(?:{joined})(?![\w.-]*\w)" if whole else joined)


class RedactingStream:
    """A text stream without secrets, whoever writes to it; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(redact(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
