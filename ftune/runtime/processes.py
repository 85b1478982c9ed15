"""Several processes on one training: not supported yet, and never by accident."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ftune.errors import RequestError

COUNTS = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
"""What torchrun, accelerate and deepspeed set; Open MPI; MPICH and Intel MPI."""


def refuse_several(environment: Mapping[str, str] | None = None) -> None:
    """Raises RequestError where a launcher has started more than one process."""
    environment = os.environ if environment is None else environment
    for name in COUNTS:
        count = environment.get(name, "")
        if count.isdigit() and int(count) > 1:
            raise RequestError(
                f"{name} is {count}: ftune trains in one process, and {count} would each train the "
                "whole model; start it without torchrun, accelerate or mpirun (or unset "
                f"{name})"
            )
