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
from ftune.exports.atomic_target import atomic_target, disk_errors, size_of
from ftune.exports.export_model import Batch, ExportModel
from ftune.exports.verify import Verification, coarseness, verify


class Writer(Protocol):
    """The module of a format."""

    def write(self, export_model: ExportModel, path: Path) -> list[str]:
        """Writes, and says what the user should know. Raises RequestError for an unfit model."""

    def read(self, path: Path, export_model: ExportModel) -> Callable[[Batch], Tensor]:
        """What was written, loaded by the library that others read it with."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    verification: Verification
    size: int
    notes: list[str]


def write_verified(export_model: ExportModel, form: Format, target: Path) -> Exported:
    """Writes beside, proves, then takes the target's place.

    Raises RunFailedError where what was read back differs from the model; nothing is left then.
    """
    writer = cast(Writer, importlib.import_module(form.module))
    export_model.model.cpu().eval()
    with atomic_target(target) as path:
        with disk_errors(target):
            notes = writer.write(export_model, path)
        verification = _proved(writer, path, export_model, form)
        size = size_of(path)
    return Exported(verification, size, notes)


def _proved(writer: Writer, path: Path, export_model: ExportModel, form: Format) -> Verification:
    """Raises RunFailedError where the verification fails, or nothing can be read.

    What was merged has rounded; the file must give that to the format's tolerance.
    """
    judges = [(export_model.model, form.tolerance)]
    if export_model.adapted and not export_model.apart:
        rounded = form.tolerance + coarseness(export_model.model)
        judges = [(export_model.plain, form.tolerance), (export_model.model, rounded)]
    try:
        read = writer.read(path, export_model)
        verifications = [verify(model, read, export_model.examples, most) for model, most in judges]
    except RunFailedError:
        raise
    except Exception as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise RunFailedError(f"{path.name} cannot be read back: {reason}") from None
    for verification in verifications:
        if not verification.holds:
            raise RunFailedError(
                f"{path.name} is not kept: read back, its outputs differ from the model's by up "
                f"to {verification.difference:.3g}; {verification.allowed:.3g} is allowed"
            )
    return verifications[-1]
