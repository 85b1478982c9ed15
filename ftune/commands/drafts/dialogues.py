"""Drafts for files of conversations or questions with answers, by the template `lora`."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from ftune.commands.drafts.roles import ONCE
from ftune.commands.drafts.write import CHOOSE, counted, quoted
from ftune.data.frame import Array, Frame

TURNS = ({"role", "content"}, {"from", "value"})
"""Keys of a turn, of OpenAI and of ShareGPT."""
ASKED = ("instruction", "prompt", "question", "query")
ANSWERED = ("output", "response", "completion", "answer")
CONTEXT = ("input", "context")
SAMPLE = 20


def dialogues(frame: Frame, source: str, path: str, title: str) -> str:
    """Return a configuration for a language model; empty where the file is a table."""
    settings = _settings(frame)
    if not settings:
        return ""
    template = resources.files("ftune") / "templates" / "lora.yaml"
    lines = template.read_text(encoding="utf-8").splitlines()[1:]
    start, end = lines.index("  source: jsonl"), lines.index("  transforms:")
    data = [f"  source: {source}", f"  path: {quoted(path)}"]
    data += [f"  {key}: {quoted(value)}" for key, value in settings.items()]
    lines = [*lines[:start], *data, *lines[end:]]
    model = next(i for i, line in enumerate(lines) if line.startswith("  path:") and i > start + 2)
    lines.insert(model, f"  # {CHOOSE}: the language model to tune, a folder or a .gguf file")
    rows = f"{counted(len(frame), 'row')}, {counted(len(frame.columns), 'column')}"
    first = f"# {title}: {rows}. A first guess by `ftune init --data`:"
    return "\n".join([first, f"# {_what(settings)}, for a language model", *lines]) + "\n"


def _what(settings: dict[str, str]) -> str:
    if "messages" in settings:
        return f"`{settings['messages']}` holds conversations"
    return "questions with answers"


def _settings(frame: Frame) -> dict[str, str]:
    """Return the settings `messages`, or `prompt` and `response`; empty for a table."""
    texts = frame.named("text")
    for name in texts:
        if _are_turns(frame[name]):
            return {"messages": name}
    by_name = {name.lower(): name for name in texts}
    asked = next((by_name[name] for name in ASKED if name in by_name), None)
    answered = next((by_name[name] for name in ANSWERED if name in by_name), None)
    if asked is None or answered is None:
        return {}
    if asked.lower() != "instruction" and len(set(frame[answered])) <= ONCE * len(frame):
        return {}  # answers out of a few are classes
    context = next((by_name[name] for name in CONTEXT if name in by_name), None)
    addition = f"{{{context}:\n\n{context.capitalize()}: {{}}}}" if context else ""
    return {"prompt": f"{{{asked}}}{addition}", "response": f"{{{answered}}}"}


def _are_turns(column: Array) -> bool:
    """Tell whether the first values are lists of turns, as JSON."""
    values = [value for value in column if value is not None][:SAMPLE]
    return bool(values) and all(map(_is_dialogue, values))


def _is_dialogue(text: str) -> bool:
    try:
        turns: Any = json.loads(text) if text.lstrip().startswith("[") else None
    except ValueError:
        return False
    return bool(turns) and all(
        isinstance(turn, dict) and any(keys <= turn.keys() for keys in TURNS) for turn in turns
    )
