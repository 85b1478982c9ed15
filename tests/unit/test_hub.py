"""A hub that cannot be reached is asked once, and said at once."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import pytest

from ftune.data.text import loaded
from ftune.errors import DataError
from ftune.hub import reachable


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the hub says next, and what it was asked."""
    from huggingface_hub import constants

    found: dict[str, Any] = {"raises": None, "asked": []}

    def ask(request: Any, timeout: float) -> Any:
        found["asked"].append((request.full_url, timeout))
        if found["raises"]:
            raise found["raises"]
        return open("/dev/null")  # noqa: PTH123

    monkeypatch.setattr(urllib.request, "urlopen", ask)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return found


def test_an_answer_of_any_kind_is_one(answers: dict[str, Any]) -> None:
    assert reachable("org/model")
    answers["raises"] = urllib.error.HTTPError("x", 404, "not found", {}, None)  # type: ignore[arg-type]
    assert reachable("org/model")
    answers["raises"] = OSError("no route to host")
    assert not reachable("org/model")
    assert answers["asked"][0][0].endswith("/org/model/resolve/main/config.json")


def test_a_tokenizer_of_the_hub_is_refused_in_a_sentence(answers: dict[str, Any]) -> None:
    answers["raises"] = OSError("no route to host")
    with pytest.raises(DataError, match="nobody/nothing: is not downloaded yet, and the hub"):
        loaded.load("nobody/nothing")
    assert len(answers["asked"]) == 1
