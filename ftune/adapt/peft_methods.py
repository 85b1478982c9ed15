"""Any other method of the PEFT library, put into a model by the library itself.

PEFT wraps the modules it adapts: `up.weight` becomes `up.base_layer.weight` in the model, while
rules and files keep the plain name (`names.strip_wrappers`).
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ftune.adapt.names import strip_wrappers
from ftune.config.spelling import suggestion
from ftune.errors import MissingExtraError, RequestError
from ftune.log_suppression import quiet

if TYPE_CHECKING:
    from torch import Tensor, nn

OURS = {"type", "name", "targets"}
# Settings of PEFT that the rule, the run or the engine decides, and what to write instead.
ELSEWHERE = {
    "target_modules": "the rule's `match` says where",
    "exclude_modules": "the rule's `match` says where",
    "layers_to_transform": "the rule's `match` says where",
    "layers_pattern": "the rule's `match` says where",
    "modules_to_save": "write a rule {match: …, train: true}",
    "peft_type": "write `type`",
    "task_type": "the `task` block says it",
    "inference_mode": "it follows from the command",
    "base_model_name_or_path": "it is written on export",
    "revision": "it is written on export",
    "auto_mapping": "it is written on export",
    "peft_version": "it is written on export",
}
# AdaLoRA's ranks are reallocated from PEFT's own trainer; here they stay at init_r.
REALLOCATION = {
    "target_r", "tinit", "tfinal", "deltaT", "beta1", "beta2", "orth_reg_weight", "total_step",
    "rank_pattern",
}  # fmt: skip
NEEDED: dict[str, dict[str, Any]] = {
    "ADALORA": {"total_step": 1},
    "IA3": {"feedforward_modules": []},
}
_TUNERS, _FIXED, _KEPT = "_peft_tuners", "_peft_fixed", "_peft_kept"


def inject(model: nn.Module, name: str, settings: Mapping[str, Any]) -> None:
    """Puts one method into `model`, in place. Twice with the same settings is once.

    settings: `type`, `targets` (plain paths of modules) and PEFT's own. Raises RequestError for
    unknown methods and settings, and where PEFT refuses; MissingExtraError without the library.
    """
    known = model.__dict__.setdefault(_TUNERS, {})
    if name in known:
        if known[name][0] != dict(settings):
            raise RequestError(f"the model has a PEFT adapter `{name}` already; give another name")
        return
    config, tuner_class = _config(settings, _raw_paths(model, settings["targets"]))
    before = {id(parameter) for parameter in model.parameters()}
    try:
        with quiet():
            tuner = tuner_class(model, config, adapter_name=name)
    except (ValueError, TypeError, RuntimeError, NotImplementedError, AttributeError) as error:
        raise RequestError(f"PEFT refuses `{settings['type']}` here: {error}") from None
    known[name] = (dict(settings), tuner)
    fixed = model.__dict__.setdefault(_FIXED, set())
    for parameter_name, parameter in model.named_parameters():
        if id(parameter) not in before and not parameter.requires_grad:
            fixed.add(parameter_name)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raises RequestError unless PEFT knows the method and its settings."""
    _config(settings, [])


def fixed_parameters(model: nn.Module) -> set[str]:
    """Parameters that a method of PEFT keeps as they are."""
    return set(model.__dict__.get(_FIXED, ()))


