"""Reasons why trials failed, as text that can be compared."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from ftune.errors import FtuneError
from ftune.security.redact import redact


def failure_reason(error: Exception) -> str:
    """Return an error's message without secrets; of a foreign error also its type and code line."""
    if isinstance(error, FtuneError):
        return redact(str(error))
    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    message = (str(error).strip() or "without a message").splitlines()[0]
    return redact(f"{type(error).__name__}: {message}{at}")


def failure_pattern(reason: str) -> str:
    """Return a reason without what differs between trials: numbers, hashes, names of trials."""
    plain = re.sub(r"[+-]?\b\d[\w.+-]*|[+-]?\b(?:nan|inf)\b", "#", reason)
    return re.sub(r"#(?:,? #)+", "#", plain)
