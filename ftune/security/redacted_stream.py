"""stderr without secrets: also what the option parser, libraries and tracebacks write there."""

from __future__ import annotations

from typing import Any, TextIO

from ftune.security.redact import redact


class RedactingStream:
    """Redacts what is written to a text stream; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(redact(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
