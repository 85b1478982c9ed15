"""PEFT's adapter folders, written; the names are in `peft_format`."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from ftune.adapt.adaptable import ROWS, TRANSPOSED, layout_of
from ftune.adapt.edits import lora_edits
from ftune.adapt.lora import Adapters, LoraAdapter, adapted_modules
from ftune.adapt.names import holders, is_adapter, strip_wrappers
from ftune.adapt.peft_format import CONFIG, PREFIX, WEIGHTS
from ftune.adapt.quantize import base_state_dict
from ftune.adapt.targets import own_modules
from ftune.errors import RequestError


@dataclass(frozen=True)
class Written:
    """What went into a folder, and the trained tensors that PEFT's format has no place for."""

    tensors: int
    left_out: tuple[str, ...]


def write_peft(
    folder: str | Path, model: nn.Module, *, base_model: str = "", strip: str = "",
    task_type: str | None = None, trained: Collection[str] = (), name: str | None = None,
) -> Written:  # fmt: skip
    """Writes the LoRA adapters of `model` as PEFT does.

    strip: what our model puts before the names of the base's own (`lm.`, `encoder.`). trained:
    names of the parameters that were trained; those outside adapters go along as
    `modules_to_save`, where the base has them. name: which adapter, where there are several.
    Raises RequestError for what PEFT cannot represent.
    """
    adapters = _one_adapter(model, name)
    inside = {path: plain for path, plain in adapters.items() if path.startswith(strip)}
    if not inside:
        raise RequestError(f"no adapter lies under `{strip}`: there is nothing to write for PEFT")
    _refuse_unlike(inside)
    own = {p.removeprefix(strip): m for p, m in own_modules(model).items() if p.startswith(strip)}
    plain = {path.removeprefix(strip): item for path, item in inside.items()}
    saved, biases = _trained_modules(model, own, plain, strip, trained)
    config = _config(plain, own, saved, biases)
    config |= {"base_model_name_or_path": base_model or None, "task_type": task_type}
    tensors = {
        PREFIX + key: tensor.cpu().contiguous().clone()
        for key, tensor in [*_adapter_tensors(plain), *_whole_tensors(own, saved, biases)]
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    outside = [path for path in adapters if path not in inside]
    names = [n for n in trained if not is_adapter(n) and not strip_wrappers(n).startswith(strip)]
    return Written(len(tensors), (*outside, *(strip_wrappers(n) for n in names)))


def _one_adapter(model: nn.Module, name: str | None) -> dict[str, tuple[nn.Module, LoraAdapter]]:
    names = sorted({edit.name for edit in lora_edits(model)})
    if not names:
        raise RequestError("the model has no LoRA adapter: there is nothing to write for PEFT")
    if name is None and len(names) > 1:
        raise RequestError(
            f"a PEFT folder holds one adapter; choose one with --adapter: {', '.join(names)}"
        )
    wanted = name or names[0]
    if wanted not in names:
        raise RequestError(f"there is no adapter `{wanted}`; there are: {', '.join(names)}")
    return {
        path: (module, adapters.named()[wanted])
        for path, (module, adapters) in adapted_modules(model).items()
        if wanted in adapters.named()
    }


Found = Mapping[str, tuple[nn.Module, LoraAdapter]]


def _refuse_unlike(found: Found) -> None:
    """PEFT's convolutions group, dilate and pad in another way, or not at all."""
    for path, (module, _) in found.items():
        if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            continue
        dilated = any(step != 1 for step in module.dilation)
        if module.groups > 1 or dilated or module.padding_mode != "zeros":
            raise RequestError(
                f"PEFT has no adapter for `{path}`: a grouped, dilated or not zero-padded "
                f"{type(module).__name__}; export merged weights instead"
            )
    if len({adapter.magnitude is None for _, adapter in found.values()}) > 1:
        raise RequestError(
            "PEFT has DoRA on all modules of an adapter or on none; give the rules with and "
            "without `dora` different names, or export merged weights"
        )


def _config(
    found: Found, own: Mapping[str, nn.Module], saved: Iterable[str], biases: bool
) -> dict[str, Any]:
    adapters = {path: adapter for path, (_, adapter) in found.items()}
    rslora = all(adapter.settings["rslora"] for adapter in adapters.values())
    ranks = {path: adapter.A.shape[0] for path, adapter in adapters.items()}
    # Where only some use rsLoRA the others' way says the same: alpha / rank = scaling.
    alphas = {p: a.scaling * (math.sqrt(ranks[p]) if rslora else ranks[p])
              for p, a in adapters.items()}  # fmt: skip
    alphas = {p: round(v) if math.isclose(v, round(v), rel_tol=1e-9) else v
              for p, v in alphas.items()}  # fmt: skip
    rank, alpha = _most_common(ranks.values()), _most_common(alphas.values())
    return {
        "peft_type": "LORA", "r": rank, "lora_alpha": alpha,
        "rank_pattern": {f"^{re.escape(p)}": r for p, r in ranks.items() if r != rank},
        "alpha_pattern": {f"^{re.escape(p)}": a for p, a in alphas.items() if a != alpha},
        "target_modules": target_modules(list(adapters), own),
        "lora_dropout": _most_common(a.dropout for a in adapters.values()),
        "use_rslora": rslora, "use_dora": any(a.magnitude is not None for a in adapters.values()),
        "fan_in_fan_out": any(layout_of(module) is TRANSPOSED for module, _ in found.values()),
        "bias": "lora_only" if biases else "none", "modules_to_save": sorted(saved) or None,
        "init_lora_weights": True, "inference_mode": True,
    }  # fmt: skip


def _most_common(values: Iterable[Any]) -> Any:
    return Counter(values).most_common(1)[0][0]


def target_modules(paths: list[str], own: Mapping[str, nn.Module]) -> list[str] | str:
    """What makes PEFT adapt exactly `paths`: last names, full names, or a pattern."""
    wanted = set(paths)
    for names in ({path.rpartition(".")[2] for path in paths}, wanted):
        reached = {p for p in own if any(p == n or p.endswith(f".{n}") for n in names)}
        if reached == wanted:
            return sorted(names)
    return "|".join(re.escape(path) for path in sorted(paths))


def _trained_modules(
    model: nn.Module, own: Mapping[str, nn.Module], found: Found, strip: str,
    trained: Collection[str],
) -> tuple[set[str], bool]:  # fmt: skip
    """Modules to save whole, and whether the biases of the adapted modules go along.

    A weight that two modules share is saved for both: PEFT copies them apart.
    """
    held_by = holders(own.items())
    parameters = {strip_wrappers(name): p for name, p in model.named_parameters()}
    saved, biases = set(), False
    for name in (strip_wrappers(n) for n in trained if not is_adapter(n)):
        if not name.startswith(strip):
            continue
        for path in held_by[id(parameters[name])]:
            if path not in found:
                saved.add(path)
            elif name.endswith(".bias"):
                biases = True
            else:
                raise RequestError(
                    f"`{name}` was trained and adapted: PEFT has no place for both; export merged"
                )
    return saved, biases


def _adapter_tensors(found: Found) -> Iterable[tuple[str, Tensor]]:
    for path, (module, adapter) in found.items():
        kind, kernel = layout_of(module), _kernel(module)
        flat = (1,) * len(kernel)
        if kind is ROWS:
            yield f"{path}.lora_embedding_A", adapter.A
            yield f"{path}.lora_embedding_B", adapter.B
        else:
            inputs = adapter.A.shape[1] // math.prod(kernel)
            yield f"{path}.lora_A.weight", adapter.A.view(-1, inputs, *kernel)
            yield f"{path}.lora_B.weight", adapter.B.view(*adapter.B.shape, *flat)
        if adapter.magnitude is not None:
            shape = (1, -1, *flat) if kernel else (-1,)
            yield f"{path}.lora_magnitude_vector", adapter.magnitude.view(shape)


def _kernel(module: nn.Module) -> tuple[int, ...]:
    """Size of a convolution's window; () for anything else."""
    return module.kernel_size if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) else ()


def _whole_tensors(
    own: Mapping[str, nn.Module], saved: Iterable[str], biases: bool
) -> Iterable[tuple[str, Tensor]]:
    for path in saved:
        for name, tensor in base_state_dict(own[path]).items():
            if not is_adapter(f"{path}.{name}"):
                yield f"{path}.{name}", tensor
    for path, module in own.items() if biases else ():
        adapted = any(isinstance(child, Adapters) for child in module.children())
        bias = module._parameters.get("bias")
        if adapted and bias is not None:
            yield f"{path}.base_layer.bias", bias
