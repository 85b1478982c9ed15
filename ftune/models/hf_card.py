"""What a checkpoint says of a model of transformers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ftune.errors import CheckpointError, FtuneError
from ftune.models.shapes import Pooling
from ftune.record import Record

Kind = Literal["causal-lm", "encoder", "sequence", "token"]


@dataclass(frozen=True)
class HfCard:
    """The structure of a model of transformers.

    config: transformers' own. code: digest of the folder's code that gives its class. splits,
    packs: what the language model was seen to do, see `hf_modules.CausalLm`.
    """

    kind: Kind
    pooling: Pooling
    config: Mapping[str, Any]
    code: str | None = None
    splits: bool = True
    packs: bool = True

    @classmethod
    def parse(cls, value: object) -> HfCard:
        """Return the card in a checkpoint. Raises CheckpointError where it is no such card."""
        card = Record.parse(value, "the checkpoint", "model")
        return cls(
            kind=card.choice("kind", get_args(Kind)),
            pooling=card.choice("pooling", get_args(Pooling)),
            config=card.object("config"),
            code=card.text("code", None),
            splits=card.flag("splits", True),
            packs=card.flag("packs", True),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `parse` reads."""
        return asdict(self)


@contextlib.contextmanager
def rebuilding() -> Iterator[None]:
    """Turn what transformers raises for a stored configuration into CheckpointError."""
    from ftune.security.limits.modules import weighed

    try:
        with weighed("model"):
            yield
    except FtuneError:
        raise
    except Exception as error:  # transformers and what it is made of raise all kinds
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise CheckpointError(
            f"the checkpoint: damaged: no model can be made of its `model.config` ({reason})"
        ) from error
