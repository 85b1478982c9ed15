"""Files of the transformers library: found, read, and turned into its modules.

transformers is imported inside, and kept quiet: what it has to say comes back as our report or as
one sentence in a RequestError.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ftune.errors import CheckpointError, MissingExtraError, RequestError
from ftune.hub import reachable
from ftune.log_suppression import quiet
from ftune.models.hf_source import Source, readable
from ftune.models.shapes import Loading
from ftune.security.limits import documents
from ftune.security.limits.folders import check_layers, model_folder
from ftune.security.limits.gguf import gguf_file
from ftune.security.remote_code import check_kernels, opened, refusal

_FACTORIES = {
    "causal-lm": "AutoModelForCausalLM",
    "encoder": "AutoModel",
    "sequence": "AutoModelForSequenceClassification",
    "token": "AutoModelForTokenClassification",
}


def find(path: str | None, hub: str | None) -> Source:
    """Raises RequestError where there is no such model, MissingExtraError without transformers."""
    gguf = bool(path) and Path(str(path)).suffix == ".gguf"
    for package in ("transformers", "tokenizers", *(["gguf"] if gguf else [])):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("model.name=hf", "text")
    if hub is not None:
        return Source(hub, local=not reachable(hub))
    assert path is not None
    file = Path(path)
    if file.is_file() and gguf:
        _check_claims(file)
        return Source(str(file.parent), file.name)
    if file.is_file():
        raise RequestError(
            f"model.path: {file} is a file; expected a folder with config.json, or a .gguf file; "
            "other files of weights are given as `base`"
        )
    if not file.is_dir():
        name = "/".join(file.parts[-2:])
        raise RequestError(
            f"model.path: {file}: no such folder or file; a name on the Hugging Face hub is "
            f"written `hub: {name}`"
        )
    if "model_type" not in described(file):
        raise RequestError(f"model.path: {file} {_lacks(file)}")
    _check_claims(file)
    return Source(str(file), opened=opened(file))


def _check_claims(place: Path) -> None:
    """What the files say of themselves, before the library believes it. Raises RequestError."""
    try:
        model_folder(place) if place.is_dir() else gguf_file(place)
    except CheckpointError as error:
        raise RequestError(f"model.path: {place}: cannot be read: {error}") from None


def described(folder: Path) -> dict[str, Any]:
    """The config.json of a folder; empty where it has none that can be read."""
    try:
        content = documents.read(folder / "config.json")
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _lacks(folder: Path) -> str:
    ggufs = sorted(folder.glob("*.gguf"))
    if ggufs:
        return f"has no config.json; name the file: {ggufs[0]}"
    if (folder / "adapter_config.json").is_file():
        return "holds an adapter, no model; give the model's folder here, and this one as `base`"
    if (folder / "config.json").is_file():
        return "has a config.json without `model_type`; it is no model of transformers"
    return "has no config.json; expected the folder that save_pretrained writes"


def read_config(source: Source) -> Any:
    """The model's configuration. Raises RequestError."""
    from transformers import AutoConfig

    with readable(source), quiet():
        config = AutoConfig.from_pretrained(source.read_from, **source.arguments)
    check_kernels(config, f"model.path: {source}")
    return config


def load(
    source: Source,
    config: Any,
    asked: Mapping[str, Any],
    weights: Literal["pretrained", "random"],
    tokens: int = 0,
) -> tuple[Any, Loading | None]:
    """The module, and what became of each of its parameters. Raises RequestError.

    tokens: for how many it has rows at least.
    """
    import torch

    from ftune.models.hf_grow import grow

    if weights == "random":
        with readable(source):
            model = bare(config, asked, fresh=True, trusted=source.trusted)
        grow(model, tokens)
        return model, None
    factory, more = _factory(asked)
    with readable(source), quiet():
        model, info = factory.from_pretrained(
            source.read_from, config=config, dtype=torch.float32, output_loading_info=True,
            ignore_mismatched_sizes=True, **more, **source.arguments,
        )  # fmt: skip
    _judge(source, config, info)
    model, unused = _trimmed(model, asked["kind"])
    grown = grow(model, tokens)
    prefix = "lm." if asked["kind"] == "causal-lm" else "encoder."
    report = _report(model, info, unused, prefix)
    return model, replace(report, grown={prefix + name: rows for name, rows in grown.items()})


