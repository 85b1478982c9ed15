"""Frozen weights in 16, 8 or 4 bits, and the plain tensors that files hold of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ftune.adapt.frozen_linear import HalfParameter, store_bf16
from ftune.adapt.names import find_module, strip_wrappers
from ftune.errors import CheckpointError, MissingExtraError, RequestError, RunFailedError
from ftune.log_suppression import quiet

SCALE = "_scale"
QUANTISED = ("bf16", "int8", "nf4")


def why_not_adaptable(module: nn.Module, kind: str, shared: bool = False) -> str | None:
    """Why a module cannot be stored in `kind`, in words; None where it can."""
    if not isinstance(module, nn.Linear) or not isinstance(
        module._parameters.get("weight"), nn.Parameter
    ):
        return f"{type(module).__name__} is no linear layer"
    if shared:
        return "its weight is shared with another module"
    if kind == "nf4" and module.weight.device.type != "cuda":
        return f"nf4 runs on CUDA only and the model is on {module.weight.device.type}; use int8"
    return None


def quantize_module(model: nn.Module, path: str, kind: str) -> None:
    """Replaces the weight at `path` by a quantised one, frozen. Twice is once.

    Raises MissingExtraError without the library and RequestError where it cannot be.
    """
    module = find_module(model, path)
    if is_quantised(module._parameters.get("weight")):
        return
    reason = why_not_adaptable(module, kind)
    if reason:
        raise RequestError(f"`{path}` cannot be quantised to {kind}: {reason}")
    if kind == "bf16":
        assert isinstance(module, nn.Linear)
        store_bf16(module)
    elif kind == "int8":
        _to_int8(module)
    else:
        _to_nf4(model, path, module)
    if not is_quantised(module._parameters.get("weight")) and kind == "int8":
        raise RunFailedError(f"torchao left `{path}` as it was; no reason was given")


def _to_int8(module: nn.Module) -> None:
    """Symmetric, one scale for each output (torchao's Int8WeightOnlyConfig)."""
    if importlib.util.find_spec("torchao") is None:
        raise MissingExtraError("quantize: int8", "compress")
    with quiet():  # torchao reports kernels of other devices
        from torchao.quantization import Int8WeightOnlyConfig, quantize_

        quantize_(module, Int8WeightOnlyConfig(), filter_fn=lambda found, _: found is module)


def _to_nf4(model: nn.Module, path: str, module: nn.Module) -> None:
    """Blocks of 64 weights on the quantiles of a normal (QLoRA, Dettmers et al. 2023)."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise RequestError("quantize: nf4 needs bitsandbytes: pip install bitsandbytes")
    import bitsandbytes as bnb

    assert isinstance(module, nn.Linear)
    layer = bnb.nn.Linear4bit(
        module.in_features, module.out_features, bias=module.bias is not None,
        compute_dtype=module.weight.dtype, quant_type="nf4", device="meta",
    )  # fmt: skip
    layer.weight, layer.bias = _nf4(module.weight), module.bias
    owner, _, name = path.rpartition(".")
    (find_module(model, owner) if owner else model)._modules[name] = layer


def _nf4(weight: Tensor) -> Any:
    import bitsandbytes as bnb

    packed = bnb.nn.Params4bit(weight.detach(), requires_grad=False, quant_type="nf4")
    return packed.to(weight.device)


def is_quantised(weight: Any) -> bool:
    """Whether a weight is one of these."""
    marked = hasattr(weight, "qdata") or hasattr(weight, "quant_state")
    return weight is not None and (marked or isinstance(weight, HalfParameter))


def plain_weight(weight: Tensor) -> Tensor:
    """A weight as a tensor of floats, of 16 bits as one of 32; itself where it is one."""
    if isinstance(weight, HalfParameter):
        return weight.float()
    state = getattr(weight, "quant_state", None)
    if state is not None:
        import bitsandbytes as bnb

        return bnb.functional.dequantize_4bit(weight.data, state)  # type: ignore[no-any-return]
    return weight.dequantize() if hasattr(weight, "qdata") else weight


def base_state_dict(model: nn.Module, packed: bool = False) -> dict[str, Tensor]:
    """The state dict as files hold it: plain tensors under the names that users know.

    Quantised weights are dequantised, or with `packed` kept exactly and small: 16 bits as they
    are; 8-bit integers under the weight's name and their scales [outputs, 1] under
    `…weight_scale`; for nf4 what bitsandbytes stores.
    """
    tensors: dict[str, Tensor] = {}
    tensor: Any
    for name, tensor in model.state_dict(keep_vars=True).items():
        plain = strip_wrappers(name)
        if packed and hasattr(tensor, "qdata"):
            tensors[plain], tensors[plain + SCALE] = tensor.qdata, tensor.scale
        elif packed and is_quantised(tensor):
            tensors[plain] = tensor.data
        elif packed or ".weight." not in plain or not _belongs_to_nf4(model, name):
            tensors[plain] = plain_weight(tensor).detach()
    return tensors


@torch.no_grad()
def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `base_state_dict`, packed or not, into the same structure.

    Packed weights come back bit for bit; plain ones are quantised anew, within half a step.
    Raises CheckpointError where names or shapes differ.
    """
    own = {
        strip_wrappers(name): tensor
        for name, tensor in model.state_dict(keep_vars=True).items()
        if not _belongs_to_nf4(model, name)
    }
    packed = [name for name, tensor in own.items() if is_quantised(tensor)]
    beside = tuple(f"{name}{end}" for name in packed for end in (SCALE, "."))
    missing = sorted(set(own) - set(tensors))
    unexpected = [n for n in tensors if n not in own and not n.startswith(beside)]
    wrong = [n for n in own if n in tensors and not _fits(own[n], tensors[n])]
    if missing or unexpected or wrong:
        raise CheckpointError(_differences(missing, unexpected, wrong))
    left = dict(tensors)
    for name, tensor in own.items():
        if is_quantised(tensor):
            _load_quantised(model, name, tensor, left)
        else:
            tensor.copy_(left[name])


def keep_packed(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Weights that a base holds in 8 bits, bit for bit: quantised anew they would drift."""
    own: Any
    for name, own in model.state_dict().items():
        given, scale = (tensors.get(strip_wrappers(name) + end) for end in ("", SCALE))
        if hasattr(own, "qdata") and scale is not None and given is not None:
            own.qdata.copy_(given)
            own.scale.copy_(scale)


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Packed 8-bit weights as plain ones, for a model that is not quantised."""
    return {
        name: t.float() * tensors[name + SCALE] if t.dtype == torch.int8 else t
        for name, t in tensors.items()
        if tensors.get(name.removesuffix(SCALE), t).dtype != torch.int8 or t.dtype == torch.int8
    }


def _fits(own: Tensor, given: Tensor) -> bool:
    """Whether shapes agree; what bitsandbytes packs has a shape of its own."""
    return own.shape == given.shape or hasattr(own, "quant_state")


def _load_quantised(model: nn.Module, name: str, own: Any, left: dict[str, Tensor]) -> None:
    path, _, _ = name.rpartition(".")
    given = left.pop(name)
    if isinstance(own, HalfParameter):
        own.copy_(given)
        return
    if hasattr(own, "qdata") and not given.is_floating_point():
        own.qdata.copy_(given)
        own.scale.copy_(left.pop(name + SCALE))
        return
    module: Any = find_module(model, path)
    if not given.is_floating_point():
        stats = {key: left.pop(key) for key in list(left) if key.startswith(name + ".")}
        import bitsandbytes as bnb

        module.weight = bnb.nn.Params4bit.from_prequantized(
            given, {k.removeprefix(path + "."): t for k, t in stats.items()}, device=own.device
        )
        return
    if hasattr(own, "qdata"):
        module.weight = nn.Parameter(given.to(own.device, own.dtype), requires_grad=False)
        quantize_module(model, path, "int8")
    else:
        module.weight = _nf4(given.to(own.device, own.quant_state.dtype))


def _belongs_to_nf4(model: nn.Module, name: str) -> bool:
    """Whether an entry of the state dict is one of the tables beside a 4-bit weight."""
    path, separator, _ = name.partition(".weight.")
    return bool(separator) and hasattr(find_module(model, strip_wrappers(path)), "quant_state")


def _differences(missing: list[str], unexpected: list[str], wrong: list[str]) -> str:
    lines = [
        f"  {what}: {', '.join(names[:8])}{f' … ({len(names)} in all)' if len(names) > 8 else ''}"
        for what, names in (("missing", missing), ("unexpected", unexpected),
                            ("of another shape", wrong))
        if names
    ]  # fmt: skip
    return "the stored tensors do not fit the model:\n" + "\n".join(lines)
