"""Small files of weights, folders of models and runs that claim to be large."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from support.bombs import Bomb, deep_json, swollen
from support.bounded import command
from support.tiny_hf import save_models

BIG = 2**60


def base(name: str, content: bytes, sparse: int = 0) -> Bomb:
    """A file given as `--base`."""

    def make(folder: Path) -> Callable[[], Any]:
        with (folder / name).open("wb") as out:
            out.write(content)
            if sparse:
                out.truncate(sparse)
        return lambda: load(folder / name)

    return make


def load(path: Path) -> None:
    """A base, and all its tensors copied as a transfer would."""
    from ftune.runs.base import load_base

    for tensor in load_base(path).tensors.values():
        tensor.clone(memory_format=torch.contiguous_format)


def header(entries: dict[str, Any], length: int | None = None, body: int = 0) -> bytes:
    """A .safetensors file."""
    raw = json.dumps(entries).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + bytes(body)


def entry(shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


def saved(content: Any, old: bool = False) -> bytes:
    box = io.BytesIO()
    torch.save(content, box, _use_new_zipfile_serialization=not old)
    return box.getvalue()


def repacked(content: bytes, change: Callable[[str, bytes], bytes], method: int) -> bytes:
    """A torch zip with each of its members changed."""
    box = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(box, "w", method) as new:
        for one in old.infolist():
            new.writestr(one.filename, change(one.filename, old.read(one)))
    return box.getvalue()


def pickled(program: bytes) -> bytes:
    """A torch zip with this as its pickle."""
    whole = saved({"w": torch.zeros(2)})
    return repacked(whole, lambda n, c: program if n.endswith("data.pkl") else c, 0)


class _Large:
    """Pickles as a call that makes a bytearray of 8 GB."""

    def __init__(self, maker: Any, *given: Any) -> None:
        self.call = (maker, given)

    def __reduce__(self) -> Any:
        return self.call


def called(maker: Any, *given: Any) -> bytes:
    return pickled(pickle.dumps({"w": _Large(maker, *given)}, protocol=2))


def claimed(numbers: int) -> bytes:
    """A torch zip whose storage of 8 bytes claims so many numbers."""
    whole = saved({"w": torch.zeros(1000)})
    old, new = (b"M\xe8\x03", b"\x8a\x08" + struct.pack("<q", numbers))
    return repacked(whole, lambda n, c: c.replace(old, new) if n.endswith("data.pkl") else c, 0)


def nest(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"w": torch.zeros(2)}
    for _ in range(levels):
        found = {"model": found}
    return found


def deep_pickle(levels: int) -> bytes:
    """Dictionaries in dictionaries, deeper than Python itself would write them."""
    return pickled(b"\x80\x02" + b"}X\x05\0\0\0model" * levels + b"}" + b"s" * levels + b".")


def gguf(keys: int = 0, tensors: int = 0, body: bytes = b"") -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, tensors, keys) + body + bytes(64)


def word(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


GGUFS = {
    "a GGUF of 2^60 entries": gguf(keys=BIG),
    "a GGUF of 2^60 tensors": gguf(tensors=BIG),
    "a GGUF key of 2^60 letters": gguf(1, 0, struct.pack("<Q", BIG)),
    "a GGUF text of 2^60 letters": gguf(1, 0, word(b"a") + struct.pack("<IQ", 8, BIG)),
    "a GGUF list of 2^60 texts": gguf(1, 0, word(b"a") + struct.pack("<IIQ", 9, 8, BIG)),
    "GGUF lists in lists": gguf(
        1, 0, word(b"a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 10_000
    ),
    "a GGUF tensor of 2^60 numbers": gguf(0, 1, word(b"a") + struct.pack("<IQIQ", 1, BIG, 0, 0)),
    "a GGUF tensor of a million dimensions": gguf(0, 1, word(b"a") + struct.pack("<I", 10**6)),
}


def model_file(name: str, content: bytes) -> Bomb:
    """A file given as `model.path`."""

    def make(folder: Path) -> Callable[[], Any]:
        (folder / name).write_bytes(content)
        return lambda: built(folder / name)

    return make


def built(path: Path) -> None:
    """The model and the tokenizer at a path."""
    from ftune.data.text.loaded import load as load_tokenizer
    from ftune.models.hf import Hf
    from ftune.models.shapes import Inputs
    from ftune.security.limits.modules import weighed

    load_tokenizer(str(path)).encode(["a cat"])
    with weighed("model"):
        Hf(str(path)).build(Inputs((8,), None, {}, {}, 290, False), 3)


def hf(file: str, change: Callable[[Any], Any] | str) -> Bomb:
    """A folder of a tiny Llama, with one of its JSON files changed or replaced."""

    def make(folder: Path) -> Callable[[], Any]:
        place = _models(folder.parent)["llama"]
        shutil.copytree(place, folder / "m")
        target = folder / "m" / file
        known = json.loads(target.read_text()) if target.exists() else {}
        target.write_text(change if isinstance(change, str) else json.dumps(change(known)))
        return lambda: built(folder / "m")

    return make


_MADE: dict[str, Path] = {}


def _models(beside: Path) -> dict[str, Path]:
    """Made once, where the last one was asked for."""
    if not _MADE or not _MADE["llama"].exists():
        place = beside / f"models-{len(list(beside.iterdir()))}"
        place.mkdir(parents=True)
        _MADE.update(save_models(place))
    return _MADE


def hf_setting(**changes: Any) -> Bomb:
    return hf("config.json", lambda known: {**known, **changes})


def peft(config: dict[str, Any] | str, weights: bytes) -> Bomb:
    def make(folder: Path) -> Callable[[], Any]:
        place = folder / "adapter"
        place.mkdir()
        plain = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["q"]}
        text = config if isinstance(config, str) else json.dumps({**plain, **config})
        (place / "adapter_config.json").write_text(text)
        (place / "adapter_model.safetensors").write_bytes(weights)
        return lambda: load(place)

    return make


def lora(module: str = "q") -> bytes:
    from safetensors.torch import save

    path = f"base_model.model.{module}"
    return save(
        {f"{path}.lora_A.weight": torch.zeros(2, 4), f"{path}.lora_B.weight": torch.zeros(4, 2)}
    )


def run(change: Callable[[Path], None], *words: str) -> Bomb:
    """A run folder of two steps, damaged by `change`, and a command on it."""

    def make(folder: Path) -> Callable[[], Any]:
        shutil.copytree(_run(folder.parent), folder / "runs" / "r")
        change(folder / "runs" / "r")
        place = {"runs": folder / "runs"}.get(words[0], folder / "runs" / "r")
        return command(words[0], str(place), *words[1:])

    return make


def _run(beside: Path) -> Path:
    """Made once: a training that was paused."""
    from ftune.training.train import train
    from support.trainings import begin, configuration

    if "run" not in _MADE or not _MADE["run"].exists():
        place = beside / f"run-{len(list(beside.iterdir()))}"
        place.parent.mkdir(parents=True, exist_ok=True)
        train(begin(configuration("train.epochs=1"), place, pause_at=2))
        _MADE["run"] = place
    return _MADE["run"]


def write(name: str, content: str | bytes, sparse: int = 0) -> Callable[[Path], None]:
    """Puts a file into a run folder; those of a checkpoint get their hash in its manifest."""

    def change(folder: Path) -> None:
        for file in sorted(folder.glob(name)) or [folder / name]:
            raw = content if isinstance(content, bytes) else content.encode()
            with file.open("wb") as out:
                out.write(raw)
                if sparse:
                    out.truncate(sparse)
            if (file.parent / "manifest.json").is_file() and not sparse:
                rehash(file.parent)

    return change


def rehash(folder: Path) -> None:
    """A manifest that agrees with whatever the files hold now."""
    manifest = folder / "manifest.json"
    try:
        told = json.loads(manifest.read_text())
        told["files"] = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in told["files"]
        }
        manifest.write_text(json.dumps(told))
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        return


DEEP = deep_json()
FILES: dict[str, Bomb] = {
    "a header of 2^60 bytes": base("a.safetensors", header({}, BIG)),
    "a header of brackets": base("a.safetensors", struct.pack("<Q", 10**6) + b"[" * 10**6),
    "tensors of 2^60 bytes": base("a.safetensors", header({"w": entry([2**58], 0, BIG)})),
    "tensors of 1 TB in a file of holes": base(
        "a.safetensors",
        (raw := header({"w": entry([25 * 10**10], 0, 10**12)})),
        sparse=len(raw) + 10**12,
    ),
    "a story 100,000 deep": base("a.safetensors", header({"__metadata__": {"ftune": DEEP}})),
    "offsets beyond 64 bits": base("a.safetensors", header({"w": entry([1], 0, 2**70)})),
    "a tensor of 4 TB in one number": base("a.pt", saved({"w": torch.zeros(1).expand(10**12)})),
    "3 GB in one number": base("a.pt", saved({"w": torch.zeros(1).expand(75 * 10**7)})),
    "a thousand views of 100 MB": base(
        "a.pt", saved({str(i): torch.zeros(1).expand(25 * 10**6) for i in range(1000)})
    ),
    "a storage of 8 EB": base("a.pt", claimed(BIG)),
    "a storage of 3 GB": base("a.pt", claimed(75 * 10**7)),
    "2 GB of zeros in a packed file": base(
        "a.pt", swollen(repacked(saved({"w": torch.zeros(1000)}), lambda _, c: c, 8), 2 * 10**9)
    ),
    "a packed file": base(
        "a.pt", repacked(saved({"w": torch.zeros(10**6)}), lambda _, c: c, zipfile.ZIP_DEFLATED)
    ),
    "a bytearray of 8 GB": base("a.pt", called(bytearray, 8 * 10**9)),
    "a tensor of 1e12, made by a call": base("a.pt", called(torch.Tensor, 10**12)),
    "a tensor of 750 million, made by a call": base("a.pt", called(torch.Tensor, 75 * 10**7)),
    "models in models, 300 deep": base("a.pt", saved(nest(300))),
    "models in models, 100,000 deep": base("a.pt", deep_pickle(100_000)),
    "a text of 2^60 letters in a pickle": base(
        "a.pt", pickled(b"\x80\x02\x8d" + struct.pack("<Q", BIG) + b"a.")
    ),
    "the old format, 3 GB in one number": base(
        "a.pt", saved({"w": torch.zeros(1).expand(75 * 10**7)}, old=True)
    ),
    "the old format, a storage of 8 EB": base(
        "a.pt",
        saved({"w": torch.zeros(1000)}, old=True).replace(
            b"M\xe8\x03", b"\x8a\x08" + struct.pack("<q", BIG)
        ),
    ),
    "a torch file of 2 TB of holes": base("a.pt", saved({"w": torch.zeros(2)}), 2 * 10**12),
    **{name: model_file("a.gguf", content) for name, content in GGUFS.items()},
    "an adapter of rank 1e9": peft({"r": 10**9}, lora()),
    "an adapter's pattern that never ends": peft({"rank_pattern": {"(a+)+b": 3}}, lora("a" * 40)),
    "an adapter's config 100,000 deep": peft(DEEP, lora()),
    "an adapter's header of 2^60 bytes": peft({}, header({}, BIG)),
}
FOLDERS: dict[str, Bomb] = {
    "a hidden size of 1e9": hf_setting(hidden_size=10**9),
    "a vocabulary of 1e12": hf_setting(vocab_size=10**12),
    "a billion layers of a library": hf_setting(num_hidden_layers=10**9),
    "1e12 positions": hf_setting(max_position_embeddings=10**12),
    "1e30 heads": hf_setting(num_attention_heads=10**30),
    "an intermediate size of 1e9": hf_setting(intermediate_size=10**9),
    "a config.json 100,000 deep": hf("config.json", '{"model_type": "llama", "a": ' + DEEP + "}"),
    "a tokenizer.json 100,000 deep": hf("tokenizer.json", DEEP),
    "padding to 1e10 tokens": hf(
        "tokenizer.json",
        lambda known: {
            **known,
            "padding": {
                "strategy": {"Fixed": 10**10},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "x",
            },
        },
    ),
    "a tokenizer_config.json of 5 million lists": hf(
        "tokenizer_config.json", '{"a": [' + "[]," * 5_000_000 + "[]]}"
    ),
    "a generation_config.json 100,000 deep": hf("generation_config.json", DEEP),
    "a state 100,000 deep": run(write("checkpoints/step-*/state.json", DEEP), "resume"),
    "a state of 5 million lists": run(
        write("checkpoints/step-*/state.json", "[" + "[]," * 5_000_000 + "[]]"), "resume"
    ),
    "a state of holes": run(write("checkpoints/step-*/state.json", "{}", sparse=10**11), "resume"),
    "a manifest 100,000 deep": run(write("checkpoints/step-*/manifest.json", DEEP), "resume"),
    "tensors of 2^60 bytes in a checkpoint": run(
        write("checkpoints/step-*/model.safetensors", header({"w": entry([2**58], 0, BIG)})),
        "resume",
    ),
    "weights of holes in a checkpoint": run(
        write("checkpoints/step-*/model.safetensors", raw, sparse=len(raw) + 10**12), "resume"
    ),
    "a pointer 100,000 deep": run(write("checkpoints/best.json", DEEP), "evaluate"),
    "a run.json 100,000 deep": run(write("run.json", DEEP), "resume"),
    "a run.json of holes": run(write("run.json", "{}", sparse=10**12), "runs"),
    "a summary 100,000 deep": run(write("summary.json", DEEP), "runs"),
    "metrics 100,000 deep": run(write("metrics.jsonl", DEEP), "resume"),
    "metrics of holes": run(write("metrics.jsonl", "{}\n", sparse=10**12), "resume"),
    "a config.yaml of brackets": run(write("config.yaml", "a: " + "[" * 100_000), "resume"),
}
