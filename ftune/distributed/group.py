"""The processes that train one model together, and the one process that is the usual case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")


class Group(Protocol):
    """What a training asks of the processes that share it. Each call is made by all of them.

    rank: the number of this process, from 0. world: how many there are.
    """

    @property
    def rank(self) -> int: ...
    @property
    def world(self) -> int: ...
    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks to the user."""

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all ranks."""

    def agree(self, votes: Sequence[int]) -> list[int]:
        """Return the largest of each vote over all ranks: the same decision everywhere."""

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in order of rank."""

    def broadcast(self, value: T) -> T:
        """Return the main rank's value."""

    def barrier(self) -> None:
        """Wait for all ranks."""


class Solo:
    """A group of one: every reduction is the value itself, and nothing is synchronised."""

    rank = 0
    world = 1
    is_main = True

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """The sum over one rank is there already."""

    def agree(self, votes: Sequence[int]) -> list[int]:
        return list(votes)

    def gather(self, value: T) -> list[T]:
        return [value]

    def broadcast(self, value: T) -> T:
        return value

    def barrier(self) -> None:
        """There is nobody to wait for."""


class ProcessGroup:
    """The default group of torch.distributed, which a launcher has set up."""

    def __init__(self) -> None:
        self.rank = distributed.get_rank()
        self.world = distributed.get_world_size()
        self.is_main = self.rank == 0

    def sum(self, tensors: Sequence[Tensor]) -> None:
        for tensor in tensors:
            distributed.all_reduce(tensor)

    def agree(self, votes: Sequence[int]) -> list[int]:
        tensor = torch.tensor(votes, dtype=torch.int64)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return [int(vote) for vote in tensor]

    def gather(self, value: T) -> list[T]:
        values: list[T] = [value] * self.world
        distributed.all_gather_object(values, value)
        return values

    def broadcast(self, value: T) -> T:
        values = [value]
        distributed.broadcast_object_list(values)
        return values[0]

    def barrier(self) -> None:
        distributed.barrier()


def rank_slice(rows: Iterable[Tensor], group: Group) -> Iterator[Tensor]:
    """Yield this rank's even share of each batch, where that is not empty.

    The order of samples is that of one process: what a step sees does not depend on `world`.
    """
    for batch in rows:
        share = torch.tensor_split(batch, group.world)[group.rank] if group.world > 1 else batch
        if len(share):
            yield share
