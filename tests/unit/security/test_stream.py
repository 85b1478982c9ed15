"""A stream that redacts: also what is written past the console."""

from __future__ import annotations

import io

from ftune.security.redact import RedactingStream
from ftune.security.secret_forms import HIDDEN


def test_secrets_are_redacted_and_the_rest_is_the_streams_own() -> None:
    plain = io.StringIO()
    stream = RedactingStream(plain)
    print("https://user:geheim@host/t.csv and more", file=stream)
    assert "geheim" not in plain.getvalue() and HIDDEN in plain.getvalue()
    assert plain.getvalue().endswith(" and more\n")
    assert stream.isatty() is False and stream.getvalue() == plain.getvalue()
