"""Sums over rows in chunks: the value and the gradients of the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ftune.models.chunked import chunked_sum

ROWS, FEATURES, VOCABULARY = 11, 6, 17


def case(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, nn.Linear]:
    torch.manual_seed(0)
    states = torch.randn(ROWS, FEATURES, dtype=dtype, requires_grad=True)
    y = torch.randint(0, VOCABULARY, (ROWS,))
    return states, y, nn.Linear(FEATURES, VOCABULARY, dtype=dtype)


def gradients(states: Tensor, head: nn.Module, loss: Tensor) -> list[Tensor]:
    trained = [p for p in head.parameters() if p.requires_grad]
    return list(torch.autograd.grad(3.5 * loss, [states, *trained]))


@pytest.mark.parametrize("rows", [1, 3, ROWS - 1, ROWS, 100])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_sum_and_its_gradients_are_those_of_the_whole(
    rows: int, frozen: bool, smoothing: float
) -> None:
    states, y, head = case()
    head.weight.requires_grad_(not frozen)

    def sum_of(outputs: Tensor, chunk: slice) -> Tensor:
        return F.cross_entropy(outputs, y[chunk], reduction="sum", label_smoothing=smoothing)

    whole = sum_of(head(states), slice(None))
    summed = chunked_sum(states, head, sum_of, rows)
    torch.testing.assert_close(summed.double(), whole, rtol=1e-6, atol=0)
    for ours, reference in zip(
        gradients(states, head, summed), gradients(states, head, whole), strict=True
    ):
        torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-14)


def test_rows_of_another_chunk_are_seen() -> None:
    """The control: targets shifted by one chunk give another sum."""
    states, y, head = case()

    def shifted(outputs: Tensor, chunk: slice) -> Tensor:
        return F.cross_entropy(outputs, y.roll(3)[chunk], reduction="sum")

    whole = F.cross_entropy(head(states), y, reduction="sum")
    summed = chunked_sum(states, head, shifted, 3)
    assert (summed - whole).abs().item() > 0.1


def test_never_more_rows_than_asked_have_outputs() -> None:
    states, y, head = case()
    sizes: list[int] = []
    head.register_forward_hook(lambda _module, _inputs, outputs: sizes.append(len(outputs)))
    chunked_sum(states, head, lambda o, at: F.cross_entropy(o, y[at], reduction="sum"), 4)
    assert sizes == [4, 4, 3]


def test_without_gradients_none_are_computed() -> None:
    states, y, head = case()
    with torch.no_grad():
        summed = chunked_sum(states, head, lambda o, at: F.cross_entropy(o, y[at]), 4)
    assert not summed.requires_grad


def test_under_autocast_the_weights_are_cast_for_each_chunk() -> None:
    states, y, head = case(torch.float32)

    def sum_of(outputs: Tensor, chunk: slice) -> Tensor:
        return F.cross_entropy(outputs.float(), y[chunk], reduction="sum")

    with torch.autocast("cpu", torch.bfloat16):
        summed = chunked_sum(states, head, sum_of, 3)
        whole = sum_of(head(states), slice(None))
    torch.testing.assert_close(summed, whole, rtol=1e-5, atol=0)
    for ours, reference in zip(
        gradients(states, head, summed), gradients(states, head, whole), strict=True
    ):
        torch.testing.assert_close(ours, reference, rtol=2e-2, atol=2e-2)
