"""`ftune finetune`: adapts a trained model to new data, parameters and strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftune.build import base_pipeline, build, read_data
from ftune.commands.rate import settled
from ftune.console import Console
from ftune.errors import RequestError
from ftune.runs.base import Base, load_base
from ftune.schema import LANGUAGE, RunConfig
from ftune.training.train import new_run, train

READERS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".npz": "npz"}


def finetune(
    config: RunConfig, base: Base, stem: str, out: Path | None, console: Console
) -> dict[str, Any]:
    """Trains from the base's weights and returns the summary."""
    config = with_base(config, base)
    dataset = read_data(config, prior=base_pipeline(base))
    config = settled(config, dataset, base, console)
    return train(new_run("finetune", stem, out, build(config, dataset, base), console))


def with_base(config: RunConfig, base: Base) -> RunConfig:
    """The configuration naming its base, with the base's structure where it declares none."""
    config = replace(config, base=str(base.source.resolve()))
    if config.model is None and base.meta:
        config = replace(config, model=base_config(base).model)
    return config


def find_base(given: str | None, config: RunConfig | None) -> Base:
    """`--base`, or the configuration's `base:`."""
    path = given or (config.base if config else None)
    if path is None:
        raise RequestError(
            "finetune starts from a trained model: give --base PATH, or `base:` in the file"
        )
    return load_base(Path(path))


def base_config(base: Base, changes: Sequence[str] = ()) -> RunConfig:
    """The configuration stored with a base, with overrides.

    A `data.path` of another kind than the stored source brings the reader for its extension.
    """
    if "config" not in base.meta:
        raise RequestError(
            f"{base.source} holds weights only, no configuration: give a CONFIG that declares the "
            "model and the data"
        )
    changes = list(changes)
    path = next((c.partition("=")[2] for c in changes if c.startswith("data.path=")), None)
    named = any(c.startswith("data.source=") for c in changes)
    source = READERS.get(Path(path).suffix) if path else None
    if source and not named and source != base.meta["config"]["data"]["source"]:
        changes.append(f"data.source={source}")
    return LANGUAGE.of(base.meta["config"], changes, source=f"the configuration in {base.source}")
