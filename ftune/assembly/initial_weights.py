"""The model with the weights it starts from: fresh, a base's, a checkpoint's, with its adapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ftune.adapt.edits import ADAPTERS, Edit, replay
from ftune.adapt.lora import CHILD
from ftune.adapt.names import adapted_module_of, strip_wrappers
from ftune.adapt.peft_format import placed
from ftune.adapt.quantize import keep_packed, load_tensors, unpacked
from ftune.adapt.rules import ParamPlan, resolve
from ftune.adapt.schema import Rule
from ftune.adapt.targets import edits_of_rules, with_rules
from ftune.adapt.transfer import Transfer, transfer
from ftune.adapt.whole import broken_tensor
from ftune.assembly.structure import build_model
from ftune.config.dump import dump
from ftune.data.pipeline import Pipeline
from ftune.errors import CheckpointError, RequestError
from ftune.models.shapes import Built, Loading
from ftune.runs.base import Adapter, Base
from ftune.runs.checkpoint import Checkpoint
from ftune.runs.model_card import ModelCard
from ftune.schema.root import RunConfig
from ftune.security.redact import stored
from ftune.tasks.protocol import Task


@dataclass(frozen=True)
class InitialModel:
    """A model as its training begins.

    transfer: what came from where, if anything did. edits: what made it of the bare model. fresh:
    dotted name of the head, if it starts from random weights, else "". given: the rules of the
    configuration.
    """

    built: Built
    transfer: Transfer | None
    edits: tuple[Edit, ...]
    fresh: str
    given: Sequence[Rule]

    @property
    def module(self) -> nn.Module:
        return self.built.module

    @property
    def effects(self) -> dict[str, ParamPlan]:
        """What the rules make of each parameter. Raises RequestError for one that fits nothing."""
        names = [name for name, _ in self.module.named_parameters()]
        return resolve(self.rules, names, self.module, self.fresh, self.edits)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of the file, after those that go without saying.

        On adapters that a base brought, and no rule asked for, only they are trained, and a fresh
        head.
        """
        if not self.edits or any(rule.adds_adapter for rule in self.given):
            return tuple(self.given)
        implied = [Rule("*", train=False)]
        if any(edit.kind == "lora" for edit in self.edits):
            implied.append(Rule(f"*.{CHILD}.*", train=True))
        names = {edit.name for edit in self.edits if edit.kind == "peft"}
        implied += [Rule(rf"/\.{name}(\.|$)/", train=True) for name in sorted(names)]
        head = [Rule(f"{self.fresh}.*", train=True)] if self.fresh else []
        return (*implied, *head, *self.given)


def load_initial(
    config: RunConfig,
    pipeline: Pipeline,
    task: Task,
    base: Base | None,
    resumed: Checkpoint | None,
    device: torch.device,
) -> InitialModel:
    """Builds the model on `device` and loads what it starts from.

    Raises RequestError or CheckpointError.

    resumed: the checkpoint of this very training; structure and weights are those in it.
    """
    if resumed is not None:
        card = resumed.card
        built = build_model(config, pipeline, task, card)
        built.module.to(device)  # before adapters: 4 bits are packed where they are used
        restore_weights(built.module, card.edits, {**resumed.frozen, **resumed.model}, resumed.path)
        return restored(config, built, card)
    built = build_model(config, pipeline, task, _own_card(config, base), fresh=True)
    built.module.to(device)
    brought = _adapters_of(base, built.module)
    _replay_brought(built.module, brought, base)
    report = _loaded(built, base) if base else None
    if report is None and built.report is not None:
        report = _as_transfer(built)
    if report is not None:
        _refuse_broken(built.module, base, config)
    fresh = built.head if _is_fresh(built, report) else ""
    wanted = edits_of_rules(config.adapt, built.module, fresh)
    replay(built.module, wanted)
    keep_packed(built.module, base.tensors if base else {})
    edits = {(e.module, e.name): e for e in (*with_rules(brought, config.adapt), *wanted)}
    return InitialModel(built, report, tuple(edits.values()), fresh, config.adapt)


def restored(config: RunConfig, built: Built, card: ModelCard) -> InitialModel:
    """Return the model that `restore_weights` filled, with the edits that its card holds."""
    edits = with_rules(card.edits, config.adapt)
    fresh = built.head if card.fresh is None else card.fresh
    return InitialModel(built, None, edits, fresh, config.adapt)


