"""The Hugging Face hub, which may not be there."""

from __future__ import annotations

import urllib.error
import urllib.request

UNREACHABLE = "is not downloaded yet, and the hub cannot be reached; give a folder as `path`"


def reachable(name: str) -> bool:
    """Whether the hub answers, asked once: its own library would try for half a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    url = f"{constants.ENDPOINT}/{name}/resolve/main/config.json"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10):
            return True
    except urllib.error.HTTPError:  # it answers: what is missing, its library says
        return True
    except (OSError, ValueError):
        return False
