"""Tables of the optimizers and of the schedules; names are torch's, in lower case."""

from ftune.registry import Table

OPTIMIZERS = Table(
    "optimizer",
    {
        "sgd": "ftune.optim.sgd:Sgd",
        "adam": "ftune.optim.adam:Adam",
        "adamw": "ftune.optim.adam:AdamW",
        "nadam": "ftune.optim.adam:NAdam",
        "radam": "ftune.optim.adam:RAdam",
        "rmsprop": "ftune.optim.scaled:RMSprop",
        "adagrad": "ftune.optim.scaled:Adagrad",
        "adafactor": "ftune.optim.scaled:Adafactor",
        "muon": "ftune.optim.muon:Muon",
    },
)

SCHEDULES = Table(
    "schedule",
    {
        "constant": "ftune.optim.stages:Constant",
        "linear": "ftune.optim.decays:Linear",
        "cosine": "ftune.optim.decays:Cosine",
        "cosine_restarts": "ftune.optim.cycles:CosineRestarts",
        "one_cycle": "ftune.optim.cycles:OneCycle",
        "wsd": "ftune.optim.stages:WarmupStableDecay",
        "step": "ftune.optim.stages:Step",
        "exponential": "ftune.optim.decays:Exponential",
        "polynomial": "ftune.optim.decays:Polynomial",
        "plateau": "ftune.optim.plateau:Plateau",
    },
)
