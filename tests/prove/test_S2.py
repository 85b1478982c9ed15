"""S2: consent is given on the command line only, bound to the file's hash, never remembered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.consenting import CHECKS, changed_file, not_remembered, swapped_file
from support.ledger import Ledger
from support.sandbox import Sandbox

from ftune.security import consent


def noticed(check: Callable[..., None], sandbox: Sandbox, *given: object) -> bool:
    try:
        sandbox.inside(lambda: check(sandbox, *given))
    except AssertionError:
        return True
    return False


def test_consent(sandbox: Sandbox, ledger: Ledger) -> None:
    failed = [name for name, check in CHECKS.items() if noticed(check, sandbox)]
    ledger.counted("S2", len(CHECKS), len(failed), "checks of consent" + "; ".join(["", *failed]))


def test_controls(sandbox: Sandbox, ledger: Ledger) -> None:
    ledger.control("S2", noticed(swapped_file, sandbox, True), "the file is opened a second time")
    seen: set[str] = set()

    def forever(digest: str, file: str) -> bool:
        """As it would be if the consent of an earlier command were kept."""
        seen.update(consent._now.given)
        return digest in seen and bool(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consent, "granted", forever)
        ledger.control("S2", noticed(not_remembered, sandbox), "consent that is remembered")
        patch.setattr(consent, "granted", lambda *_: True)
        ledger.control("S2", noticed(changed_file, sandbox), "consent without the hash")
