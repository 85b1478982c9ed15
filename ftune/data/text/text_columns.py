"""Where in a table the texts stand."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ftune.data.text.templates import Template
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.frame import Frame
    from ftune.data.kind import TargetKind
    from ftune.data.schema import Data

SETTINGS = ("text", "prompt", "response")
TOOLS = "tools"
"""The column in which OpenAI's format has the tools that may be called."""


@dataclass(frozen=True)
class TextColumns:
    """The settings of `data:` with these names; `running`: the rows make up one text.

    role, content, roles, tools, system: those of `data.messages`.
    """

    text: str | None = None
    prompt: str | None = None
    response: str | None = None
    messages: str | None = None
    running: bool = False
    role: str | None = None
    content: str | None = None
    roles: dict[str, str] = field(default_factory=dict)
    tools: str | None = None
    system: str | None = None

    @classmethod
    def of(cls, data: Data, kind: TargetKind) -> TextColumns:
        """Raises DataError where the task cannot use these columns."""
        given: dict[str, Any] = {name: getattr(data, name) for name in SETTINGS}
        if (messages := data.messages) is not None:
            given |= {
                "messages": messages.column,
                "role": messages.role,
                "content": messages.content,
            }
            given |= {"roles": messages.roles, "tools": messages.tools, "system": messages.system}
        running = bool(data.source.ordered)
        if running and not any(given.values()):
            given["text"] = "text"
        columns = cls(**given, running=running)
        if kind != "tokens" and columns.text is None:
            what = "messages" if columns.messages else "prompt"
            raise DataError(
                f"data.{what}: is for language models (task causal-lm); this task predicts {kind}:"
                " name the column with `text`"
            )
        return columns

    def template(self, name: str) -> Template:
        """One of the three texts as a template."""
        text = getattr(self, name)
        assert text is not None
        return Template(text, f"data.{name}")

    @property
    def asked(self) -> list[str]:
        """The columns of which a prediction is made."""
        if self.messages is not None:
            return [n for n in (self.messages, self.tools, self.system) if n is not None]
        return self.template("prompt" if self.prompt is not None else "text").columns

    @property
    def said(self) -> list[str]:
        """The columns that only learning and judging need."""
        return [] if self.response is None else self.template("response").columns

    def found_in(self, frame: Frame) -> TextColumns:
        """With the column `tools` where the frame has one beside the conversations."""
        beside = self.messages is not None and self.tools is None and TOOLS in frame.columns
        return replace(self, tools=TOOLS) if beside else self

    def check(self, frame: Frame) -> None:
        """Refuses a frame without the columns to learn from. Raises DataError."""
        for name in SETTINGS:
            if getattr(self, name) is not None:
                self.template(name).check(frame)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
