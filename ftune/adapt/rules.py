"""Rules over names -> one effect per parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ftune.adapt.names import adapted_module_of, lora_part, parents, strip_wrappers
from ftune.adapt.patterns import matches, no_match, no_module_to_save
from ftune.adapt.peft_methods import fixed_parameters
from ftune.adapt.quantize import QUANTISED, is_quantised
from ftune.adapt.schema import Rule
from ftune.errors import RequestError

if TYPE_CHECKING:
    from torch import nn

    from ftune.adapt.edits import Edit


@dataclass(frozen=True)
class ParamPlan:
    """What happens to one parameter.

    rule: number of the last match, or None. layer_decay: the part of lr_scale that stems from the
    parameter's depth. adapter: what it belongs to, in words, where it is an adapter's or
    quantised.
    """

    train: bool = True
    lr_scale: float = 1.0
    weight_decay: float | None = None
    from_epoch: int = 0
    rule: int | None = None
    layer_decay: float = 1.0
    adapter: str = ""

    @property
    def state(self) -> str:
        """In words, for the table of rules."""
        parts = [self.adapter] if self.adapter else []
        if not self.train:
            return ", ".join([*parts, "frozen"])
        parts += ["trained" if not self.from_epoch else f"trained from epoch {self.from_epoch}"]
        own = self.lr_scale / self.layer_decay
        parts += [f"lr ×{own:g}"] if f"{own:g}" != "1" else []
        parts += [f"weight decay {self.weight_decay:g}"] if self.weight_decay is not None else []
        return ", ".join(parts)


def resolve(
    rules: Sequence[Rule],
    names: Sequence[str],
    model: nn.Module | None = None,
    head: str = "",
    edits: Sequence[Edit] = (),
) -> dict[str, ParamPlan]:
    """The effect on each parameter. Raises RequestError for a rule that matches nothing.

    names: of the parameters, those of attached adapters among them. model: what they belong to,
    needed where a rule has layer_decay. head: dotted name of a head that starts afresh; beside
    adapters it is trained, and everything else that no rule mentions is frozen. edits: those made
    on the model, which say what rule each adapter is of.
    """
    roles = _Roles.of(names, edits, model)
    adapted = any(rule.adds_adapter for rule in rules)
    effects = {
        name: ParamPlan(train=not adapted or (bool(head) and name.startswith(f"{head}.")))
        for name in names
    }
    for index, rule in enumerate(rules):
        if rule.over_modules:
            effects |= _on_modules(effects, rule, index, roles)
            continue
        matched = [name for name in names if matches(rule, roles.plain[name])]
        if not matched:
            raise RequestError(no_match(index, rule, list(roles.plain.values())))
        for name in matched:
            effects[name] = _applied(effects[name], rule, index)
    if any(rule.layer_decay for rule in rules):
        effects = _decayed(effects, rules, roles, model, head)
    for name in fixed_parameters(model) if model is not None else ():
        effects[name] = replace(effects[name], train=False)
    _refuse_trained_bits(effects)
    if names and not any(effect.train for effect in effects.values()):
        raise RequestError("adapt: the rules freeze every parameter; add one with `train: true`")
    return effects


@dataclass(frozen=True)
class _Roles:
    """The parameters by what they are.

    owner: of an adapter's parameter the path of its module; asked_by: the index of the rule that
    asks for its edit; quantised: names of weights in 8 or 4 bits.
    """

    plain: Mapping[str, str]
    owner: Mapping[str, str]
    asked_by: Mapping[str, int]
    quantised: frozenset[str]

    @classmethod
    def of(cls, names: Sequence[str], edits: Sequence[Edit], model: nn.Module | None) -> _Roles:
        owner = adapted_module_of(names)
        lora = {(e.module, e.name): e.rule for e in edits if e.kind == "lora"}
        peft = [edit for edit in edits if edit.kind == "peft"]
        asked_by: dict[str, int] = {}
        for name, module in owner.items():
            if part := lora_part(name):
                rule = lora.get((module, part.name))
            else:
                rule = next((e.rule for e in peft if f".{e.name}." in f"{name}."), None)
            asked_by |= {} if rule is None else {name: rule}
        weights = model.named_parameters() if model is not None else ()
        quantised = frozenset(name for name, weight in weights if is_quantised(weight))
        return cls({name: strip_wrappers(name) for name in names}, owner, asked_by, quantised)


def _on_modules(
    effects: Mapping[str, ParamPlan], rule: Rule, index: int, roles: _Roles
) -> dict[str, ParamPlan]:
    """An adapter's parameters are trained, those of the modules it is on are frozen."""
    changed = {}
    adapted = set(roles.owner.values()) if rule.adds_adapter else set()
    for name, plain in roles.plain.items():
        module, part = roles.owner.get(name), lora_part(name)
        if module is None:
            path, _, kind = plain.rpartition(".")
            if not matches(rule, path):
                continue
            if path in adapted:
                train = bool(rule.lora and rule.lora.bias and kind == "bias")
                changed[name] = replace(effects[name], train=train, rule=index, from_epoch=0)
            if rule.quantize and name in roles.quantised:
                changed[name] = replace(
                    effects[name], train=False, rule=index, adapter=rule.quantize
                )
        elif rule.lora and part and roles.asked_by.get(name) == index:
            changed[name] = _of_lora(effects[name], rule, index, part.part)
        elif rule.peft is not None and roles.asked_by.get(name) == index and matches(rule, module):
            words = f"peft {rule.peft['type']}"
            changed[name] = _applied(effects[name], rule, index, train=True, adapter=words)
    if rule.lora:
        changed |= _saved_modules(effects, rule, index, roles)
    return changed


