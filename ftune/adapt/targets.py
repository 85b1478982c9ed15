"""Which modules a rule's pattern means, and which edits the rules therefore ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from torch import nn

from ftune.adapt import adaptable, quantize
from ftune.adapt.edits import Edit
from ftune.adapt.lora import Adapters
from ftune.adapt.names import holders, strip_wrappers
from ftune.adapt.patterns import matches, near_of
from ftune.adapt.schema import Rule
from ftune.errors import RequestError

Modules = dict[str, nn.Module]


def edits_of_rules(rules: Sequence[Rule], model: nn.Module, head: str = "") -> list[Edit]:
    """Return what the rules ask of `model`: for each module and name what the last match says.

    head: dotted name of a head that starts from random weights, which patterns pass over, since
    there is nothing to adapt. Raises RequestError for a pattern that means no adaptable module.
    """
    modules = own_modules(model)
    edits: dict[tuple[str, str], Edit] = {}
    for index, rule in enumerate(rules):
        if rule.quantize:
            kind = rule.quantize
            for path in _chosen(index, rule, modules, head, _quantisable(modules, kind)):
                edits[path, "weights"] = Edit(kind, path, kind, rule=index)
        if rule.lora:
            name, settings = rule.lora.name, rule.lora.settings()
            for path in _chosen(index, rule, modules, head, _adaptable(modules)):
                edits[path, name] = Edit("lora", path, name, settings, index)
        if rule.peft is not None:
            targets = _chosen(index, rule, modules, head, lambda _: None)
            name = str(rule.peft.get("name", "default"))
            if ("", name) in edits:
                raise RequestError(f"adapt.{index}.peft: a second `{name}`; give it a `name`")
            edits["", name] = Edit("peft", "", name, {**rule.peft, "targets": targets}, index)
    order = {path: position for position, path in enumerate(["", *modules])}
    return sorted(edits.values(), key=lambda edit: order[edit.module])


def with_rules(edits: Iterable[Edit], rules: Sequence[Rule]) -> tuple[Edit, ...]:
    """Return stored edits with the index of the last of `rules` that asks for each."""
    return tuple(
        replace(edit, rule=next((i for i, r in reversed(list(enumerate(rules)))
                                 if _asks_for(r, edit)), None))
        for edit in edits
    )  # fmt: skip


def _asks_for(rule: Rule, edit: Edit) -> bool:
    if edit.kind == "peft":
        return rule.peft is not None and str(rule.peft.get("name", "default")) == edit.name
    if edit.kind == "lora":
        return rule.lora is not None and rule.lora.name == edit.name and matches(rule, edit.module)
    return rule.quantize == edit.kind and matches(rule, edit.module)


def own_modules(model: nn.Module) -> Modules:
    """The model's modules by plain path, without what adapters consist of."""
    modules: Modules = {}
    waiting = [("", model)]
    while waiting:
        path, module = waiting.pop(0)
        while "base_layer" in module._modules:  # a PEFT method's wrapper
            module = module.get_submodule("base_layer")
        if path:
            modules.setdefault(strip_wrappers(path), module)
        children = [
            (f"{path}.{name}" if path else name, child)
            for name, child in module.named_children()
            if not isinstance(child, Adapters)
        ]
        waiting[:0] = children
    return modules


def _chosen(
    index: int,
    rule: Rule,
    modules: Modules,
    head: str,
    why_not_adaptable: Callable[[str], str | None],
) -> list[str]:
    """Return the paths that a rule matches and that can be adapted, outside a fresh head."""
    matched = [path for path in modules if matches(rule, path)]
    if not matched:
        raise RequestError(_no_module(index, rule, modules))
    fresh = [path for path in matched if head and f"{path}.".startswith(f"{head}.")]
    leaves = [path for path in matched if path not in fresh and not _is_container(modules[path])]
    reasons = {path: why_not_adaptable(path) for path in leaves}
    chosen = [path for path, reason in reasons.items() if reason is None]
    chosen = [path for path in chosen if next(modules[path].parameters(), None) is not None]
    if not chosen:
        raise RequestError(_no_target(index, rule, modules, matched, fresh, reasons))
    return chosen


def _is_container(module: nn.Module) -> bool:
    """Whether a module is a container: what it has, its children have."""
    return adaptable.layout_of(module) is None and next(module.children(), None) is not None


def _adaptable(modules: Modules) -> Callable[[str], str | None]:
    return lambda path: adaptable.why_not_adaptable(
        modules[path], modules.get(path.rpartition(".")[0])
    )


def _quantisable(modules: Modules, kind: str) -> Callable[[str], str | None]:
    held_by = holders(modules.items())

    def why_not_adaptable(path: str) -> str | None:
        weight = modules[path]._parameters.get("weight")
        return quantize.why_not_adaptable(modules[path], kind, len(held_by.get(id(weight), ())) > 1)

    return why_not_adaptable


def _no_module(index: int, rule: Rule, modules: Modules) -> str:
    near = near_of(rule.match, list(modules))
    known = ", ".join(list(modules)[:12])
    more = f", … ({len(modules)} in all; `ftune model` lists them)" if len(modules) > 12 else ""
    hint = f"did you mean {near}?" if near else f"modules: {known}{more}"
    if rule.match.endswith((".weight", ".bias")):
        hint = "adapters go on modules: leave out `.weight`"
    return f"adapt.{index}.match: `{rule.match}` matches no module; {hint}"


def _no_target(
    index: int, rule: Rule, modules: Modules, matched: Sequence[str], fresh: Sequence[str],
    reasons: dict[str, str | None],
) -> str:  # fmt: skip
    where = f"adapt.{index}.match: `{rule.match}`"
    if len(fresh) == len(matched):
        return (
            f"{where} matches only the head, which starts from random weights; "
            "it is trained in full without a rule"
        )
    kinds_found = Counter(type(modules[path]).__name__ for path in matched)
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds_found.most_common(6))
    reason = next((f" ({path}: {why})" for path, why in reasons.items() if why), "")
    what = "quantised" if rule.quantize else "adapted"
    wants = "nn.Linear" if rule.quantize else "Linear, Conv1d/2d/3d, Embedding or Conv1D"
    return f"{where} matches nothing that can be {what}, only {listed}{reason}; wanted: {wants}"
