"""Which trained model a run starts from, and what a configuration takes from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ftune.assembly.build import base_pipeline
from ftune.config.fields import settings_of
from ftune.config.tree import Mark, parse_value
from ftune.data import SOURCES
from ftune.data.fit_targets import target_transforms
from ftune.data.new_rows import source_for
from ftune.data.schema import Data
from ftune.errors import RequestError
from ftune.extend.forgotten import needing
from ftune.models import MODELS
from ftune.runs.adapters import load_bases
from ftune.runs.base import Base
from ftune.schema.root import LANGUAGE, NO_BASE, RunConfig


def with_base(config: RunConfig, base: Base) -> RunConfig:
    """Return the configuration with `base:`, and what it leaves out taken from the base.

    That is the model's structure, and the transforms of numeric targets. Raises RequestError where
    the configuration declares another model than the base's.
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
    """Return the data with its target transforms declared, so that the run's own file has them."""
    data, kind = config.data, config.task.target_kind
    if kind != "numbers" or data.target_transforms is not None:
        return data
    return replace(data, target_transforms=target_transforms(data, kind, base_pipeline(base)))


def _model_of(base: Base, declared: Any) -> Any:
    """Return the base's model; `declared`: a `model: hf` without `path` or `hub`, or None."""
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
    """Return the configuration with the model of a Hugging Face base, read from the same files."""
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
    """Load `--base`, else the configuration's `base:`; return None where neither names one."""
    names = list(given) or (config.base if config else None)
    return load_bases(names) if names else None


def find_base(given: Sequence[str], config: RunConfig | None) -> Base:
    """Load the base as `optional_base`, or a pretrained `model: hf`. Raises RequestError."""
    base = optional_base(given, config)
    pretrained = getattr(config.model, "source", None) if config else None
    if base is None and pretrained:
        return Base(Path(pretrained), {}, foreign=pretrained)
    if base is None:
        raise RequestError(NO_BASE)
    return base


def base_for(
    need: Literal["none", "optional", "required"], given: Sequence[str], config: RunConfig
) -> Base | None:
    """Load the base of a command that needs none, may have one, or requires one."""
    if need == "none":
        return None
    return find_base(given, config) if need == "required" else optional_base(given, config)


def base_config(base: Base, changes: Sequence[str] = ()) -> RunConfig:
    """Return the configuration stored with a base, with overrides.

    A `data.path` among them replaces the rows, see `on_new_data`. Raises RequestError where the
    base holds weights only.
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
    """Return the file of the last `data.path=FILE`, read as YAML, and the other changes."""
    settings = [change for change in changes if change.startswith("data.path=")]
    values = [parse_value(c.partition("=")[2], Mark("data.path")).plain() for c in settings]
    if not values or not isinstance(values[-1], str):
        return None, list(changes)
    return values[-1], [change for change in changes if change not in settings]


def on_new_data(meta: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a base's configuration for other rows, without its own choice of rows.

    The target keeps its name. A file of another format than the base's is read by the source for
    its extension.
    """
    config = dict(meta["config"])
    data = {k: v for k, v in config["data"].items() if k not in ("classes", "limit", "per_class")}
    names = meta["pipeline"]["target"]["names"]
    data["target"] = names[0] if len(names) == 1 else names or None
    source = source_for(path)
    if source and source != data["source"]:
        settings = settings_of(SOURCES[data["source"]])
        data = {k: v for k, v in data.items() if k not in settings} | {"source": source}
    return {**config, "data": data}