def _config(settings: Mapping[str, Any], paths: Sequence[str]) -> tuple[Any, Any]:
    """PEFT's configuration object for the settings, and its tuner class."""
    if importlib.util.find_spec("peft") is None:
        raise MissingExtraError("adapt: peft", "peft")
    with quiet():
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

    kinds = {t.value.lower(): t for t in PEFT_TYPE_TO_TUNER_MAPPING}
    usable = {}
    for key, kind in kinds.items():
        names = {f.name for f in dataclasses.fields(PEFT_TYPE_TO_CONFIG_MAPPING[kind])}
        if "target_modules" in names and key not in ("adaption_prompt", "poly", "shadow"):
            usable[key] = (PEFT_TYPE_TO_CONFIG_MAPPING[kind], PEFT_TYPE_TO_TUNER_MAPPING[kind])
    wanted = str(settings["type"]).lower()
    if wanted not in usable:
        near = suggestion(wanted, usable)
        raise RequestError(
            f"adapt: peft: there is no `{settings['type']}` that goes into modules; {near}"
        )
    config: Any
    config, tuner = usable[wanted]
    own = {key: value for key, value in settings.items() if key not in OURS}
    _refuse_unknown(wanted, own, {f.name for f in dataclasses.fields(config) if f.init})
    pattern = "|".join(re.escape(path) for path in paths)
    try:
        peft_config = config(target_modules=pattern, **{**NEEDED.get(wanted.upper(), {}), **own})
    except (ValueError, TypeError) as error:
        raise RequestError(f"adapt: peft: {wanted}: {error}") from None
    return peft_config, tuner


def _refuse_unknown(kind: str, own: Mapping[str, Any], known: set[str]) -> None:
    accepted = sorted(known - set(ELSEWHERE) - (REALLOCATION if kind == "adalora" else set()))
    for key in own:
        if key in ELSEWHERE:
            raise RequestError(f"adapt: peft: leave out `{key}`: {ELSEWHERE[key]}")
        if kind == "adalora" and key in REALLOCATION:
            raise RequestError(
                f"adapt: peft: `{key}` has no effect here: ranks are not reallocated and stay at "
                "`init_r`; leave it out"
            )
        if key not in known:
            raise RequestError(
                f"adapt: peft: {kind} has no setting `{key}`; {suggestion(key, accepted)}"
            )


def _raw_paths(model: nn.Module, targets: Sequence[str]) -> list[str]:
    """Where the modules really are, inside the wrappers of methods injected before."""
    raw = {strip_wrappers(f"{path}."): path for path, _ in model.named_modules()}
    missing = [path for path in targets if f"{path}." not in raw]
    if missing:
        raise RequestError(f"the model has no module `{missing[0]}` to adapt")
    return [raw[f"{path}."] for path in targets]


def merge_methods(model: nn.Module) -> None:
    """Folds PEFT's adapters into the wrapped weights; these are kept for `unmerge_methods`."""
    if not model.__dict__.get(_TUNERS) or _KEPT in model.__dict__:
        return
    model.__dict__[_KEPT] = {
        name: tensor.detach().clone()
        for name, tensor in model.state_dict(keep_vars=True).items()
        if ".base_layer." in f".{name}"
    }
    for _, tuner in model.__dict__[_TUNERS].values():
        _or_refuse(tuner, "merge_adapter")


def unmerge_methods(model: nn.Module) -> None:
    """The wrapped weights back, bit for bit."""
    originals: dict[str, Tensor] | None = model.__dict__.pop(_KEPT, None)
    if originals is None:
        return
    for _, tuner in model.__dict__[_TUNERS].values():
        try:
            tuner.unmerge_adapter()
        except NotImplementedError:  # OSF; the weights come back below
            for module in model.modules():
                getattr(module, "merged_adapters", []).clear()
    own = model.state_dict()
    for name, tensor in originals.items():
        own[name].data.copy_(tensor)


def fold_methods(model: nn.Module) -> nn.Module:
    """The model with PEFT's adapters merged and its modules as they were before."""
    unmerge_methods(model)
    for _, tuner in reversed(list(model.__dict__.pop(_TUNERS, {}).values())):
        model = _or_refuse(tuner, "merge_and_unload")
    model.__dict__.pop(_FIXED, None)
    return model


def _or_refuse(tuner: Any, action: str) -> Any:
    try:
        return getattr(tuner, action)()
    except (NotImplementedError, AttributeError, ValueError, TypeError) as error:
        name = type(tuner).__name__.removesuffix("Model")
        raise RequestError(f"PEFT cannot merge {name} into the weights: {error}") from None
