"""The search space of a sweep without secrets, as its study stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ftune.errors import RequestError
from ftune.schema.search import Sweep
from ftune.search.space import Space, parse_space
from ftune.security.redact import stored
from ftune.security.secret_forms import HIDDEN


def redacted_space(plain: Mapping[str, Any], sweep: Sweep) -> Space:
    """Return the axes with every value from the environment as a reference again.

    Raises RequestError for a secret that is written out, as its trial could not be repeated.
    """
    redacted = stored(plain)["sweep"]
    for block in ("scientific", "nuisance"):
        for key, values in redacted[block].items():
            if HIDDEN in str(values) and HIDDEN not in str(getattr(sweep, block)[key]):
                raise RequestError(
                    f"sweep.{block}.{key}: a secret is among the values, and a sweep keeps its "
                    "values in a file; write ${oc.env:NAME}, and NAME under `runtime.env`"
                )
    return parse_space(
        replace(sweep, scientific=redacted["scientific"], nuisance=redacted["nuisance"])
    )