def restore_weights(
    model: nn.Module, edits: Sequence[Edit], tensors: Mapping[str, Tensor], source: Path | None
) -> None:
    """Adapters and all tensors of a checkpoint into the bare structure. Raises CheckpointError."""
    replay(model, edits)
    try:
        load_tensors(model, tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from None


def _own_card(config: RunConfig, base: Base | None) -> ModelCard:
    """The card of a base that has this very model: its structure needs no other files."""
    card = base.card if base else ModelCard()
    if not card.model:
        return ModelCard()
    same = stored(dump(config))["model"] == (card.config or {}).get("model")
    return card if same else ModelCard()


def _adapters_of(base: Base | None, model: nn.Module) -> list[Edit]:
    """What a base brings on top of its weights. Quantised weights are taken as plain ones."""
    if base is None:
        return []
    edits = [edit for edit in base.card.edits if edit.kind in ADAPTERS]
    for adapter in base.adapters:
        edits += _placed(model, adapter)[0]
    return edits


def _replay_brought(model: nn.Module, brought: Sequence[Edit], base: Base | None) -> None:
    try:
        replay(model, brought)
    except RequestError as error:
        raise CheckpointError(
            f"{base.source if base else ''}: its adapters do not fit this model ({error}); export "
            "it with the adapters merged, and start from that"
        ) from None


def _placed(model: nn.Module, adapter: Adapter) -> tuple[list[Edit], dict[str, Tensor]]:
    try:
        return placed(model, adapter.edits, adapter.tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{adapter.source}: {error}") from None


@torch.no_grad()
def _loaded(built: Built, base: Base) -> Transfer | None:
    """The tensors of a base, and of the adapters on it, into a model that has a place for them."""
    report = None
    if base.tensors:
        stored_axes = base.card.axes
        report = transfer(built.module, built.axes, built.head, unpacked(base.tensors), stored_axes)
    for adapter in base.adapters:
        report = report or _as_transfer(built)
        own = dict(built.module.state_dict())
        for name, tensor in _placed(built.module, adapter)[1].items():
            if name not in own or own[name].shape != tensor.shape:
                report.unexpected.append((name, tensor.numel(), adapter.source.name))
                continue
            own[name].copy_(tensor)
            report.loaded.append((name, tensor.numel(), adapter.source.name))
    return report


def _refuse_broken(model: nn.Module, base: Base | None, config: RunConfig) -> None:
    """Raises CheckpointError that names the file and the tensor that holds what is no number."""
    name, fault = broken_tensor(model)
    if not name:
        return
    source = base.source if base else Path(config.model.source)
    if base and name in adapted_module_of([name]):
        source = next((adapter.source for adapter in base.adapters), source)
    raise CheckpointError(
        f"{source}: `{strip_wrappers(name)}` holds {fault}, which no training mends; take an "
        "earlier checkpoint of this model"
    )


def _as_transfer(built: Built) -> Transfer:
    """What the model's own library loaded, as the table that every base gets."""
    report, transferred = built.report or Loading(), Transfer()
    sizes = {name: p.numel() for name, p in built.module.named_parameters()}
    for kind in ("loaded", "missing", "unexpected", "mismatched"):
        names = [(n, f"+{report.grown[n]} rows" if n in report.grown else "")
                 for n in getattr(report, kind)]  # fmt: skip
        names.sort(key=lambda pair: not pair[1])  # what grew is shown first
        getattr(transferred, kind).extend((n, sizes.get(n, 0), remark) for n, remark in names)
    if report.grown:
        rows = next(iter(report.grown.values()))
        transferred.notes.append(
            f"tokens that the tokenizer has and the weights lack: {rows:,}; embedding and output"
            " layer get a row for each, the mean of the others"
        )
    return transferred


def _is_fresh(built: Built, found: Transfer | None) -> bool:
    """Whether the head, or a part of it, starts from random weights."""
    if found is None:
        return True
    fresh = [name for name, _, _ in (*found.missing, *found.mismatched)]
    return any(name.startswith(f"{built.head}.") for name in (*fresh, *found.partial))
