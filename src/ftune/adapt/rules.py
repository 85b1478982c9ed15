"""Rules over names -> one effect per parameter."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ftune.adapt.schema import Rule
from ftune.config.spelling import nearest
from ftune.errors import RequestError


@dataclass(frozen=True)
class Effect:
    """What happens to one parameter. `rule`: number of the last match, or None."""

    train: bool = True
    lr_scale: float = 1.0
    weight_decay: float | None = None
    from_epoch: int = 0
    rule: int | None = None

    @property
    def state(self) -> str:
        """In words, for the table of rules."""
        if not self.train:
            return "frozen"
        parts = ["trained" if not self.from_epoch else f"trained from epoch {self.from_epoch}"]
        parts += [f"lr ×{self.lr_scale:g}"] if self.lr_scale != 1 else []
        parts += [f"weight decay {self.weight_decay:g}"] if self.weight_decay is not None else []
        return ", ".join(parts)


def resolve(rules: Sequence[Rule], names: Sequence[str]) -> dict[str, Effect]:
    """The effect on each parameter. Raises RequestError for a rule that matches nothing."""
    effects = {name: Effect() for name in names}
    for index, rule in enumerate(rules):
        matched = [name for name in names if matches(rule, name)]
        if not matched:
            raise RequestError(_no_match(index, rule, names))
        for name in matched:
            effects[name] = _applied(effects[name], rule, index)
    if names and not any(effect.train for effect in effects.values()):
        raise RequestError("adapt: the rules freeze every parameter; add one with `train: true`")
    return effects


def matches(rule: Rule, name: str) -> bool:
    """Whether a rule's pattern covers a parameter name."""
    if rule.is_regex:
        return re.search(rule.match[1:-1], name) is not None
    return fnmatch.fnmatchcase(name, rule.match)


def rule_table(
    rules: Sequence[Rule], effects: Mapping[str, Effect], sizes: Mapping[str, int]
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
            state,
        )
        for (index, state), names in sorted(rows.items())
    ]


def _applied(effect: Effect, rule: Rule, index: int) -> Effect:
    changes = {
        key: value
        for key in ("train", "lr_scale", "weight_decay", "from_epoch")
        if (value := getattr(rule, key)) is not None
    }
    if rule.from_epoch is not None:
        changes["train"] = True
    elif rule.train is not None:  # a later plain `train` ends an earlier `from_epoch`
        changes["from_epoch"] = 0
    return replace(effect, rule=index, **changes)


def _no_match(index: int, rule: Rule, names: Sequence[str]) -> str:
    word = re.sub(r"[*?/^$\\]", "", rule.match).strip(".")
    modules = sorted({name.rpartition(".")[0] for name in names})
    near = nearest(word, [*names, *modules])
    hint = f"did you mean `{near}`?" if near else "parameters: " + ", ".join(names[:12])
    more = "" if near or len(names) <= 12 else f", … ({len(names)} in all)"
    return f"adapt.{index}.match: `{rule.match}` matches no parameter; {hint}{more}"
