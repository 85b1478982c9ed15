"""Broken inputs of every kind that ftune reads, from whole ones: what the fuzz run tries."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ftune.schema.root import LANGUAGE
from support.bad_configs import VALID
from support.bombs import TINY, _read_images, read
from support.bombs_of_weights import GGUFS, _models, _run, built, load, lora, rehash
from support.fuzz import Maker, distorted, mutated

PROJECT = Path(__file__).resolve().parents[2]
CONFIGS = [p.read_bytes() for p in sorted((PROJECT / "configs").rglob("*.yaml"))]
CONFIGS += [VALID.encode(), TINY.encode()]
KEYS = ("seed", "data", "train", "epochs", "model", "layers", "0", "name", "lr", "optimizer",
        "split", "val", "sweep", "scientific", "adapt", "runtime", "eval", "every", "")  # fmt: skip
VALUES = ("1", "", "null", "{}", "[]", "{a: 1}", "adam", "${seed}", ".inf", "[[[", "!x", "*a", "~",
          "-1", "1e300", "9" * 40, "true", "[1, 2]", "é")  # fmt: skip
CSV = b"a,b,c,y\n" + b"".join(
    b"%d,%.3f,%s,%s\n" % (i, i / 7, b"xyz"[i % 3 : i % 3 + 1], b"no" if i % 2 else b"yes")
    for i in range(24)
)
ROWS = [{"a": i, "b": i / 7, "c": {"d": "xyz"[i % 3], "e": [1, 2]}, "y": "no" if i % 2 else "yes"}
        for i in range(24)]  # fmt: skip


def config(dice: random.Random, folder: Path) -> Callable[[], Any]:
    """A shipped file, changed, with overrides: as `ftune check` reads it."""
    file = folder / "ftune.yaml"
    file.write_bytes(mutated(dice.choice(CONFIGS), dice))
    changes = [
        ("~" if dice.random() < 0.2 else "")
        + ".".join(dice.choices(KEYS, k=dice.randrange(1, 4)))
        + "=" + dice.choice(VALUES)
        for _ in range(dice.choice((0, 0, 0, 1, 2)))
    ]  # fmt: skip

    def work() -> None:
        from ftune.commands.check import check, check_sweep
        from ftune.console import Console

        found = LANGUAGE.load(file, changes)
        check_sweep(file, changes, found)
        check(file, found, Console(json_output=True, quiet=True))

    return work


@cache
def _tables() -> dict[str, bytes]:
    """Whole files by name."""
    import pyarrow as pa
    from pyarrow import parquet

    lines = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
    columns, arrays = io.BytesIO(), io.BytesIO()
    table = pa.Table.from_pylist(ROWS)
    parquet.write_table(table, columns)
    np.savez_compressed(arrays, x=np.arange(48.0).reshape(24, 2), y=np.array(["a", "b"] * 12))
    text = b"First line.\n\nSecond, longer line of text.\n" * 20
    return {"a.csv": CSV, "a.jsonl": lines, "a.parquet": columns.getvalue(),
            "a.npz": arrays.getvalue(), "a.txt": text}  # fmt: skip


def table(dice: random.Random, folder: Path) -> Callable[[], Any]:
    """A small table or text, changed; the members of an archive also inside."""
    name = dice.choice(sorted(_tables()))
    raw = _tables()[name]
    if name == "a.npz" and dice.random() < 0.6:
        raw = inside(raw, dice)
    elif name == "a.jsonl" and dice.random() < 0.5:
        rows = distorted([json.loads(line) for line in raw.splitlines()], dice)
        rows = rows if isinstance(rows, list) else [rows]
        raw = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    else:
        raw = mutated(raw, dice)
    (folder / name).write_bytes(raw)
    return lambda: read(folder / name)


def inside(raw: bytes, dice: random.Random) -> bytes:
    """A zip with one of its members changed, sums and sizes put right."""
    box = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(box, "w") as new:
        chosen = dice.choice(old.namelist())
        pickles = [name for name in old.namelist() if name.endswith("data.pkl")]
        chosen = pickles[0] if pickles and dice.random() < 0.7 else chosen
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, mutated(content, dice) if name == chosen else content)
    return box.getvalue()


@cache
def _pictures() -> dict[str, bytes]:
    from PIL import Image

    found = {}
    image = Image.fromarray(np.arange(16 * 12 * 3, dtype=np.uint8).reshape(16, 12, 3))
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp"):
        box = io.BytesIO()
        image.save(box, kind)
        found[f"a.{kind}"] = box.getvalue()
    return found


def picture(dice: random.Random, folder: Path) -> Callable[[], Any]:
    """A folder of two classes with small pictures, one of each changed."""
    name = dice.choice(sorted(_pictures()))
    whole = _pictures()[name]
    for label in ("cat", "dog"):
        (folder / "p" / label).mkdir(parents=True)
        for i in range(3):
            raw = mutated(whole, dice) if i == 0 else whole
            (folder / "p" / label / f"{i}{name}").write_bytes(raw)
    return lambda: _read_images(folder / "p")


@cache
def _weights() -> dict[str, bytes]:
    from safetensors.torch import save

    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2)}
    story = {"ftune": json.dumps({"config": {"task": "classification"}, "axes": {}})}
    found = {"a.safetensors": save(tensors, story)}
    for name, old in (("a.pt", False), ("old.pt", True)):
        box = io.BytesIO()
        nest = {"model": tensors, "epoch": 3, "ftune": story["ftune"]}
        torch.save(nest, box, _use_new_zipfile_serialization=not old)
        found[name] = box.getvalue()
    return found


def weights(dice: random.Random, folder: Path) -> Callable[[], Any]:
    """A file of weights as `--base`."""
    name = dice.choice(sorted(_weights()))
    raw = _weights()[name]
    zipped = name == "a.pt" and dice.random() < 0.7
    (folder / name).write_bytes(inside(raw, dice) if zipped else mutated(raw, dice))
    return lambda: load(folder / name)


def peft(dice: random.Random, folder: Path) -> Callable[[], Any]:
    """An adapter's folder, its JSON or its tensors changed."""
    plain = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["q"],
             "rank_pattern": {}, "alpha_pattern": {"q": 3}, "use_dora": False,
             "init_lora_weights": True, "lora_dropout": 0.1}  # fmt: skip
    if dice.random() < 0.6:
        plain, raw = distorted(plain, dice), lora()
    else:
        raw = mutated(lora(), dice)
    (folder / "adapter_config.json").write_text(json.dumps(plain))
    (folder / "adapter_model.safetensors").write_bytes(raw)
    return lambda: load(folder)


