"""Which adapters of a base count, and what they are called beside others."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from ftune.adapt.edits import write_edits
from ftune.adapt.names import lora_part
from ftune.config.spelling import suggestion
from ftune.errors import CheckpointError, RequestError
from ftune.runs.base import Adapter, Base, load_base


def names_of(base: Base) -> set[str]:
    """The names of the LoRA adapters that a base has, or brings on top."""
    stored = [edit.name for edit in base.card.edits if edit.kind == "lora"]
    return {*stored, *(edit.name for adapter in base.adapters for edit in adapter.edits)}


def only(base: Base, names: Sequence[str]) -> Base:
    """The base with these of its adapters alone, all where none is named. Raises RequestError."""
    if not names:
        return base
    known = names_of(base)
    for name in names:
        if name not in known:
            hint = suggestion(name, known) or "it has none"
            raise RequestError(f"--adapter {name}: {base.source} has no such adapter; {hint}")
    edits = [e for e in base.card.edits if e.kind != "lora" or e.name in names]
    tensors = {
        key: tensor
        for key, tensor in base.tensors.items()
        if (part := lora_part(key)) is None or part.name in names
    }
    return replace(base, meta={**base.meta, **write_edits(edits)}, tensors=tensors)


def named_apart(adapter: Adapter, taken: Collection[str]) -> Adapter:
    """Under the name of its folder, where others have the one that it has."""
    own = {edit.name for edit in adapter.edits}
    if not own & set(taken):
        return adapter
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", adapter.source.name)
    stem = stem if stem[:1].isalpha() else f"adapter_{stem}"
    name = next(n for n in (stem, *(f"{stem}_{i}" for i in range(2, 99))) if n not in taken)

    def renamed(key: str) -> str:
        part = lora_part(key)
        return f"{part.module}.lora.{name}.{part.part}" if part else key

    return replace(
        adapter,
        edits=tuple(replace(edit, name=name) for edit in adapter.edits),
        tensors={renamed(key): tensor for key, tensor in adapter.tensors.items()},
    )


def load_bases(names: str | Sequence[str]) -> Base:
    """The first as `load_base`, and PEFT adapters on top of it. Raises CheckpointError."""
    paths = [names] if isinstance(names, str) else list(names)
    first, *rest = [load_base(Path(path)) for path in paths]
    for adapter in rest:
        if not adapter.adapters or adapter.tensors:
            raise CheckpointError(
                f"{adapter.source}: only a PEFT adapter can stand on top of a base"
            )
        first.adapters += tuple(named_apart(one, names_of(first)) for one in adapter.adapters)
    return first
