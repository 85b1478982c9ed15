"""`key.path=value` and `~key.path` from the command line, applied to a tree of nodes."""

from __future__ import annotations

from collections.abc import Sequence

from ftune.config.fields import settings_of
from ftune.config.tree import MAX_DEPTH, Mark, Node, parse_value
from ftune.errors import ConfigError, Problem, RequestError
from ftune.security.redact import redact_words


def apply(root: Node, overrides: Sequence[str], schema: type) -> None:
    """Change `root`, a tree of `schema`, in place, in the order written.

    Names of variants (`optimizer.name`) come first, then whole blocks before their settings: a
    name drops the file's other settings of that block, never one typed beside it. Raises
    ConfigError for a path that cannot be reached.
    """

    def order(text: str) -> tuple[bool, int]:
        path = text.partition("=")[0].lstrip("~")
        return not _chooses_variant(path.split("."), schema), path.count(".")

    for text in sorted(overrides, key=order):
        if text.startswith("~"):
            _delete(root, text)
        else:
            _assign(root, text, schema)


def _chooses_variant(parts: Sequence[str], schema: type) -> bool:
    """Whether a path is the key that names a block's variant, not a column called `name`."""
    item = settings_of(schema).get(parts[0])
    if item is None or len(parts) < 2:
        return False
    if item.spec.kind == "block":
        return list(parts[1:]) == [item.spec.name_key]
    return item.spec.kind == "group" and _chooses_variant(parts[1:], item.spec.schema or schema)


def _mark(text: str) -> Mark:
    (shown,) = redact_words([text])  # whole: a half is no longer recognised
    shown = shown if len(shown) <= 50 else f"{shown[:50]}…"
    return Mark(f"command line `{shown}`")


def _assign(root: Node, text: str, schema: type) -> None:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise RequestError(f"`{text}` is neither a file nor an override; write key.path=value")
    mark = _mark(text)
    *parents, last = _parts(path, mark)
    node = root
    for part in parents:
        node = _descend(node, part, mark, path)
    new = parse_value(value, mark)
    if _chooses_variant([*parents, last], schema) and _changes(node, last, new):
        node.value = {}
    _put(node, last, new, mark, path)


def _parts(path: str, mark: Mark) -> list[str]:
    parts = path.split(".")
    if len(parts) > MAX_DEPTH:
        message = f"a key of {len(parts):,} parts; none has more than {MAX_DEPTH}"
        raise ConfigError([Problem(str(mark), f"{path[:40]}…", "unknown", message)])
    return parts


def _changes(place: Node, key: str, name: Node) -> bool:
    old = place.value.get(key) if isinstance(place.value, dict) else name
    return old is None or old.value != name.value


def _descend(place: Node, part: str, mark: Mark, path: str) -> Node:
    if isinstance(place.value, list):
        return place.value[_index(place, part, mark, path)]  # type: ignore[no-any-return]
    place.open()
    if part not in place.value:
        place.value[part] = Node({}, mark)
        place.keys[part] = mark
    child: Node = place.value[part]
    if not isinstance(child.value, list):
        child.open()
    return child


def _put(place: Node, key: str, value: Node, mark: Mark, path: str) -> None:
    if isinstance(place.value, list):
        place.value[_index(place, key, mark, path)] = value
        return
    place.open()
    place.value[key] = value
    place.keys[key] = mark


def _delete(root: Node, text: str) -> None:
    mark = _mark(text)
    *parents, last = _parts(text[1:], mark)
    node = root
    for part in parents:
        if isinstance(node.value, dict) and part not in node.value:
            raise _missing(mark, text[1:])
        node = _descend(node, part, mark, text[1:])
    if isinstance(node.value, list):
        del node.value[_index(node, last, mark, text[1:])]
    elif isinstance(node.value, dict) and last in node.value:
        del node.value[last]
    else:
        raise _missing(mark, text[1:])


def _missing(mark: Mark, key: str) -> ConfigError:
    return ConfigError(
        [Problem(str(mark), key, "unknown", "is not in the file, so it cannot be deleted")]
    )


def _index(place: Node, part: str, mark: Mark, path: str) -> int:
    if part.isdigit() and int(part) < len(place.value):
        return int(part)
    message = f"`{part}` is not a position in a list of {len(place.value)} (counted from 0)"
    raise ConfigError([Problem(str(mark), path, "unknown", message)])
