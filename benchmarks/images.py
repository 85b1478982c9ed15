"""CIFAR-10 from JPEG files with flips and crops: the share of a step that waits for its images."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from _measure import DATA, ROOT, Bench, data, main
from _ratios import Result, Table
from torch import Tensor, nn
from torch.nn import functional as F

# The network, optimizer, batches of 32 and transforms of configs/cifar10.yaml, without colour,
# erasing and average. The first epoch is left out: there ftune decodes, and each fills its caches.
# Waiting is the share of the time inside the call that gives a step its batch; ftune's is wrapped
# from outside. data-loader is torch's as tutorials write it, with Pillow in the transforms;
# data-loader-workers has a process a core.

BATCH, RATE = 32, 2e-3
CONFIG = ROOT / "configs/cifar10.yaml"
TRANSFORMS = "[random_crop: {size: 32, padding: 4}, flip, normalize]"


def prepare(options: Result) -> Result:
    folder = data(options["data"], "cifar10")
    return {"folder": str(folder), "epochs": options["epochs"], "limit": options["limit"]}


def changes(spec: Result) -> list[str]:
    """What is other than in configs/cifar10.yaml; evaluated at the end alone."""
    limit = [f"data.limit={spec['limit']}"] if spec["limit"] else []
    return [
        *limit, "task=classification", f"data.path={{train: {spec['folder']}/train}}",
        "data.split={val: 0.1, test: 0}", f"data.transforms={TRANSFORMS}",
        f"train={{epochs: {spec['epochs']}, batch_size: {BATCH}}}",
        f"eval={{every: {spec['epochs']}, at_start: false}}",
    ]  # fmt: skip


class Clock:
    """When each batch was asked for and there."""

    def __init__(self, load: Callable[..., Any]) -> None:
        self.load, self.times = load, list[tuple[float, float]]()

    def __call__(self, *where: Any) -> Any:
        began = time.perf_counter()
        batch = self.load(*where)
        self.times.append((began, time.perf_counter()))
        return batch

    def figures(self, steps: int) -> Result:
        """Waiting and speed after the first `steps` steps, up to the last batch."""
        times = self.times[steps:]
        whole = times[-1][0] - times[0][0]
        waited = sum(end - began for began, end in times[:-1])
        return {"images_per_second": BATCH * (len(times) - 1) / whole, "waiting": waited / whole}


def by_ftune(spec: Result) -> Result:
    """The command, the call that gives it its batches wrapped."""
    import ftune
    from ftune.assembly.loader import prefetched

    clocks = list[Clock]()

    def wrapped(*arguments: Any) -> Any:
        clocks.append(Clock(prefetched(*arguments)))
        return clocks[-1]

    fed = mock.patch("ftune.assembly.fault_policy.prefetched", wrapped)
    with fed, tempfile.TemporaryDirectory() as folder:
        summary = ftune.run("optimize", CONFIG, changes(spec), out=Path(folder) / "run")
    (clock,) = (one for one in clocks if one.times)
    return clock.figures(summary["steps"] // spec["epochs"])


class Folder(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """A folder of classes as tutorials read it: opened, cropped and turned at each access."""

    def __init__(self, files: Sequence[tuple[Path, int]]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image, ImageOps

        path, label = self.files[index]
        with Image.open(path) as image:
            picture = ImageOps.expand(image.convert("RGB"), 4)
        left, top, turned = (int(torch.randint(n, ())) for n in (9, 9, 2))
        picture = picture.crop((left, top, left + 32, top + 32))
        picture = ImageOps.mirror(picture) if turned else picture
        x = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
        return (x - 0.473) / 0.251, label


def by_loader(spec: Result, workers: int) -> Result:
    """The loop by hand with a DataLoader."""
    names = sorted(path.name for path in (Path(spec["folder"]) / "train").iterdir())
    files = [
        (path, label)
        for label, name in enumerate(names)
        for path in sorted((Path(spec["folder"]) / "train" / name).glob("*.jpg"))
    ]
    chosen = torch.randperm(len(files), generator=torch.Generator().manual_seed(0)).tolist()
    sample = [files[index] for index in chosen[: spec["limit"] or round(0.9 * len(files))]]
    loader = torch.utils.data.DataLoader(
        Folder(sample), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    model = network(spec)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.05, fused=True)
    clock = Clock(iter(forever(loader)).__next__)
    for _ in range(len(loader) * spec["epochs"]):
        x, y = clock()
        F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return clock.figures(len(loader))


def forever(loader: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def network(spec: Result) -> nn.Module:
    """The network that the configuration builds, as a plain module."""
    from ftune.assembly.build import build, read_data
    from ftune.schema.root import LANGUAGE

    config = LANGUAGE.load(CONFIG, changes({**spec, "limit": 100}))
    return build(config, read_data(config)).model.train()


BENCH = Bench(
    script=__file__,
    about=__doc__ or "",
    prepare=prepare,
    sides={
        "data-loader": lambda spec: by_loader(spec, 0),
        "data-loader-workers": lambda spec: by_loader(spec, torch.get_num_threads()),
        "ftune": by_ftune,
    },
    tables=[
        Table(
            "images", ["data-loader", "data-loader-workers", "ftune"],
            ["data-loader", "data-loader-workers"], "images_per_second",
        )
    ],
    options={
        "epochs": (3, "epochs; the first is not timed"),
        "limit": (0, "at most so many training images; 0: all"),
        "data": (DATA, "the folder of data sets"),
    },
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(BENCH))
