"""Bases that do not fit (promise B4), and what must be said of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ftune.adapt.transfer import Transfer
from ftune.assembly.build import base_pipeline, build, read_data
from ftune.commands.base_config import with_base
from ftune.errors import FtuneError
from ftune.runs.adapters import load_bases
from ftune.schema.root import LANGUAGE
from support.tiny_hf import save_models
from support.trainings import undisturbed

IRIS = {"source": "sklearn", "name": "iris"}
LAYERS = [{"linear": 8, "as": "one"}, "relu", {"linear": 6, "as": "two"}, "relu",
          {"linear": "out", "as": "head"}]  # fmt: skip
PLAIN: dict[str, Any] = {
    "task": "classification", "data": IRIS, "model": {"name": "sequential", "layers": LAYERS},
    "train": {"steps": 2}, "runtime": {"threads": 1, "device": "cpu"},
}  # fmt: skip
TEXTS = {"source": "csv", "path": "t.csv", "text": "t", "target": "y"}
HF: dict[str, Any] = {**PLAIN, "model": {"name": "hf"}}


def tensors(hidden: int = 8, classes: int = 3) -> dict[str, Tensor]:
    sizes = {"one": (hidden, 4), "two": (6, hidden), "head": (classes, 6)}
    found = {f"{name}.weight": torch.randn(size) for name, size in sizes.items()}
    return found | {f"{name}.bias": torch.randn(size[0]) for name, size in sizes.items()}


def saved(content: object, name: str = "b.pt") -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        torch.save(content, folder / name)
        return str(folder / name)

    return write


def prefixed(prefix: str, head: str = "head") -> dict[str, Tensor]:
    return {
        (f"{head}.{n[5:]}" if n.startswith("head.") and head != "head" else prefix + n): t
        for n, t in tensors().items()
    }


def run_of(**changes: Any) -> Callable[[Path], str]:
    """A run of ftune on something else."""

    def make(folder: Path) -> str:
        undisturbed(LANGUAGE.of({**PLAIN, **changes}), folder / "run")
        return str(folder / "run")

    return make


def hf(name: str, spoil: Callable[[Path], object] = lambda _: None) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        found = save_models(folder)[name]
        spoil(found)
        return str(found)

    return make


def shards(folder: Path) -> None:
    """In two files with their index, one of which is lost."""
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    sorted(folder.glob("model-*.safetensors"))[-1].unlink()


def resized(folder: Path) -> None:
    """One tensor in the file has another shape than the configuration says."""
    found = load_file(folder / "model.safetensors")
    found["embeddings.LayerNorm.weight"] = torch.ones(7)
    save_file(found, folder / "model.safetensors", {"format": "pt"})


def stranger(folder: Path) -> str:
    """A PEFT adapter of another model."""
    import peft

    from ftune.adapt.peft_format import CONFIG, PREFIX, WEIGHTS

    save_models(folder)
    config = peft.LoraConfig(r=2, target_modules=["no_such"])
    config.save_pretrained(str(folder / "adapter"))
    path = f"{PREFIX}no_such"
    found = {f"{path}.lora_A.weight": torch.ones(2, 4), f"{path}.lora_B.weight": torch.ones(4, 2)}
    save_file(found, folder / "adapter" / WEIGHTS)
    assert (folder / "adapter" / CONFIG).is_file()
    return str(folder / "adapter")


@dataclass(frozen=True)
class Misfit:
    """A base, and either what the error says or what the table counts and the notes say."""

    base: Callable[[Path], str]
    says: tuple[str, ...]
    counts: tuple[int, int, int, int] | None = None  # loaded, missing, unexpected, mismatched
    config: Mapping[str, Any] | None = None


CASES: dict[str, Misfit] = {
    # Errors.
    "other names": Misfit(
        saved({f"block{i}.{k}": torch.ones(3) for i in range(3) for k in ("w", "b")}),
        ("nothing in the base matches the model", "block0.w", "one.weight", "`as:`")),
    "other widths": Misfit(
        saved(tensors(hidden=9)),
        ("3 tensors of the base have another shape", "one.weight: base [9, 4], model [8, 4]")),
    "two bare layers are not one another": Misfit(
        saved({"a.weight": torch.ones(8, 4), "a.bias": torch.ones(8)}), ("nothing in the base",)),
    "no tensors": Misfit(saved({"epoch": 3}), ("no tensors", "epoch")),
    "an optimizer's state": Misfit(
        saved({"state": {0: {"step": 1}}, "param_groups": []}), ("no tensors", "param_groups")),
    "a list": Misfit(saved([torch.ones(2)]), ("holds a list, not a state dict",)),
    "a Hugging Face model for declared layers": Misfit(
        hf("bert"), ("is a Hugging Face model", "`model: sequential`", "write `model: hf`")),
    "a shard is lost": Misfit(
        hf("llama", shards), ("llama", "model-0000"),
        config={**HF, "task": "causal-lm", "data": {"source": "text", "path": "t.txt"}}),
    "a folder without weights": Misfit(
        hf("bert", lambda f: (f / "model.safetensors").unlink()), ("has no weights",),
        config={**HF, "data": TEXTS}),
    "an adapter that names no model": Misfit(
        stranger, ("does not name the model it is for", "--base MODEL --base"),
        config={**HF, "data": TEXTS}),
    "an adapter of another model": Misfit(
        stranger, ("adapter", "no_such"),
        config={**PLAIN, "model": {"name": "hf", "path": "bert"}, "data": TEXTS}),
    "images for numbers": Misfit(
        run_of(data={"source": "sklearn", "name": "digits"},
               model={"name": "sequential", "layers": [{"conv2d": 4, "kernel": 3, "as": "one"},
                                                        "flatten", {"linear": "out"}]}),
        ("one.weight: base [4, 1, 3, 3], model [8, 4]",)),
    "the weights of another size": Misfit(
        hf("bert", resized), ("its weights do not fit its config.json", "embeddings.LayerNorm"),
        config={**HF, "data": TEXTS}),
    "adapters inside a model of another kind": Misfit(
        run_of(adapt=[{"match": "one", "lora": 2}]),
        ("its adapters do not fit this model", "merged"),
        config={**PLAIN, "model": {"name": "mlp", "width": 8}}),
    "only the head is alike": Misfit(
        saved({"head.weight": torch.ones(3, 6), "head.bias": torch.ones(3), "x.w": torch.ones(2)}),
        ("nothing in the base matches the model",)),
    # Tables.
    "other classes": Misfit(
        saved(tensors(classes=7)), ("the head `head` is replaced: base [7, 6], model [3, 6]",),
        (4, 0, 0, 2)),
    "without a head": Misfit(
        saved({n: t for n, t in tensors().items() if "head" not in n}), (), (4, 2, 0, 0)),
    "with more than the model": Misfit(
        saved(tensors() | {"aux.weight": torch.ones(2), "aux.bias": torch.ones(2)}), (),
        (6, 0, 2, 0)),
    "under module.": Misfit(saved(prefixed("module.")), (), (6, 0, 0, 0)),
    "under a wrapper nobody knows": Misfit(saved(prefixed("0.auto.")), (), (6, 0, 0, 0)),
    "under a wrapper, its head apart": Misfit(
        saved(prefixed("trunk.", head="classifier")), (), (4, 2, 2, 0)),
    "nested in state_dict under model.": Misfit(
        saved({"epoch": 3, "state_dict": prefixed("model.")}), (), (6, 0, 0, 0)),
    "another task": Misfit(
        run_of(task="regression", data={"source": "sklearn", "name": "diabetes",
                                        "transforms": [{"select": ["age", "sex", "bmi", "bp"]}]}),
        ("the head `head` is replaced",), (4, 0, 0, 2)),
}  # fmt: skip


def brought(case: Misfit, folder: Path) -> Transfer:
    base = load_bases(case.base(folder))
    config = with_base(LANGUAGE.of(case.config or PLAIN), base)
    parts = build(config, read_data(config, prior=base_pipeline(base)), base)
    assert parts.origin.transfer is not None
    return parts.origin.transfer


def faults(case: Misfit, folder: Path) -> list[str]:
    """What is wrong with the answer to a base: nothing, for one that is answered as it must be."""
    try:
        report = brought(case, folder)
    except FtuneError as error:
        said, counts = str(error), None
        assert error.exit_code == 2
    else:
        kinds = (report.loaded, report.missing, report.unexpected, report.mismatched)
        said, counts = "\n".join(report.notes), tuple(map(len, kinds))
    found = [] if counts == case.counts else [f"counts {counts}, not {case.counts}"]
    return found + [f"not said: {text} (but: {said})" for text in case.says if text not in said]


def write_texts() -> None:
    """The data that some of the cases read, in the current folder."""
    rows = "".join(f"the cat {i},{'ab'[i % 2]}\n" for i in range(40))
    Path("t.csv").write_text("t,y\n" + rows, encoding="utf-8")
    Path("t.txt").write_text("the cat sat on the mat\n" * 80, encoding="utf-8")


def careless(
    model: nn.Module, axes: object, head: object, base: Mapping[str, Tensor], base_axes: object
) -> Transfer:
    """The negative control: takes what fits and is silent about the rest (`strict=False`)."""
    del axes, head, base_axes
    own = model.state_dict()
    fitting = {n: t for n, t in base.items() if n in own and own[n].shape == t.shape}
    model.load_state_dict(fitting, strict=False)
    return Transfer(loaded=[(name, tensor.numel(), "") for name, tensor in fitting.items()])


# Cases that `careless` would pass over in silence.
PASSED_OVER = ("other names", "other widths", "two bare layers are not one another",
               "only the head is alike", "other classes", "without a head",
               "with more than the model", "under module.", "under a wrapper nobody knows",
               "under a wrapper, its head apart", "nested in state_dict under model.")  # fmt: skip
