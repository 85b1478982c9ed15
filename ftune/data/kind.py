"""The kinds of data, and of what is predicted from them."""

from __future__ import annotations

from typing import Literal

Kind = Literal["table", "text", "images"]
TargetKind = Literal["classes", "numbers", "labels", "tokens", "tags"]
