"""PEFT's adapter folders, read: `adapter_config.json` beside `adapter_model.safetensors`.

A tensor of ours and its name there, for a module at `path` (each under `base_model.model.`):

    path.lora.<name>.A [rank, inputs]      path.lora_A.weight [rank, inputs, *kernel]
    path.lora.<name>.B [outputs, rank]     path.lora_B.weight [outputs, rank, 1, …]
    …the same on an embedding              path.lora_embedding_A, path.lora_embedding_B
    path.lora.<name>.magnitude [outputs]   path.lora_magnitude_vector

Everything else in a folder (`modules_to_save`, biases) are tensors of the base under their own
names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ftune.adapt.edits import Edit
from ftune.adapt.targets import own_modules
from ftune.errors import CheckpointError
from ftune.security.limits import documents
from ftune.security.untrusted_files import read_safetensors, read_torch

CONFIG, WEIGHTS, PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."
PICKLED = "adapter_model.bin"
Named = dict[str, Tensor]

_KEY = re.compile(
    r"(?P<module>.+)\.lora_(?P<part>A|B|embedding_A|embedding_B|magnitude_vector)"
    r"(\.default)?(\.weight)?"
)
_REPEATED = re.compile(r"\)[*+{]|[*+}][*+{]|\{\d{2,}|\{.*\{")
"""Patterns whose time may grow without bound: groups and repetitions that are repeated."""
_MANY = re.compile(r"[*+]")
_PARTS = {"A": "A", "B": "B", "embedding_A": "A", "embedding_B": "B",
          "magnitude_vector": "magnitude"}  # fmt: skip
# Ways of starting after which the base's weights are as they were; the others change them.
_HARMLESS = (True, False, None, "gaussian", "eva", "orthogonal")
_BEYOND = ("lora_bias", "layer_replication", "target_parameters", "trainable_token_indices",
           "alora_invocation_tokens", "use_qalora", "use_bdlora", "monteclora_config",
           "velora_config", "arrow_config")  # fmt: skip


def read_peft(
    folder: str | Path, name: str = "default", prefix: str = ""
) -> tuple[list[Edit], Named]:
    """What to attach, and its tensors by our names; weights of the base among them.

    prefix: put before every name, where our model holds the base under a name of its own (`lm.`);
    `placed` finds it. Raises CheckpointError for a folder that is damaged or says what ftune
    cannot do, and for a pickled file (`.bin`) that would run code.
    """
    folder = Path(folder)
    config, stored = _config(folder), _weights(folder)
    parts: dict[str, Named] = {}
    plain: Named = {}
    for key, tensor in stored.items():
        key = key.removeprefix(PREFIX)
        match = _KEY.fullmatch(key)
        if match:
            parts.setdefault(match["module"], {})[_PARTS[match["part"]]] = tensor
        elif "lora_" in key or key.startswith("base_model."):
            raise CheckpointError(f"{folder / WEIGHTS}: `{key}` is no tensor of a LoRA adapter")
        else:
            plain[key.replace(".base_layer.", ".").replace(".modules_to_save.", ".")] = tensor
    if not parts:
        raise CheckpointError(
            f"{folder}: no LoRA tensors in it; names: {', '.join(list(plain)[:6])}"
        )
    specs, tensors = [], {f"{prefix}{key}": tensor for key, tensor in plain.items()}
    for module, own in sorted(parts.items()):
        specs.append(_spec(folder, config, module, own, name, prefix))
        for part, tensor in own.items():
            shape = (-1,) if part == "magnitude" else (tensor.shape[0], -1)
            tensors[f"{prefix}{module}.lora.{name}.{part}"] = tensor.reshape(shape)
    return specs, tensors


def placed(
    model: nn.Module, specs: Sequence[Edit], tensors: Mapping[str, Tensor]
) -> tuple[list[Edit], Named]:
    """The same under the names that `model` uses, whatever either side wraps the base in.

    Raises CheckpointError where the modules are not in the model.
    """
    modules = own_modules(model)
    wanted = [spec.module for spec in specs]
    drops = ["", *sorted({path.partition(".")[0] + "." for path in wanted})]
    adds = ["", *(f"{path}." for path in modules if path.count(".") < 2)]

    def moved(path: str, drop: str, add: str) -> str:
        return add + path.removeprefix(drop)

    pairs = [(drop, add) for drop in drops for add in adds]
    best = max(pairs, key=lambda pair: sum(moved(path, *pair) in modules for path in wanted))
    lacking = [path for path in wanted if moved(path, *best) not in modules]
    if lacking:
        raise CheckpointError(
            f"the adapter does not fit the model: {len(lacking)} of its {len(wanted)} modules are "
            f"not there: {', '.join(lacking[:4])}\n  the model has: {', '.join(list(modules)[:6])}"
            "\nGive the base that the adapter was trained on."
        )
    return (
        [replace(spec, module=moved(spec.module, *best)) for spec in specs],
        {moved(name, *best): tensor for name, tensor in tensors.items()},
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = documents.read(path)
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: no {CONFIG}: not a PEFT adapter") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: holds no mapping of settings")
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(
            f"{path}: peft_type is {kind}; ftune reads LORA. Merge it with PEFT "
            "(`merge_and_unload`) and use the merged model as the base"
        )
    used = [key for key in _BEYOND if config.get(key)]
    if used:
        raise CheckpointError(f"{path}: `{used[0]}` is set, which ftune cannot do; merge with PEFT")
    if config.get("init_lora_weights") not in _HARMLESS:
        raise CheckpointError(
            f"{path}: init_lora_weights is {config['init_lora_weights']}, which also changed the "
            "base's weights; save it with PEFT's `path_initial_model_for_weight_conversion`"
        )
    return config


def _weights(folder: Path) -> Named:
    path = folder / WEIGHTS
    if path.is_file():
        return read_safetensors(path)[1]
    path = folder / PICKLED
    if not path.is_file():
        raise CheckpointError(f"{folder}: no {WEIGHTS}: the adapter has no weights")
    content = read_torch(path)
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise CheckpointError(f"{path}: holds something other than named tensors")
    return {str(name): tensor for name, tensor in content.items()}


def _spec(
    folder: Path, config: Mapping[str, Any], module: str, own: Named, name: str, prefix: str
) -> Edit:
    """One module's adapter, checked against what the configuration says of it."""
    if not {"A", "B"} <= set(own):
        raise CheckpointError(f"{folder / WEIGHTS}: `{module}` has only one of its two factors")
    rank = _of_pattern(config, "rank_pattern", module, config.get("r", 8))
    alpha = _of_pattern(config, "alpha_pattern", module, config.get("lora_alpha", 8))
    if min(t.dim() for t in (own["A"], own["B"])) < 2 or not (
        own["A"].shape[0] == own["B"].shape[1] == rank
    ):
        raise CheckpointError(
            f"{folder}: `{module}` should have rank {rank}, but its factors are "
            f"{list(own['A'].shape)} and {list(own['B'].shape)}; config and weights do not belong "
            "together"
        )
    dora = bool(config.get("use_dora", False))
    if dora != ("magnitude" in own):
        raise CheckpointError(f"{folder}: use_dora is {dora}, `{module}` says otherwise")
    try:
        settings = {
            "rank": int(rank), "alpha": float(alpha),
            "dropout": float(config.get("lora_dropout") or 0.0),
            "rslora": bool(config.get("use_rslora", False)), "dora": dora, "init": "kaiming",
        }  # fmt: skip
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG}: a setting is no number: {error}") from None
    return Edit("lora", prefix + module, name, settings)


def _of_pattern(config: Mapping[str, Any], key: str, module: str, default: Any) -> Any:
    """PEFT's rule: the first pattern that the name ends in."""
    patterns = config.get(key) or {}
    try:
        hard = [p for p, _ in patterns.items() if _REPEATED.search(p) or len(_MANY.findall(p)) > 3]
        if hard:
            raise CheckpointError(
                f"{CONFIG}: {key}: `{hard[0][:80]}` may take for ever; merge with PEFT"
            )
        return next((value for pattern, value in patterns.items()
                     if re.match(rf"(.*\.)?({pattern})$", module)), default)  # fmt: skip
    except (re.error, AttributeError, TypeError) as error:
        raise CheckpointError(f"{CONFIG}: {key} is no mapping of patterns: {error}") from None
