"""Why trials failed, in words that can be compared."""

from __future__ import annotations

import re
import traceback
from pathlib import Path


def alike_reason(reason: str) -> str:
    """A reason without what differs from trial to trial: numbers, hashes, names of trials."""
    plain = re.sub(r"[+-]?\b\d[\w.+-]*|[+-]?\b(?:nan|inf)\b", "#", reason)
    return re.sub(r"#(?:,? #)+", "#", plain)


def in_words(error: Exception) -> str:
    """What was raised, and the last line of code that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    message = (str(error).strip() or "without a message").splitlines()[0]
    return f"{type(error).__name__}: {message}{at}"
