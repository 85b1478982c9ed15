"""Models, and the layers a `sequential` model is declared with: the names of both."""

from ftune.registry import Table

MODELS = Table(
    "model",
    {
        "sequential": "ftune.models.sequential:Sequential",
        "mlp": "ftune.models.mlp:Mlp",
        "hf": "ftune.models.hf:Hf",
        "timm": "ftune.models.timm:Timm",
    },
)

LAYERS = Table(
    "layer",
    {
        "linear": "ftune.models.linear:Linear",
        "conv1d": "ftune.models.conv:Conv1d",
        "conv2d": "ftune.models.conv:Conv2d",
        "maxpool": "ftune.models.pool:MaxPool",
        "avgpool": "ftune.models.pool:AvgPool",
        "globalpool": "ftune.models.pool:GlobalPool",
        "batchnorm": "ftune.models.norm:BatchNorm",
        "layernorm": "ftune.models.norm:LayerNorm",
        "groupnorm": "ftune.models.norm:GroupNorm",
        "rmsnorm": "ftune.models.norm:RmsNorm",
        "dropout": "ftune.models.activation:Dropout",
        "relu": "ftune.models.activation:Relu",
        "gelu": "ftune.models.activation:Gelu",
        "silu": "ftune.models.activation:Silu",
        "tanh": "ftune.models.activation:Tanh",
        "sigmoid": "ftune.models.activation:Sigmoid",
        "softmax": "ftune.models.activation:Softmax",
        "flatten": "ftune.models.arrange:Flatten",
        "reshape": "ftune.models.arrange:Reshape",
        "embedding": "ftune.models.embedding:Embedding",
        "residual": "ftune.models.nested:Residual",
        "repeat": "ftune.models.nested:Repeat",
        "lstm": "ftune.models.recurrent:Lstm",
        "gru": "ftune.models.recurrent:Gru",
        "transformer": "ftune.models.transformer:Transformer",
    },
)
