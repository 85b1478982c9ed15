"""Which settings of a configuration make no other training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from ftune.config.fields import settings_of


def free_settings(config: Any, above: str = "") -> Iterator[str]:
    """The dotted names of what was declared by `setting(exact=False)`; a group stands for its own.

    config: an object of a schema. above: the block that it lies in, with a dot at its end.
    """
    schema: type = type(config)
    for name, item in settings_of(schema).items():
        value = getattr(config, item.attribute)
        if not item.spec.exact:
            yield f"{above}{name}"
        elif dataclasses.is_dataclass(value):
            yield from free_settings(value, above if item.spec.inline else f"{above}{name}.")
