"""Blocks that are computed again in the backward pass: less memory, the same numbers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.adapt.activation_checkpointing import checkpoint_blocks
from ftune.errors import RequestError


class Block(nn.Module):
    """A convolution, batch statistics and dropout: all that a second forward pass could change."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(4, 4, 3, padding=1), nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.3)
        self.calls = 0

    def forward(self, x: Tensor, *, scale: float = 1.0) -> Tensor:
        self.calls += 1
        change: Tensor = self.drop(torch.relu(self.norm(self.conv(x))))
        return x + scale * change


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv1d(2, 4, 1)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, scale=0.5)
        outputs: Tensor = self.head(x.mean(-1))
        return outputs


def batch() -> Tensor:
    return torch.randn(16, 2, 32, generator=torch.Generator().manual_seed(1))


def step(model: nn.Module) -> list[Tensor]:
    """The loss, the gradients, the statistics, and the generator's state after a step."""
    torch.manual_seed(3)
    loss = model(batch()).square().mean()
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return [loss.detach(), *gradients, *model.buffers(), torch.get_rng_state()]


def saved_bytes(model: nn.Module) -> int:
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(batch())
    return sum(sizes.values())


def test_losses_gradients_and_statistics_are_the_same_to_the_bit() -> None:
    plain, model = Net(), Net()
    checkpoint_blocks(model)
    before, after = step(plain), step(model)
    assert len(before) == len(after) > 20
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert [block.calls for block in model.blocks] == [2, 2, 2]


def test_statistics_moved_twice_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    from ftune.adapt import activation_checkpointing

    monkeypatch.setattr(activation_checkpointing, "unmoved", lambda _: nullcontext())
    plain, model = Net(), Net()
    checkpoint_blocks(model)
    assert not all(torch.equal(a, b) for a, b in zip(step(plain), step(model), strict=True))


def test_less_is_kept_for_the_backward_pass() -> None:
    plain, model = Net(), Net()
    checkpoint_blocks(model)
    assert saved_bytes(model) < 0.5 * saved_bytes(plain)


def test_names_copies_and_evaluation_stay() -> None:
    model = Net()
    checkpoint_blocks(model)
    assert list(model.state_dict()) == list(Net().state_dict())
    twin: Any = copy.deepcopy(model).eval()
    with torch.no_grad():
        twin.stem.weight.zero_()
        assert torch.equal(model.eval()(batch()), Net().eval()(batch()))
        assert not torch.equal(twin(batch()), model(batch()))
        calls: list[Any] = [twin.blocks[0].calls, model.blocks[0].calls]
        assert calls == [1, 2]


def test_a_model_without_blocks_is_told_so() -> None:
    with pytest.raises(RequestError, match="no block of several layers"):
        checkpoint_blocks(
            nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 1))
        )
