"""Image models of the timm library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftune.config.fields import setting
from ftune.errors import MissingExtraError, RequestError
from ftune.models.shapes import Built, Inputs, head_axes

if TYPE_CHECKING:
    from types import ModuleType


@dataclass(frozen=True)
class Timm:
    """An image model of timm (PyTorch Image Models) by its name, with a new head."""

    model: str = setting()
    """Its name in timm, as `resnet18` or `vit_small_patch16_224.augreg_in1k`."""
    pretrained: bool = setting(False)
    """Whether timm downloads weights for it; your own file of weights is given as `base`."""
    dropout: float = setting(0.0, at_least=0, below=1)
    """Share zeroed before the head while training."""

    def build(self, inputs: Inputs, outputs: int) -> Built:
        """Raises RequestError for inputs that are no images and for what timm does not know."""
        if len(inputs.shape) != 3 or inputs.positions:
            raise RequestError(
                f"model.name=timm: expects images [channels, height, width], the data are "
                f"{list(inputs.shape)}"
            )
        module = self._created(_library(), inputs, outputs)
        layer = module.get_classifier()
        head = next((name for name, each in module.named_modules() if each is layer), "")
        return Built(module, head, head_axes(module, head))

    def _created(self, timm: ModuleType, inputs: Inputs, outputs: int) -> Any:
        try:
            return timm.create_model(
                self.model, pretrained=self.pretrained, num_classes=outputs,
                in_chans=inputs.shape[0], drop_rate=self.dropout,
            )  # fmt: skip
        except (RuntimeError, OSError, ValueError, TypeError) as error:
            near = ", ".join(timm.list_models(f"*{self.model.partition('.')[0]}*")[:5])
            hint = f"; timm has {near}" if near else ""
            raise RequestError(f"model.model={self.model}: {_first_line(error)}{hint}") from None


def _library() -> ModuleType:
    """timm. Raises MissingExtraError where it is absent, RequestError where it cannot start."""
    try:
        import timm
    except ModuleNotFoundError as error:
        if error.name == "timm":
            raise MissingExtraError("model.name=timm", "timm") from None
        raise RequestError(f"model.name=timm: timm needs {error.name}, which is absent") from None
    except (ImportError, RuntimeError, OSError) as error:
        raise RequestError(f"model.name=timm: timm does not start: {_first_line(error)}") from None
    library: ModuleType = timm
    return library


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