def gguf(dice: random.Random, folder: Path) -> Callable[[], Any]:
    """A GGUF file of a few entries: what the guard says, and then the library."""
    (folder / "a.gguf").write_bytes(mutated(dice.choice([_gguf(), *GGUFS.values()]), dice))
    return lambda: built(folder / "a.gguf")


@cache
def _gguf() -> bytes:
    import tempfile

    from gguf import GGUFWriter

    with tempfile.TemporaryDirectory() as place:
        writer = GGUFWriter(Path(place) / "a.gguf", "llama")
        writer.add_block_count(2)
        writer.add_embedding_length(8)
        writer.add_context_length(16)
        writer.add_array("tokenizer.ggml.tokens", ["a", "b", "ü"])
        writer.add_tensor("token_embd.weight", np.zeros((3, 8), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return (Path(place) / "a.gguf").read_bytes()


def run(beside: Path, dice: random.Random, folder: Path) -> Callable[[], Any]:
    """A run folder of two steps; hashes agree with what was changed."""
    place = folder / "r"
    shutil.copytree(_run(beside), place)
    files = [file for file in sorted(place.rglob("*")) if file.is_file()]
    file = dice.choice([*files, *place.rglob("state.json"), place / "run.json"])
    _spoil(file, dice)
    if (file.parent / "manifest.json").is_file() and file.name != "manifest.json":
        rehash(file.parent)
    return partial(_resumed if dice.random() < 0.5 else load, place)


def _spoil(file: Path, dice: random.Random) -> None:
    if file.suffix == ".json" and dice.random() < 0.8:
        file.write_text(json.dumps(distorted(json.loads(file.read_text()), dice)))
    else:
        file.write_bytes(mutated(file.read_bytes(), dice))


def _resumed(place: Path) -> None:
    """What `ftune resume` and `ftune runs` read, without the training (in a process of its own)."""
    from ftune.commands import resume, train
    from ftune.commands.runs import runs
    from ftune.console import Console
    from ftune.runs.folder import RunFolder

    quiet = Console(json_output=True, quiet=True)
    runs(place.parent, quiet)
    vars(train)["train"] = lambda run: {"steps": run.state.step}
    resume.resume(RunFolder.open(place), False, quiet)


def hf(beside: Path, dice: random.Random, folder: Path) -> Callable[[], Any]:
    """A folder of a tiny Llama or BERT, one of its files changed."""
    name = dice.choice(("llama", "bert"))
    shutil.copytree(_models(beside)[name], folder / "m")
    files = [f for f in sorted((folder / "m").iterdir()) if f.suffix in (".json", ".safetensors")]
    _spoil(dice.choice([*files, folder / "m" / "config.json"]), dice)
    return lambda: built(folder / "m")


def targets(beside: Path) -> dict[str, Maker]:
    """Everything that is tried, by name; `beside`: where whole folders are made once."""
    beside.mkdir(parents=True, exist_ok=True)
    _models(beside)
    _run(beside)
    return {"config": config, "table": table, "picture": picture, "weights": weights, "peft": peft,
            "gguf": gguf, "run": partial(run, beside), "hf": partial(hf, beside)}  # fmt: skip
