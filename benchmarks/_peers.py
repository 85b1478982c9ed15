"""One training per peer on the same tensors; run as `python _peers.py NAME data.npz STEPS`.

Each peer gets x [rows, features] fp32 and y [rows] and returns the seconds of its training steps.
"""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH, RATE, DECAY = 64, 1e-3, 0.01


def network(features: int) -> nn.Sequential:
    """The MLP that every peer trains."""
    return nn.Sequential(
        nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2)
    )


def rate_at(step: int, steps: int) -> float:
    """Cosine without warm-up."""
    return RATE * 0.5 * (1 + math.cos(math.pi * step / steps))


def batches(rows: int) -> Iterator[Tensor]:
    """Row numbers of one batch after the other, a new permutation each epoch."""
    while True:
        yield from torch.split(torch.randperm(rows), BATCH)


def by_hand(x: Tensor, y: Tensor, steps: int) -> float:
    """The best loop of public parts: tensors in memory, one gather a batch, fused AdamW."""
    model = network(x.shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY, fused=True)
    group, rows = optimizer.param_groups[0], batches(len(x))
    began = time.perf_counter()
    for step in range(steps):
        index = next(rows)
        group["lr"] = rate_at(step, steps)
        loss = F.cross_entropy(model(x.index_select(0, index)), y.index_select(0, index))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - began


def private_kernel(x: Tensor, y: Tensor, steps: int) -> float:
    """The loop by hand, calling the kernel that torch.optim.AdamW calls, without its checks."""
    model = network(x.shape[1])
    parameters: list[Tensor] = list(model.parameters())
    means, squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    counts = [torch.zeros(()) for _ in parameters]
    rows = batches(len(x))
    began = time.perf_counter()
    for step in range(steps):
        index = next(rows)
        loss = F.cross_entropy(model(x.index_select(0, index)), y.index_select(0, index))
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in parameters if p.grad is not None]
        with torch.no_grad():
            torch._foreach_add_(counts, 1)
            torch._fused_adamw_(
                parameters, gradients, means, squares, [], counts,
                lr=rate_at(step, steps), beta1=0.9, beta2=0.999, weight_decay=DECAY, eps=1e-8,
                amsgrad=False, maximize=False,
            )  # fmt: skip
        for parameter in parameters:
            parameter.grad = None
    return time.perf_counter() - began


def loader(x: Tensor, y: Tensor, **options: Any) -> Any:
    """The DataLoader that tutorials write."""
    data = torch.utils.data.TensorDataset(x, y)
    return torch.utils.data.DataLoader(data, BATCH, shuffle=True, **options)


def data_loader(x: Tensor, y: Tensor, steps: int) -> float:
    """The tutorials' loop: a DataLoader, a scheduler object, fused AdamW."""
    model = network(x.shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY, fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    source = loader(x, y)
    step, began = 0, time.perf_counter()
    while step < steps:
        for inputs, labels in source:
            F.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
            step += 1
            if step == steps:
                break
    return time.perf_counter() - began


def lightning(x: Tensor, y: Tensor, steps: int) -> float:
    """Lightning's Trainer with everything optional switched off."""
    import lightning as pl

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = network(x.shape[1])

        def training_step(self, batch: Any, _: int) -> Tensor:
            return F.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), RATE, weight_decay=DECAY, fused=True)
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
            }

        def on_train_start(self) -> None:
            self.began = time.perf_counter()

        def on_train_end(self) -> None:
            self.seconds = time.perf_counter() - self.began

    module = Module()
    trainer = pl.Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, loader(x, y))
    return float(module.seconds)


def hf_trainer(x: Tensor, y: Tensor, steps: int) -> float:
    """Hugging Face's Trainer with everything optional switched off."""
    import tempfile

    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = network(x.shape[1])

        def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.model(inputs)
            return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.seconds = time.perf_counter() - self.began

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=BATCH, max_steps=steps, learning_rate=RATE,
            weight_decay=DECAY, lr_scheduler_type="cosine", optim="adamw_torch_fused",
            max_grad_norm=0.0, use_cpu=True, report_to=[], save_strategy="no",
            logging_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        )  # fmt: skip
        rows = [{"inputs": a, "labels": b} for a, b in zip(x, y, strict=True)]
        Trainer(Module(), arguments, train_dataset=rows, callbacks=[clock]).train()
    return clock.seconds


PEERS: dict[str, Callable[[Tensor, Tensor, int], float]] = {
    "by-hand": by_hand,
    "private-kernel": private_kernel,
    "data-loader": data_loader,
    "lightning": lightning,
    "hf-trainer": hf_trainer,
}


def main(name: str, data: str, steps: int) -> None:
    """Trains a little to warm up, then for real; the last line is JSON."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    arrays = np.load(data)
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    PEERS["by-hand"](x, y, 50)
    seconds = PEERS[name](x, y, steps)
    parameters = sum(p.numel() for p in network(x.shape[1]).parameters())
    print(json.dumps({"steps": steps, "seconds": seconds, "parameters": parameters}))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
