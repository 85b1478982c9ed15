"""The ledger that each proof writes its counts into."""

from __future__ import annotations

import pytest
from support.ledger import Ledger


@pytest.fixture
def ledger(record_property: pytest.FixtureRequest) -> Ledger:
    """Where a proof notes what it counted and whether its control was caught."""
    return Ledger(record_property)  # type: ignore[arg-type]
