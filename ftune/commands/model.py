"""`ftune model`: the parameters by name, shape and what the rules make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from ftune.adapt.names import strip_wrappers
from ftune.adapt.rules import ParamPlan
from ftune.assembly.build import base_pipeline, build, read_data
from ftune.assembly.initial_weights import restored
from ftune.commands.base_config import with_base
from ftune.console import Console
from ftune.errors import RequestError
from ftune.predictor import restore
from ftune.runs.base import Base
from ftune.schema.root import RunConfig


def model_of_config(config: RunConfig, base: Base | None, console: Console) -> dict[str, Any]:
    """Print the model that a configuration declares, for its data; return its parameters.

    Where rules match nothing a warning says so, and the model is shown without rules, so that the
    user finds the names.
    """
    config = with_base(config, base) if base else config
    dataset = read_data(config, prior=base_pipeline(base))
    try:
        parts = build(config, dataset, base)
    except RequestError as error:
        if not config.adapt or not str(error).startswith("adapt"):
            raise
        console.warn(f"{error}\nthe parameters as they are without the rules:")
        parts = build(replace(config, adapt=()), dataset, base)
    return _show(parts.model, parts.effects, console)


def model_of_base(base: Base, console: Console) -> dict[str, Any]:
    """Print the model of a run or an exported file with the effects of its rules."""
    predictor = restore(base)
    begin = restored(predictor.config, predictor.built, base.card)
    return _show(begin.module, begin.effects, console)


def _show(module: nn.Module, effects: Mapping[str, ParamPlan], console: Console) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {
            "name": strip_wrappers(name),
            "shape": list(parameter.shape),
            "parameters": parameter.numel(),
            "state": effects[name].state,
        }
        for name, parameter in module.named_parameters()
    ]
    total = sum(p.numel() for p in module.parameters())
    trained = sum(p.numel() for n, p in module.named_parameters() if effects[n].train)
    cells = [
        (row["name"], "×".join(map(str, row["shape"])) or "1", row["parameters"], row["state"])
        for row in rows
    ]
    console.table("", ("parameter", "shape", "numbers", "state"), cells)
    console.info(f"{total:,} parameters, {trained:,} trained")
    sizes = {"total": total, "trainable": trained}
    return {"command": "model", "status": "done", "parameters": sizes, "tensors": rows}
