"""DoRA's gradients against PEFT's: the norm of the direction has none of its own (section 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.adapt.edits import Edit, replay
from ftune.adapt.lora import LoraAdapter
from ftune.adapt.schema import Lora

peft = pytest.importorskip("peft")

KINDS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "linear": (lambda: nn.Linear(5, 7), lambda: torch.randn(3, 5)),
    "linear without bias": (lambda: nn.Linear(5, 7, bias=False), lambda: torch.randn(2, 3, 5)),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1), lambda: torch.randn(2, 4, 5, 5)),
    "embedding": (lambda: nn.Embedding(9, 4), lambda: torch.randint(9, (3, 5))),
}


def both(kind: str) -> tuple[nn.Sequential, LoraAdapter, Any, Any, Tensor]:
    """One module with the same DoRA twice, by ftune and by PEFT, moved away from its start."""
    torch.manual_seed(0)
    build, inputs = KINDS[kind]
    ours, theirs = nn.Sequential(build()), nn.Sequential(build())
    theirs.load_state_dict(ours.state_dict())
    settings = Lora(rank=2, alpha=6, dora=True).settings()
    replay(ours, [Edit("lora", "0", "default", settings)])
    adapter: Any = next(m for m in ours.modules() if isinstance(m, LoraAdapter))
    config = peft.LoraConfig(r=2, lora_alpha=6, use_dora=True, target_modules=["0"])
    wrapped = peft.get_peft_model(theirs, config)
    layer: Any = wrapped.base_model.model[0]
    for parameter in adapter.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    for name, own in zip("AB", (adapter.A, adapter.B), strict=True):
        _foreign(layer, name).data.copy_(own.detach().view_as(_foreign(layer, name)))
    magnitude = layer.lora_magnitude_vector["default"].weight
    magnitude.data.copy_(adapter.magnitude.detach().view_as(magnitude))
    return ours, adapter, wrapped, layer, inputs()


def _foreign(layer: Any, name: str) -> nn.Parameter:
    """PEFT's factor A or B of a layer."""
    embedded = getattr(layer, f"lora_embedding_{name}")
    factor: nn.Parameter = (
        embedded["default"]
        if "default" in embedded
        else getattr(layer, f"lora_{name}")["default"].weight
    )
    return factor


def gradients(model: nn.Module, x: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    outputs = model(x)
    target = torch.linspace(-1, 1, outputs.numel()).view_as(outputs)
    return list(torch.autograd.grad(((outputs - target) ** 2).sum(), parameters))


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_gradients_are_pefts(kind: str) -> None:
    ours, adapter, wrapped, layer, x = both(kind)
    torch.testing.assert_close(ours(x), wrapped(x), rtol=1e-4, atol=1e-5)
    magnitude = layer.lora_magnitude_vector["default"].weight
    theirs = [_foreign(layer, "A"), _foreign(layer, "B"), magnitude]
    assert adapter.magnitude is not None
    own = gradients(ours, x, [adapter.A, adapter.B, adapter.magnitude])
    for got, expected in zip(own, gradients(wrapped, x, theirs), strict=True):
        torch.testing.assert_close(got, expected.view_as(got), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_control_a_norm_with_a_gradient_is_seen(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, adapter, _, _, x = both(kind)
    expected = gradients(ours, x, [adapter.A])[0]

    def lengths(self: LoraAdapter, matrix: Tensor) -> Tensor:
        adapted = matrix + self.scaling * (self.B @ self.A)
        norms: Tensor = torch.linalg.vector_norm(adapted, dim=1)
        return norms

    monkeypatch.setattr(LoraAdapter, "row_lengths", lengths)
    assert not torch.allclose(gradients(ours, x, [adapter.A])[0], expected, rtol=1e-2, atol=1e-3)
