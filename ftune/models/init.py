"""How weights start.

Glorot and Bengio 2010 (xavier), He et al. 2015 (kaiming), Saxe et al. 2013 (orthogonal).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Init = Literal[
    "default",
    "kaiming_normal",
    "kaiming_uniform",
    "xavier_normal",
    "xavier_uniform",
    "orthogonal",
    "normal",
    "zeros",
]


def initialise(module: nn.Module, init: Init) -> None:
    """Fills `module.weight` by `init` and zeroes its bias; `default` keeps what torch drew.

    kaiming has the gain of relu; normal has a standard deviation of 0.02.
    """
    from torch import Tensor, nn

    if init == "default":
        return
    weight, bias = module.weight, getattr(module, "bias", None)
    assert isinstance(weight, Tensor)
    if init.startswith("kaiming"):
        getattr(nn.init, f"{init}_")(weight, nonlinearity="relu")
    elif init == "normal":
        nn.init.normal_(weight, std=0.02)
    else:
        getattr(nn.init, f"{init}_")(weight)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)
