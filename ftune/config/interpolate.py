"""`${key.path}` and `${oc.env:NAME}` inside a tree, within limits.

A reference may name a key of the composed configuration, or an environment variable
that is listed under `runtime.env`; there are no functions. Chains and lengths are bounded.
"""

from __future__ import annotations

import os
import re

from ftune.config.tree import Node, parse_value
from ftune.errors import Problem
from ftune.security.redact import remember

MAX_CHAIN = 8
MAX_LENGTH = 4096

_REFERENCE = re.compile(r"\$\{([^${}]*)\}")


class _RefusedError(Exception):
    """A reference that cannot be followed; the message says why."""


def interpolate(root: Node, kept: bool = False) -> list[Problem]:
    """Replaces references in place and returns what could not be resolved.

    kept: the configuration that lies beside a model; it is read also where its variables are not
    set, as a prediction does not need the place of the training data.
    """
    problems = []
    nodes = dict(root.walk())
    allowed = _allowed_variables(nodes)
    for path, node in nodes.items():
        if isinstance(node.value, str) and "${" in node.value:
            if kept and _unset(node.value):
                continue
            try:
                text = _resolve(node.value, nodes, allowed, 0)
            except _RefusedError as refused:
                problems.append(Problem(str(node.mark), path, "interpolation", str(refused)))
            else:
                whole = _REFERENCE.fullmatch(node.value)
                node.value = parse_value(text, node.mark).value if whole else text
    return problems


def _unset(text: str) -> bool:
    names = re.findall(r"\$\{\s*oc\.env:(\w+)\s*\}", text)
    return any(name not in os.environ for name in names)


def _allowed_variables(nodes: dict[str, Node]) -> set[str]:
    listed = nodes.get("runtime.env")
    return (
        {str(name) for name in listed.plain()}
        if listed and isinstance(listed.value, list)
        else set()
    )


def _resolve(text: str, nodes: dict[str, Node], allowed: set[str], depth: int) -> str:
    if depth > MAX_CHAIN:
        raise _RefusedError(f"refers to itself, or through more than {MAX_CHAIN} other keys")

    def value(match: re.Match[str]) -> str:
        text = _look_up(match.group(1).strip(), nodes, allowed)
        return _resolve(text, nodes, allowed, depth + 1) if "${" in text else text

    result = _REFERENCE.sub(value, text)
    if len(result) > MAX_LENGTH:
        raise _RefusedError(f"grows beyond {MAX_LENGTH} characters")
    if "${" in result:
        raise _RefusedError("is not a complete ${key.path}")
    return result


def _look_up(name: str, nodes: dict[str, Node], allowed: set[str]) -> str:
    if name.startswith("oc.env:"):
        variable = name.removeprefix("oc.env:")
        if variable not in allowed:
            raise _RefusedError(f"${{{name}}}: list {variable} under `runtime.env` to read it")
        if variable not in os.environ:
            raise _RefusedError(f"${{{name}}}: the environment has no {variable}")
        remember(variable, os.environ[variable])
        return os.environ[variable]
    if ":" in name:
        resolver = name.partition(":")[0]
        raise _RefusedError(
            f"${{{name}}}: the resolver `{resolver}` is not accepted, only ${{key.path}} and"
            " ${oc.env:NAME}"
        )
    node = nodes.get(name)
    if node is None or isinstance(node.value, dict | list):
        raise _RefusedError(f"${{{name}}}: there is no single value at `{name}`")
    return "" if node.value is None else str(node.value)
