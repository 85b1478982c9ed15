"""A base's tensors into a model, matched by tensor name and, where they have names, entry by entry.

Shared features keep their learned weights, new ones enter with zero weights, so that the model
starts exactly where the base ended; the rows of a head follow the names of the classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from ftune.adapt.key_mapping import renaming
from ftune.adapt.names import adapted_module_of, strip_wrappers
from ftune.errors import CheckpointError


class Axis(Protocol):
    """A dimension of a tensor whose entries have names; `role` says which side they face."""

    @property
    def dim(self) -> int: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def role(self) -> Literal["input", "output"]: ...


Axes = Mapping[str, Sequence[Axis]]


@dataclass
class Transfer:
    """What became of each tensor; the lists hold (name, elements, remark).

    partial: tensors of which some outputs are new to the base, with their names.
    """

    loaded: list[tuple[str, int, str]] = field(default_factory=list)
    missing: list[tuple[str, int, str]] = field(default_factory=list)
    unexpected: list[tuple[str, int, str]] = field(default_factory=list)
    mismatched: list[tuple[str, int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    partial: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, int, int, str, str]]:
        """(kind, tensors, parameters, share, remarks) for the table that the user sees."""
        kinds = {"loaded": self.loaded, "missing": self.missing,
                 "unexpected": self.unexpected, "mismatched": self.mismatched}  # fmt: skip
        total = sum(n for kind in ("loaded", "missing", "mismatched") for _, n, _ in kinds[kind])
        rows = []
        for kind, items in kinds.items():
            count = sum(n for _, n, _ in items)
            names = ", ".join(
                f"{name}{f' ({remark})' if remark else ''}" for name, _, remark in items[:4]
            )
            more = f", … {len(items) - 4} more" if len(items) > 4 else ""
            rows.append((kind, len(items), count, f"{count / max(total, 1):.1%}", names + more))
        return rows


def transfer(
    model: nn.Module, axes: Axes, head: str, base: Mapping[str, Tensor], base_axes: Axes
) -> Transfer:
    """Copies what fits from `base` into `model`, in place.

    Raises CheckpointError where nothing matches, or where a tensor other than the head's has
    another shape and no names to match it by.

    Adapters that the base has are loaded as well, those that it lacks stay as they are.
    """
    tensors = model.state_dict()
    adapters = {strip_wrappers(name) for name in adapted_module_of(tensors)}
    own = {strip_wrappers(name): tensor for name, tensor in tensors.items()}
    renamed = renaming(base, own)
    named = {renamed(name): tensor for name, tensor in base.items()}
    base_axes = {renamed(name): of_tensor for name, of_tensor in base_axes.items()}
    report = Transfer()
    for name, tensor in own.items():
        if name not in named and name in adapters:
            continue  # what was just added cannot be in the base
        if name not in named:
            report.missing.append((name, tensor.numel(), ""))
            continue
        merged, remark = _merge(tensor, named[name], axes.get(name, ()), base_axes.get(name, ()))
        if merged is None:
            report.mismatched.append((name, tensor.numel(), remark))
        else:
            tensor.copy_(merged)
            report.loaded.append((name, tensor.numel(), remark))
            new = _new_outputs(axes.get(name, ()), base_axes.get(name, ()))
            report.partial |= {name: new} if new else {}
    there = {own[name].data_ptr() for name, _, _ in report.loaded}
    report.missing = [item for item in report.missing if own[item[0]].data_ptr() not in there]
    report.unexpected = [(n, t.numel(), "") for n, t in named.items() if n not in own]
    _judge(report, head, own, named, axes, base_axes)
    return report


def _merge(
    own: Tensor, base: Tensor, axes: Sequence[Axis], base_axes: Sequence[Axis]
) -> tuple[Tensor | None, str]:
    """`base` laid into the shape of `own`; None with the reason where that cannot be."""
    known = {axis.dim: axis for axis in base_axes}
    pairs = [(axis, known[axis.dim]) for axis in axes if axis.dim in known and axis.names]
    pairs = [(a, b) for a, b in pairs if b.names and a.names != b.names]
    if not pairs:
        if own.shape == base.shape:
            return base.to(own.dtype), ""
        return None, f"base {list(base.shape)}, model {list(own.shape)}"
    merged, picked, remarks = own.clone(), base, []
    fresh_axes = []
    for axis, other in pairs:
        places = {name: index for index, name in enumerate(other.names)}
        shared = [(i, places[name]) for i, name in enumerate(axis.names) if name in places]
        # Columns of a weight enter as zeros; rows (embeddings, per-feature norms) stay fresh, else
        # a zero scale before a zero weight would never receive a gradient.
        if axis.role == "input" and axis.dim > 0 and len(shared) < len(axis.names):
            fresh_axes.append((axis.dim, [i for i, n in enumerate(axis.names) if n not in places]))
        if axis.role == "output" and not shared:
            return None, "no output in common"
        picked = picked.index_select(
            axis.dim, torch.tensor([b for _, b in shared], dtype=torch.long)
        )
        remarks.append(f"{len(shared)} of {len(axis.names)} by name")
    for dim, fresh in fresh_axes:
        merged.index_fill_(dim, torch.tensor(fresh), 0)
    return _laid_in(merged, picked, pairs), "; ".join(remarks)


def _new_outputs(axes: Sequence[Axis], base_axes: Sequence[Axis]) -> tuple[str, ...]:
    """Names of outputs that the base does not have, where it has names."""
    known = {axis.dim: set(axis.names) for axis in base_axes if axis.names}
    return tuple(
        name
        for axis in axes
        if axis.role == "output" and axis.dim in known
        for name in axis.names
        if name not in known[axis.dim]
    )


def _laid_in(merged: Tensor, picked: Tensor, pairs: Sequence[tuple[Axis, Axis]]) -> Tensor | None:
    index = [torch.arange(size) for size in merged.shape]
    for axis, other in pairs:
        index[axis.dim] = torch.tensor(
            [i for i, name in enumerate(axis.names) if name in set(other.names)], dtype=torch.long
        )
    if tuple(len(i) for i in index) != tuple(picked.shape):
        return None
    merged[torch.meshgrid(*index, indexing="ij")] = picked.to(merged.dtype)
    return merged


def _judge(
    report: Transfer, head: str, own: Mapping[str, Tensor], named: Mapping[str, Tensor],
    axes: Axes, base_axes: Axes,
) -> None:  # fmt: skip
    """Turns the lists into an error, or into sentences."""
    wrong = [
        (name, remark) for name, _, remark in report.mismatched if not name.startswith(head + ".")
    ]
    if wrong:
        lines = "\n".join(f"  {name}: {remark}" for name, remark in wrong[:8])
        raise CheckpointError(f"{len(wrong)} tensors of the base have another shape:\n{lines}")
    body = [name for name, _, _ in report.missing if not name.startswith(head + ".")]
    if body and all(name.startswith(head + ".") for name, _, _ in report.loaded):
        raise CheckpointError(
            "nothing in the base matches the model.\n"
            f"  base:  {', '.join(list(named)[:6])}\n  model: {', '.join(list(own)[:6])}\n"
            "Name the layers alike (`as:`), or declare the structure that the base has."
        )
    new = next(iter(report.partial.values()), ())
    if new:
        report.notes.append(f"new to the base, starting from random weights: {_listed(new)}")
    if report.mismatched:
        report.notes.append(f"the head `{head}` is replaced: {report.mismatched[0][2]}")
    if not report.loaded:
        report.notes.append("nothing of the base is taken over: all weights start at random")
    report.notes += _feature_notes(axes, base_axes)


def _feature_notes(axes: Axes, base_axes: Axes) -> list[str]:
    """Sentences on features that are new, gone, or in another order (said once)."""
    for name, of_tensor in axes.items():
        for axis in of_tensor:
            other = next((b for b in base_axes.get(name, ()) if b.dim == axis.dim), None)
            if axis.role == "input" and axis.dim == 1 and other and axis.names != other.names:
                return _differences(axis.names, other.names)
    return []


def _differences(new: Sequence[str], old: Sequence[str]) -> list[str]:
    added = [name for name in new if name not in set(old)]
    dropped = [name for name in old if name not in set(new)]
    notes = [f"new features, entering with zero weight: {_listed(added)}"] if added else []
    notes += [f"features of the base that are gone: {_listed(dropped)}"] if dropped else []
    shared_new = [name for name in new if name in set(old)]
    if shared_new != [name for name in old if name in set(new)]:
        notes.append("features in another order than the base's: matched by name")
    return notes


def _listed(names: Sequence[str]) -> str:
    head = ", ".join(names[:8])
    return f"{head}, … ({len(names)} in all)" if len(names) > 8 else head
