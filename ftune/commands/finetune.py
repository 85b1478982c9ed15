"""`ftune finetune`: adapts a trained model to new data, parameters and strategy."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftune.build import base_pipeline, build, read_data
from ftune.commands.rate import settled
from ftune.config.fields import settings_of
from ftune.config.tree import Mark, parse_value
from ftune.console import Console
from ftune.data import SOURCES
from ftune.data.fit_targets import target_transforms
from ftune.data.new_rows import source_for
from ftune.data.schema import Data
from ftune.errors import RequestError
from ftune.extend.forgotten import needing
from ftune.models import MODELS
from ftune.runs.adapters import load_bases
from ftune.runs.base import Base
from ftune.runtime.processes import refuse_several
from ftune.schema.root import LANGUAGE, NO_BASE, RunConfig
from ftune.training.run import new_run
from ftune.training.train import train


def finetune(
    config: RunConfig, base: Base, stem: str, out: Path | None, console: Console
) -> dict[str, Any]:
    """Trains from the base's weights and returns the summary."""
    refuse_several()
    began = time.monotonic()
    console.say(f"loading base {base.source} …")
    config = with_base(config, base)
    dataset = read_data(config, prior=base_pipeline(base))
    config, notes = settled(config, dataset, base, console)
    parts = build(config, dataset, base)
    parts.notes += notes
    return train(new_run("finetune", stem, out, parts, console, began))


def with_base(config: RunConfig, base: Base) -> RunConfig:
    """The configuration naming its base, with what is the base's where it declares none.

    That is the structure, and the transforms of numbers to predict.
    """
    config = replace(config, base=base.names, data=_with_targets(config, base))
    if not (base.tensors or base.foreign or getattr(config.model, "source", None)):
        raise RequestError(
            f"{base.source}: an adapter that does not name the model it is for; give both: --base"
            f" MODEL --base {base.source}"
        )
    hf: Any = MODELS["hf"]
    open_source = isinstance(config.model, hf) and config.model.source is None
    if base.meta and (config.model is None or open_source):
        return replace(config, model=_model_of(base, config.model))
    return _with_foreign(config, base) if base.foreign else config


def _with_targets(config: RunConfig, base: Base) -> Data:
    """The data with its target transforms declared, so that the run's own file tells them."""
    data, kind = config.data, config.task.target_kind
    if kind != "numbers" or data.target_transforms is not None:
        return data
    return replace(data, target_transforms=target_transforms(data, kind, base_pipeline(base)))


def _model_of(base: Base, declared: Any) -> Any:
    """The base's model; `declared`: a model of transformers that leaves open from which files."""
    own = base_config(base).model
    if declared is None:
        return own
    if not isinstance(own, type(declared)):
        raise RequestError(
            f"{base.source} has a model of its own (`{MODELS.name_of(type(own))}`); leave `model` "
            "out, or give `model.path`"
        )
    return replace(declared, path=own.path, hub=own.hub)


def _with_foreign(config: RunConfig, base: Base) -> RunConfig:
    """With the structure of a Hugging Face model, which its library reads from the same place."""
    hf: Any = MODELS["hf"]
    model = hf() if config.model is None else config.model
    if not isinstance(model, hf):
        name = MODELS.name_of(type(model))
        raise RequestError(
            f"{base.source} is a Hugging Face model, the configuration declares `model: {name}`;"
            " write `model: hf`, or leave `model` out"
        )
    if model.source is None:
        assert base.foreign
        local = Path(base.foreign).exists()
        model = replace(model, **{"path" if local else "hub": base.foreign})
    elif base.source == Path(base.foreign or "") and Path(model.source) != base.source:
        raise RequestError(
            f"model.path is {model.source}, the base {base.source}; name one of them only"
        )
    return replace(config, model=model)


def optional_base(given: Sequence[str], config: RunConfig | None) -> Base | None:
    """`--base`, or the configuration's `base:`, if either names one."""
    names = list(given) or (config.base if config else None)
    return load_bases(names) if names else None


def find_base(given: Sequence[str], config: RunConfig | None) -> Base:
    """The same, where one is needed; a pretrained `model: hf` is its own."""
    base = optional_base(given, config)
    own = getattr(config.model, "source", None) if config else None
    if base is None and own:
        return Base(Path(own), {}, foreign=own)
    if base is None:
        raise RequestError(NO_BASE)
    return base


def base_config(base: Base, changes: Sequence[str] = ()) -> RunConfig:
    """The configuration stored with a base, with overrides.

    With a `data.path` it is turned to those rows, see `on_new_data`.
    """
    if "config" not in base.meta:
        raise RequestError(
            f"{base.source} holds weights only, no configuration: give a CONFIG that declares the "
            "model and the data"
        )
    path, _ = new_path(changes)
    config = on_new_data(base.meta, Path(path)) if path else base.meta["config"]
    with needing(base.meta.get("code"), base.source):
        return LANGUAGE.of(config, changes, f"the configuration in {base.source}", kept=True)


def new_path(changes: Sequence[str]) -> tuple[str | None, list[str]]:
    """The file of the last `data.path=FILE`, read as YAML, and the other changes."""
    paths = [change for change in changes if change.startswith("data.path=")]
    read = [parse_value(c.partition("=")[2], Mark("data.path")).plain() for c in paths]
    found = read[-1] if read and isinstance(read[-1], str) else None
    return found, [change for change in changes if found is None or change not in paths]


def on_new_data(meta: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A base's configuration for other rows: which rows of its own it used is left behind.

    A path of another kind than the base's source brings the reader for its extension; the target
    keeps its name.
    """
    config = dict(meta["config"])
    data = {k: v for k, v in config["data"].items() if k not in ("classes", "limit", "per_class")}
    names = meta["pipeline"]["target"]["names"]
    data["target"] = names[0] if len(names) == 1 else names or None
    source = source_for(path)
    if source and source != data["source"]:
        own = settings_of(SOURCES[data["source"]])
        data = {k: v for k, v in data.items() if k not in own} | {"source": source}
    return {**config, "data": data}
