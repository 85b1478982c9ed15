"""One value of a YAML text set by the marks of its nodes, every other byte as it was."""

from __future__ import annotations

from collections import Counter

import yaml

from ftune.errors import RequestError


def set_value(text: str, source: str, block: str, key: str, value: str) -> str:
    """Return `text` with `value` under `block.key`: in place of the scalar there, else inserted.

    source: the file's name in messages. Raises RequestError where the text has no such block, or
    the value stands at several places by an alias.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    owner = _child(root, block)
    old = _child(owner, key)
    uses = _uses(root)
    if any(node is not None and uses[id(node)] > 1 for node in (owner, old)):
        raise RequestError(
            f"{source}: `{block}.{key}` is shared by a YAML alias; write `{key}: {value}` yourself"
        )
    if isinstance(old, yaml.ScalarNode) and old.value:
        start, end = _span(text, old)
        new = value
    elif isinstance(owner, yaml.ScalarNode) and owner.value:
        start, end = _span(text, owner)
        new = f"{{name: {text[start:end]}, {key}: {value}}}"
    elif old is None and (after := _separator(text, owner)):
        assert owner is not None
        start = end = owner.value[0][0].start_mark.index
        new = f"{key}: {value}{after}"
    else:
        raise RequestError(
            f"{source}: no `{key}:` under `{block}:` to replace; write `{key}: {value}` there"
        )
    return text[:start] + new + text[end:]


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((child for name, child in pairs if name.value == key), None)


def _uses(root: yaml.Node | None) -> Counter[int]:
    """Return how often each node is referred to: more than once where it has aliases."""
    uses: Counter[int] = Counter()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        uses[id(node)] += 1
        if uses[id(node)] > 1:
            continue
        if isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return uses


def _span(text: str, node: yaml.ScalarNode) -> tuple[int, int]:
    """Return where a scalar begins and ends, without its anchor, its tag and what follows it."""
    tokens = yaml.scan(text, Loader=yaml.SafeLoader)
    end = node.end_mark.index
    start = next(
        (t.start_mark.index for t in tokens
         if isinstance(t, yaml.ScalarToken) and t.end_mark.index == end), end,
    )  # fmt: skip
    return start, start + len(text[start:end].rstrip())  # a block scalar ends with its line


def _separator(text: str, owner: yaml.Node | None) -> str:
    """Return what follows a new pair before the first of a mapping; empty where none can stand."""
    if not isinstance(owner, yaml.MappingNode) or not owner.value:
        return ""
    if owner.flow_style:
        return ", "
    start = owner.value[0][0].start_mark.index
    indent = text[max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1 : start]
    return "" if indent.strip() else ("\r\n" if "\r\n" in text else "\n") + indent
