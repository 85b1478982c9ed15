"""Data: where rows come from, how they are prepared, and in which order training sees them."""

from __future__ import annotations

from ftune.registry import Table

SOURCES = Table(
    "data source",
    {
        "sklearn": "ftune.data.sources.sklearn:Sklearn",
        "csv": "ftune.data.sources.csv:Csv",
        "parquet": "ftune.data.sources.parquet:Parquet",
        "jsonl": "ftune.data.sources.jsonl:Jsonl",
        "npz": "ftune.data.sources.npz:Npz",
        "images": "ftune.data.sources.images:Images",
        "text": "ftune.data.sources.text:Text",
    },
)

PIPELINES = Table(
    "kind of data",
    {
        "table": "ftune.data.tables:TablePipeline",
        "text": "ftune.data.text.pipeline:TextPipeline",
        "images": "ftune.data.images.pipeline:ImagePipeline",
    },
)

TRANSFORMS = Table(
    "transform",
    {
        "auto": "ftune.data.transforms.auto:Auto",
        "select": "ftune.data.transforms.columns:Select",
        "drop": "ftune.data.transforms.columns:Drop",
        "drop_constant": "ftune.data.transforms.columns:DropConstant",
        "rename": "ftune.data.transforms.columns:Rename",
        "impute": "ftune.data.transforms.impute:Impute",
        "standardize": "ftune.data.transforms.standardize:Standardize",
        "robust": "ftune.data.transforms.robust:Robust",
        "quantile": "ftune.data.transforms.quantile:Quantile",
        "clip": "ftune.data.transforms.clip:Clip",
        "log": "ftune.data.transforms.log:Log",
        "scale": "ftune.data.transforms.scale:Scale",
        "one_hot": "ftune.data.transforms.one_hot:OneHot",
        "ordinal": "ftune.data.transforms.ordinal:Ordinal",
        "date": "ftune.data.transforms.date:Date",
        "resize": "ftune.data.transforms.resize:Resize",
        "flatten": "ftune.data.transforms.flatten:Flatten",
        "center_crop": "ftune.data.transforms.crop:CenterCrop",
        "pad": "ftune.data.transforms.pad:Pad",
        "grayscale": "ftune.data.transforms.grayscale:Grayscale",
        "normalize": "ftune.data.transforms.normalize:Normalize",
        "random_crop": "ftune.data.transforms.crop:RandomCrop",
        "random_resized_crop": "ftune.data.transforms.crop:RandomResizedCrop",
        "flip": "ftune.data.transforms.flip:Flip",
        "rotate": "ftune.data.transforms.rotate:Rotate",
        "affine": "ftune.data.transforms.rotate:Affine",
        "color_jitter": "ftune.data.transforms.color_jitter:ColorJitter",
        "randaugment": "ftune.data.transforms.randaugment:RandAugment",
        "kornia": "ftune.data.transforms.kornia:Kornia",
        "erase": "ftune.data.transforms.erase:Erase",
        "mixup": "ftune.data.transforms.mixup:Mixup",
        "cutmix": "ftune.data.transforms.mixup:Cutmix",
        "tokenize": "ftune.data.transforms.tokenize:Tokenize",
    },
)
