"""The log of edits that made a model out of the bare one, and their replay.

A checkpoint holds the log as JSON beside the configuration: bare model + edits + tensors is the
model, when a run is resumed, used or exported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ftune.adapt.attach import attach_lora
from ftune.adapt.lora import adapted_modules
from ftune.adapt.peft_methods import inject
from ftune.adapt.quantize import QUANTISED, quantize_module
from ftune.record import Record


@dataclass(frozen=True)
class Edit:
    """One change of a model's structure: what, where, and with which settings; all of it JSON.

    kind: a row of KINDS. module: plain path, "" for the whole model. name: of the adapter. rule:
    index of the rule in `adapt` that asks for it, None for an edit that a base brought; not
    stored, since it belongs to the configuration at hand.
    """

    kind: str
    module: str
    name: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    rule: int | None = field(default=None, compare=False)


def _lora(model: nn.Module, edit: Edit) -> None:
    attach_lora(model, edit.module, edit.name, edit.settings)


def _peft(model: nn.Module, edit: Edit) -> None:
    inject(model, edit.name, edit.settings)


def _quantize(model: nn.Module, edit: Edit) -> None:
    quantize_module(model, edit.module, edit.kind)


KINDS: Mapping[str, Callable[[nn.Module, Edit], None]] = {
    **dict.fromkeys(QUANTISED, _quantize),
    "lora": _lora,
    "peft": _peft,
}
ADAPTERS = ("lora", "peft")


def replay(model: nn.Module, edits: Iterable[Edit]) -> None:
    """Apply edits to `model` in place; one that is there already, with the same settings, stays.

    Weights are quantised first, so that adapters see the base as it will be. Raises RequestError
    or CheckpointError where an edit does not fit the model.
    """
    for edit in sorted(edits, key=lambda edit: edit.kind in ADAPTERS):
        KINDS[edit.kind](model, edit)


def write_edits(edits: Iterable[Edit]) -> dict[str, Any]:
    """Return the part of a checkpoint's metadata that holds the log, as version 0.1 wrote it."""
    return {
        "adapters": [
            {"kind": e.kind, "module": e.module, "name": e.name, "settings": dict(e.settings)}
            for e in edits
        ]
    }


def read_edits(meta: Mapping[str, Any]) -> tuple[Edit, ...]:
    """Return the log in a checkpoint's metadata. Raises CheckpointError for a damaged one."""
    return tuple(map(_edit, Record.parse(meta, "the checkpoint").records("adapters", ())))


def _edit(stored: Record) -> Edit:
    if unknown := sorted(set(stored.values) - {"kind", "module", "name", "settings"}):
        stored.refuse(unknown[0], "a setting of an edit")
    return Edit(
        stored.choice("kind", list(KINDS)),
        stored.text("module"),
        stored.text("name", "default"),
        stored.object("settings", {}),
    )


def lora_edits(model: nn.Module) -> list[Edit]:
    """Return the LoRA adapters that are attached now, as edits."""
    return [
        Edit("lora", path, name, dict(adapter.settings))
        for path, (_, adapters) in adapted_modules(model).items()
        for name, adapter in adapters.named().items()
    ]
