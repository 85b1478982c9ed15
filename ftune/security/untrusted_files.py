"""Files that others wrote: the one place that reads what torch or safetensors saved.

Tensors are read without running anything. A pickle that would run code is refused with what it
would run; with `security.consent` it is loaded from the very bytes whose hash was granted.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftune.errors import CheckpointError
from ftune.log_suppression import quiet
from ftune.security import consent
from ftune.security.limits.tensors import loaded, safetensors_file, torch_file
from ftune.security.pickle_scan import named_in

if TYPE_CHECKING:
    from torch import Tensor

NotTensorsError = pickle.UnpicklingError
"""What torch's weights-only loader raises, in the libraries that call it too."""
HOW = "Save it with torch.save(model.state_dict(), path)."


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors by name. Raises CheckpointError."""
    from safetensors import SafetensorError, safe_open

    try:
        safetensors_file(path)
        with safe_open(path, framework="pt") as file:
            story: dict[str, str] = file.metadata() or {}
            return story, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, or damaged: {error}") from None


def read_torch(path: Path) -> Any:
    """What torch.save wrote. Raises CheckpointError for damage, and for code without consent."""
    import torch

    try:
        torch_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever is odd about the file is an error below
            return loaded(path, torch.load(path, map_location="cpu", weights_only=True))
    except CheckpointError:
        raise
    except NotTensorsError:
        return _with_consent(path)
    except Exception as error:  # a damaged file makes the old format raise all kinds
        raise CheckpointError(_fault(path, error)) from None


def named_tensors(content: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """With the state dict in the place of each whole module, which only consented files hold."""
    from torch import nn

    return {k: v.state_dict() if isinstance(v, nn.Module) else v for k, v in content.items()}


def global_in(text: str) -> str:
    """The name that torch's refusal tells."""
    match = re.search(r"GLOBAL (\S+)", text)
    return match[1] if match else "unknown content"


def _with_consent(path: Path) -> Any:
    """Refused without consent; with it, what is loaded is the very bytes that were hashed."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        named = ", ".join(named_in(file)) or "unknown content"
    if not consent.granted(digest, str(path)):
        raise CheckpointError(
            f"{path}: not loaded, because it holds more than tensors and could run code ({named}). "
            f"{HOW} To run its code all the same: {consent.how(digest)}"
        )
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise CheckpointError(f"{path}: was written to while it was read; its code has not run")
    return _run(path, content)


def _run(path: Path, content: bytes) -> Any:
    """Loads from memory, so that nobody can put another file in its place meanwhile."""
    import torch
    from torch import nn

    try:
        with quiet():
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)
    except Exception as error:  # the file's own code may raise whatever it likes
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{path}: its code ran and failed: {reason}; classes of your own are found beside the "
            "file that --code names"
        ) from None
    return loaded.state_dict() if isinstance(loaded, nn.Module) else loaded


def _fault(path: Path, error: Exception) -> str:
    text = str(error)
    if "TorchScript" in text:
        return (
            f"{path}: not loaded, because a TorchScript archive holds code. Save the tensors "
            "with torch.save(model.state_dict(), path)."
        )
    if ".tar format" in text:
        return f"{path}: not loaded: torch's tar format of before 2017 can run code. {HOW}"
    return f"{path}: not a torch file: {(text or 'it ends too early').splitlines()[0]}"
