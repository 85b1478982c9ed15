"""Consent to code in foreign files: asked for, exact, of one command, and nowhere stored."""

from __future__ import annotations

import pytest
from support.consenting import CHECKS, swapped_file
from support.sandbox import Sandbox


@pytest.mark.parametrize("name", CHECKS)
def test_consent(name: str, sandbox: Sandbox) -> None:
    sandbox.inside(lambda: CHECKS[name](sandbox))


def test_a_reader_that_opens_the_file_again_is_caught(sandbox: Sandbox) -> None:
    with pytest.raises(AssertionError, match="what was not hashed has run"):
        sandbox.inside(lambda: swapped_file(sandbox, careless=True))
