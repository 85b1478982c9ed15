"""From a trained model to a file or folder that has been read back and compared."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from torch import Tensor

from ftune.errors import RunFailedError
from ftune.exports import Format
from ftune.exports.place import beside, one_sentence, size_of
from ftune.exports.prove import Proof, coarseness, prove
from ftune.exports.subject import Batch, Subject


class Writer(Protocol):
    """The module of a format."""

    def write(self, subject: Subject, path: Path) -> list[str]:
        """Writes, and says what the user should know. Raises RequestError for an unfit model."""

    def read(self, path: Path, subject: Subject) -> Callable[[Batch], Tensor]:
        """What was written, loaded by the library that others read it with."""


@dataclass(frozen=True)
class Delivery:
    """What was written."""

    proof: Proof
    size: int
    notes: list[str]


def deliver(subject: Subject, form: Format, target: Path) -> Delivery:
    """Writes beside, proves, then takes the target's place.

    Raises RunFailedError where what was read back differs from the model; nothing is left then.
    """
    writer = cast(Writer, importlib.import_module(form.module))
    subject.model.cpu().eval()
    with beside(target) as path:
        with one_sentence(target):
            notes = writer.write(subject, path)
        proof = _proved(writer, path, subject, form)
        size = size_of(path)
    return Delivery(proof, size, notes)


def _proved(writer: Writer, path: Path, subject: Subject, form: Format) -> Proof:
    """Raises RunFailedError where the proof fails, or nothing can be read.

    What was merged has rounded; the file must give that to the format's tolerance.
    """
    judges = [(subject.model, form.tolerance)]
    if subject.adapted and not subject.apart:
        rounded = form.tolerance + coarseness(subject.model)
        judges = [(subject.plain, form.tolerance), (subject.model, rounded)]
    try:
        read = writer.read(path, subject)
        proofs = [prove(model, read, subject.examples, most) for model, most in judges]
    except RunFailedError:
        raise
    except Exception as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise RunFailedError(f"{path.name} cannot be read back: {reason}") from None
    for proof in proofs:
        if not proof.holds:
            raise RunFailedError(
                f"{path.name} is not kept: read back, its outputs differ from the model's by up "
                f"to {proof.difference:.3g}; {proof.allowed:.3g} is allowed"
            )
    return proofs[-1]
