"""Where a model of transformers is read from, and what its files cannot be read for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftune.errors import FtuneError, RequestError
from ftune.hub import UNREACHABLE
from ftune.log_suppression import quiet
from ftune.models.shapes import Pooling
from ftune.security.limits import documents
from ftune.security.remote_code import Opened, refusal
from ftune.security.untrusted_files import NotTensorsError, global_in

_POOLINGS: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last", "pooling_mode_max_tokens": "max",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Where a model is read from. place: a folder or a hub name; gguf: the file in that folder.

    opened: the same folder as transformers may read it, with its code or without.
    """

    place: str
    gguf: str | None = None
    local: bool = True
    opened: Opened | None = None

    def __str__(self) -> str:
        return f"{self.place}/{self.gguf}" if self.gguf else self.place

    @property
    def arguments(self) -> dict[str, Any]:
        """How transformers is told."""
        gguf = {"gguf_file": self.gguf} if self.gguf else {}
        return {"local_files_only": self.local, "trust_remote_code": self.trusted, **gguf}

    @property
    def read_from(self) -> str:
        return self.opened.place if self.opened else self.place

    @property
    def trusted(self) -> bool:
        """Whether code from the folder may run: consent was given for this very code."""
        return self.opened is not None and self.opened.trusted

    def noted_pooling(self) -> Pooling | None:
        """What sentence-transformers wrote beside the model, if it did."""
        from transformers.utils.hub import cached_file

        with quiet():
            file = cached_file(
                self.place, "1_Pooling/config.json", local_files_only=self.local,
                _raise_exceptions_for_missing_entries=False,
                _raise_exceptions_for_connection_errors=False,
            )  # fmt: skip
        with readable(self):
            noted = documents.read(Path(file)) if file else {}
        chosen = noted.get("pooling_mode")
        if chosen in ("mean", "cls", "max", "lasttoken"):
            return "last" if chosen == "lasttoken" else chosen
        return next((name for key, name in _POOLINGS.items() if noted.get(key)), None)


@contextlib.contextmanager
def readable(source: Source) -> Iterator[None]:
    """Turn what transformers raises within into one sentence."""
    try:
        yield
    except FtuneError:
        raise
    except Exception as error:  # transformers and what it is made of raise all kinds
        key = "path" if source.local and Path(source.place).is_dir() else "hub"
        raise RequestError(f"model.{key}: {source}: {_sentence(error, source)}") from None


def _sentence(error: Exception, source: Source) -> str:
    text = str(error)
    if isinstance(error, NotTensorsError):
        return (
            f"not loaded, because its weights are more than tensors and could run code "
            f"({global_in(text)}); have them written by save_pretrained, as model.safetensors"
        )
    if "trust_remote_code" in text:
        return refusal(source.place)
    if not Path(source.place).is_dir() and source.local:
        return UNREACHABLE
    if "does not recognize this architecture" in text:
        return "has an architecture that the installed transformers does not know; update it"
    if "no file named" in text:
        return "has no weights (model.safetensors, in shards or whole, or pytorch_model.bin)"
    first, *_ = text.strip().splitlines() or [type(error).__name__]
    return f"cannot be read: {first}"
