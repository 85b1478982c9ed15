"""Where files can lie: on this machine. A URL is refused by name, before anything looks for it."""

from __future__ import annotations

import os
import re
from pathlib import Path

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?=[^/])")
"""Paths lose one of the two strokes; one letter before the colon is a drive of Windows."""


def url_fault(place: object) -> str:
    """A sentence about a path that is a URL, with what to do instead; empty for other paths."""
    text = str(place)
    match = _URL.match(text)
    if match is None:
        return ""
    hub = "; a model of the hub is `model: {name: hf, hub: NAME}`" if match[1] == "hf" else ""
    return (
        f"{match[1]}://{text[match.end() :]} is a URL; ftune reads and writes files of this "
        f"machine only: copy it here and give the path of the copy{hub}"
    )


def expanded(path: str | Path) -> Path:
    """Return a path with `~` as the home; that of a user who is unknown stays as it is written."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  (pathlib raises RuntimeError)
