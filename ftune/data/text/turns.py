"""One conversation, in the forms that people have, as the turns that chat templates read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ftune.config.spelling import nearest

Turn = Mapping[str, Any]
ASSISTANT = "assistant"
ROLES = ("system", "user", "assistant", "tool", "developer", "function", "ipython")
ALIASES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "observation": "tool"}
"""What ShareGPT calls the roles."""
KEYS = (("role", "content"), ("from", "value"))
"""Where OpenAI's form and ShareGPT's have role and content."""


class WrongRowError(ValueError):
    """What is wrong with one row."""


@dataclass(frozen=True)
class Keys:
    """Where a turn has its role and content; None: either form of KEYS. roles: a row's role -> one
    of ROLES, beside ALIASES."""

    role: str | None = None
    content: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)

    def pair(self, turn: Mapping[str, Any]) -> tuple[str, str]:
        """The keys of role and content that hold for a turn."""
        role, content = next((p for p in KEYS if p[0] in turn), KEYS[0])
        return self.role or role, self.content or content


def turns_of(value: Any, keys: Keys) -> list[Turn]:
    """The turns of a JSON text; raises WrongRowError with the number of the turn."""
    turns = parsed(value)
    if not isinstance(turns, list) or not turns:
        raise WrongRowError("expected a list of turns, [{role: user, content: …}, …]")
    return [_turn(i, turn, keys) for i, turn in enumerate(turns, 1)]


def _turn(number: int, turn: Any, keys: Keys) -> Turn:
    if not isinstance(turn, dict):
        raise WrongRowError(f"turn {number} is no object; expected role and content")
    given = {key: value for key, value in turn.items() if value is not None}
    role_key, content_key = keys.pair(given)
    calls = _calls(number, given.get("tool_calls"))
    if role_key not in given or (content_key not in given and not calls):
        names = ", ".join(given) or "none"
        raise WrongRowError(
            f"turn {number} has the keys {names}; expected {role_key} and {content_key}"
        )
    rest = {key: v for key, v in given.items() if key not in (role_key, content_key, "tool_calls")}
    return {
        "role": _role(number, given[role_key], keys),
        "content": _text(number, given.get(content_key, "")),
        **({"tool_calls": calls} if calls else {}),
        **rest,
    }


def _role(number: int, role: Any, keys: Keys) -> str:
    known = ALIASES | {name: name for name in ROLES} | dict(keys.roles)
    if not isinstance(role, str) or role not in known:
        near = nearest(str(role), known)
        remedy = (
            f"did you mean `{near}`?"
            if near
            else f"expected one of {', '.join(ROLES[:4])}, or name it: messages: {{column: …,"
            f" roles: {{{role}: user}}}}"
        )
        raise WrongRowError(f"turn {number} has the role `{role}`; {remedy}")
    return known[role]


def _text(number: int, content: Any) -> str:
    """A text, or parts of text joined as chat templates write them: with nothing between."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise WrongRowError(f"the content of turn {number} is no text")
    return "".join(_part(number, i, part) for i, part in enumerate(content, 1))


def _part(number: int, place: int, part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, dict) else None
    if kind != "text" or not isinstance(part.get("text"), str):
        what = f"`{kind}`" if kind and kind != "text" else "no text"
        raise WrongRowError(
            f"part {place} of turn {number} is {what}; only parts of `type: text` are read"
        )
    return str(part["text"])


def _calls(number: int, calls: Any) -> list[Any]:
    """Calls of tools; arguments that are JSON in a text become what they say, as templates expect.

    OpenAI writes them as text; templates write them out by `tojson` (transformers' tool use).
    """
    if not calls:
        return []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise WrongRowError(f"the tool_calls of turn {number} are no list of objects")
    return [_call(call) for call in calls]


def _call(call: dict[str, Any]) -> dict[str, Any]:
    inner = call.get("function")
    if isinstance(inner, dict):
        return call | {"function": _call(inner)}
    try:
        arguments = json.loads(call["arguments"])
    except (KeyError, TypeError, ValueError):
        return call
    return call | {"arguments": arguments} if isinstance(arguments, dict) else call


def counts(turn: Turn) -> bool:
    """Whether a turn is one to learn; OpenAI's `weight: 0` leaves an answer out of the loss."""
    return bool(turn["role"] == ASSISTANT and turn.get("weight", 1) != 0)


def without_answer(turns: Sequence[Turn]) -> list[Turn]:
    """The turns up to the last one that is not the assistant's: what is left to answer."""
    last = max((i for i, turn in enumerate(turns) if turn["role"] != ASSISTANT), default=-1)
    return list(turns[: last + 1])


def parsed(text: Any) -> Any:
    """What a JSON text holds. Raises WrongRowError."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError:
        raise WrongRowError("holds half of a character (a lone surrogate)") from None
    except (ValueError, TypeError, RecursionError):
        raise WrongRowError("not a JSON list; write `[…]` with double quotes") from None