def _judge(source: Source, config: Any, info: Mapping[str, Any]) -> None:
    """Raises RequestError where weights of the body have other shapes than the configuration."""
    labels = getattr(config, "num_labels", None)
    wrong = [
        f"{name}: the files have {list(there)}, the model {list(wanted)}"
        for name, there, wanted in (item for item in info["mismatched_keys"] if len(item) == 3)
        if not (wanted and wanted[0] == labels and "." in name and len(wanted) <= 2)
    ]
    if wrong:
        more = f"; {len(wrong)} in all" if len(wrong) > 1 else ""
        raise RequestError(
            f"model.path: {source}: its weights do not fit its config.json: {wrong[0]}{more}"
        )


def bare(config: Any, asked: Mapping[str, Any], fresh: bool = False, trusted: bool = False) -> Any:
    """The module of a configuration, initialised if `fresh`; else nothing is written to it yet.

    trusted: whether its class comes from code that was consented to.
    """
    import torch
    from transformers.initialization import no_init_weights

    factory, more = _factory(asked)
    with quiet(), contextlib.nullcontext() if fresh else no_init_weights():
        model = factory.from_config(config, dtype=torch.float32, trust_remote_code=trusted, **more)
    model.tie_weights()
    return _trimmed(model, asked["kind"])[0]


def _factory(asked: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    import transformers

    more = {key: value for key, value in asked.items() if key != "kind"}
    return getattr(transformers, _FACTORIES[asked["kind"]]), more


def _trimmed(found: Any, kind: str) -> tuple[Any, list[str]]:
    """Without BERT's pooler, which our pooling does not read: it would get no gradient."""
    if kind != "encoder" or getattr(found, "pooler", None) is None:
        return found, []
    if "add_pooling_layer" not in inspect.signature(type(found).__init__).parameters:
        return found, []
    names = [f"pooler.{name}" for name, _ in found.pooler.named_parameters()]
    found.pooler = None
    return found, names


def _report(found: Any, info: Mapping[str, Any], unused: list[str], prefix: str) -> Loading:
    """Names as they are in the whole model; missing: those that begin fresh."""
    mismatched = {item[0] if isinstance(item, tuple) else item for item in info["mismatched_keys"]}
    missing = set(info["missing_keys"]) - mismatched - set(unused)
    own = [name for name, _ in found.named_parameters()]
    loaded = [name for name in own if name not in missing | mismatched]
    unexpected = {*info["unexpected_keys"], *unused}
    parts = (loaded, sorted(missing), sorted(unexpected), sorted(mismatched))
    return Loading(*(tuple(prefix + name for name in part) for part in parts))


def plain(config: Any) -> dict[str, Any]:
    """A configuration as JSON, without where it came from."""
    content: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    for key in ("_name_or_path", "_model_name_or_path", "quantization_config"):
        content.pop(key, None)
    return content


def config_of(stored: Mapping[str, Any]) -> Any:
    """The inverse of `plain`."""
    from transformers import AutoConfig

    check_layers(stored, "the model's stored configuration")
    with quiet():
        kind = type(AutoConfig.for_model(stored["model_type"]))
        config = kind.from_dict(dict(stored))
    check_kernels(config, "the model's stored configuration")
    return config


def own_config_of(stored: Mapping[str, Any], path: str | None, digest: str) -> Any:
    """The same, of a model whose class is its folder's code. Raises RequestError.

    Asked for anew each time: that the run once had consent grants nothing.
    """
    folder = Path(path or "")
    source = Source(str(folder), opened=opened(folder) if path else None)
    if source.opened is None or source.opened.digest is None:
        raise RequestError(f"model.path: {source} {refusal(folder)}")
    if source.opened.digest != digest:
        raise RequestError(f"model.path: {source}: its code is not the one that the run trained")
    config = type(read_config(source)).from_dict(dict(stored))
    config._name_or_path = source.read_from
    return config
