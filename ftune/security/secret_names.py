"""Which names, of keys and of environment variables, say that a secret follows."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from typing import Any

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_ALONE = {"password", "passwd", "passphrase", "pwd", "secret", "secrets", "credential",
          "credentials", "apikey"}  # fmt: skip
_PAIRS = {
    (kind, "key")
    for kind in ("api", "access", "secret", "private", "signing", "encryption", "account", "auth")
}
# What a tokenizer and its library call a token.
_SPECIAL = frozenset(
    {
        *("pad", "eos", "bos", "unk", "sep", "cls", "mask", "special", "boi", "eoi", "think"),
        *("image", "audio", "video", "tool", "prefix", "suffix", "middle", "space", "word"),
        *("start", "end", "stop", "first", "last", "next", "new", "max", "min", "num", "per"),
    }
)
# Settings of a secret, and where one lies, are none.
_ABOUT = {"file", "path", "dir", "folder", "sock", "helper", "limit", "count", "size", "length",
          "type", "name", "mode", "ttl", "expiry", "column", "field", "prompt"}  # fmt: skip
_TRIVIAL = {"", "none", "null", "true", "false", "auto", "default", "yes", "no", "on", "off"}
_OPAQUE = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[\w.~+/=-]{12,}")


def words_of(name: str) -> list[str]:
    """`data.apiKey`, `DATA_API_KEY` -> data, api, key."""
    return [word.lower() for word in _WORD.findall(name)]


def is_secret_key(key: str, value: Any) -> bool:
    """Whether a value under such a key is to be hidden: by the last words of the key.

    Under `token` only what could be one: a tokenizer has tokens too.
    """
    words = words_of(key.rpartition(".")[2])
    if not words or isinstance(value, bool) or not isinstance(value, str | int):
        return False
    text = str(value)
    if text.lower() in _TRIVIAL or text.startswith(("${", "***")):
        return False
    if words[-1] in _ALONE or tuple(words[-2:]) in _PAIRS:
        return len(text) >= 4
    if words[-1] == "token" and not _SPECIAL.intersection(words):
        return isinstance(value, str) and bool(_OPAQUE.fullmatch(text)) and text[0] not in "./"
    return False


def is_secret_variable(name: str, value: str) -> bool:
    """Whether an environment variable holds a secret by its name, and a value worth hiding."""
    words = words_of(name)
    named = (_ALONE | {"token"}).intersection(words) or _PAIRS.intersection(pairwise(words))
    if not named or words == ["pwd"] or words == ["oldpwd"] or words[-1] in _ABOUT:
        return False
    if _SPECIAL.intersection(words) or (is_place(value) and os.path.exists(value)):  # noqa: PTH110
        return False
    return value.lower() not in _TRIVIAL and len(value) >= (8 if value.isalpha() else 6)


def is_plain_word(value: str) -> bool:
    """A number or a word such as `classification`: hiding it would hide half of every sentence."""
    return len(value) < 8 or bool(re.fullmatch(r"[\d.,eE+-]+|[A-Za-z]+([_-][A-Za-z]+){0,2}", value))


def is_place(value: str) -> bool:
    """A path: it says where something lies, and is no secret."""
    if value.startswith(("/", "~/", "./", "../")):
        return True
    return "/" in value and os.path.exists(value)  # noqa: PTH110  (a name too long is no error)
