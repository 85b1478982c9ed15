"""Consent to code in foreign files: asked for, exact, of one command, and nowhere stored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.consenting import CHECKS, swapped_file
from support.sandbox import Sandbox, prepare


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with pytest.MonkeyPatch.context() as patch:
        yield prepare(tmp_path_factory.mktemp("box") / "s", patch)


@pytest.mark.parametrize("name", CHECKS)
def test_consent(name: str, sandbox: Sandbox) -> None:
    CHECKS[name](sandbox)


def test_a_reader_that_opens_the_file_again_is_caught(sandbox: Sandbox) -> None:
    with pytest.raises(AssertionError, match="what was not hashed has run"):
        swapped_file(sandbox, careless=True)