def _of_lora(effect: ParamPlan, rule: Rule, index: int, part: str) -> ParamPlan:
    assert rule.lora
    settings = rule.lora.settings()
    words = f"lora r={settings['rank']} alpha={settings['alpha']:g}"
    words += " dora" if rule.lora.dora else ""
    applied = _applied(effect, rule, index, train=True, adapter=words)
    if rule.lora.lora_plus and part == "B":
        applied = replace(applied, lr_scale=applied.lr_scale * rule.lora.lora_plus)
    return applied


def _refuse_trained_bits(effects: Mapping[str, ParamPlan]) -> None:
    """Quantised weights have no gradient; a rule that trains them is a contradiction."""
    for name, effect in effects.items():
        if effect.train and effect.adapter in QUANTISED:
            where = f"adapt.{effect.rule}" if effect.rule is not None else "adapt"
            raise RequestError(
                f"{where}: `{strip_wrappers(name)}` is quantised to {effect.adapter} and cannot be "
                "trained; put a lora on it, or leave it out of `quantize`"
            )


def _saved_modules(
    effects: Mapping[str, ParamPlan], rule: Rule, index: int, roles: _Roles
) -> dict[str, ParamPlan]:
    """`modules_to_save`: modules that are trained in full beside the adapters."""
    assert rule.lora
    saved: dict[str, ParamPlan] = {}
    for pattern in rule.lora.modules_to_save:
        whole = Rule(pattern, train=True)
        matched = [
            name for name, plain in roles.plain.items()
            if name not in roles.owner and any(matches(whole, path) for path in parents(plain))
        ]  # fmt: skip
        if not matched:
            own = (plain for name, plain in roles.plain.items() if name not in roles.owner)
            raise RequestError(no_module_to_save(index, pattern, own))
        saved |= {name: replace(effects[name], train=True, rule=index) for name in matched}
    return saved


def _decayed(
    effects: dict[str, ParamPlan], rules: Sequence[Rule], roles: _Roles, model: nn.Module | None,
    head: str,
) -> dict[str, ParamPlan]:  # fmt: skip
    """The last `layer_decay` that matches multiplies the rate, whatever lr_scale says beside."""
    from ftune.adapt.depth import distances

    assert model is not None, "layer_decay goes by the depth of modules"
    far = distances(model, head)
    for rule in rules:
        for name, plain in roles.plain.items() if rule.layer_decay else ():
            subject = plain if not rule.over_modules else roles.owner.get(name)
            if rule.layer_decay and subject is not None and matches(rule, subject):
                own = effects[name].lr_scale / effects[name].layer_decay
                decay = rule.layer_decay ** far[name]
                effects[name] = replace(effects[name], lr_scale=own * decay, layer_decay=decay)
    return effects


def rule_table(
    rules: Sequence[Rule], effects: Mapping[str, ParamPlan], sizes: Mapping[str, int]
) -> list[tuple[str, int, int, str]]:
    """Rows of (rule, tensors, parameters, state): each parameter once, under its last rule."""
    rows: dict[tuple[int, str], list[str]] = {}
    for name, effect in effects.items():
        key = (-1 if effect.rule is None else effect.rule, effect.state)
        rows.setdefault(key, []).append(name)
    return [
        (
            "(no rule)" if index < 0 else rules[index].match,
            len(names),
            sum(sizes[n] for n in names),
            state + _spread([effects[n] for n in names]),
        )
        for (index, state), names in sorted(rows.items())
    ]


def _spread(effects: Sequence[ParamPlan]) -> str:
    """The range of rates that layer_decay makes of one row."""
    decays = [effect.layer_decay for effect in effects if effect.train]
    if not decays or min(decays) == max(decays) == 1:
        return ""
    low, high = min(decays), max(decays)
    return f", by depth ×{low:.3g}" + (f" … ×{high:.3g}" if high > low else "")


def _applied(effect: ParamPlan, rule: Rule, index: int, **more: object) -> ParamPlan:
    changes = {
        key: value
        for key in ("train", "lr_scale", "weight_decay", "from_epoch")
        if (value := getattr(rule, key)) is not None
    }
    if rule.from_epoch is not None:
        changes["train"] = True
    elif rule.train is not None:  # a later plain `train` ends an earlier `from_epoch`
        changes["from_epoch"] = 0
    if not changes and not more and effect.rule is not None:  # layer_decay alone explains less
        return effect
    return replace(effect, rule=index, **{**changes, **more})
