"""Hostile single files: weights, and data of every kind."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import nn

from support import payloads as p
from support.payloads import saved

Maker = Callable[[Path, Path], Path]
"""(an empty folder, the canary) -> the path that a command is given."""

WEIGHTS: dict[str, Maker] = {
    "pt-shell": lambda at, c: saved({"a": p.WEIGHT, "b": p.by_shell(c)}, at / "m.pt"),
    "pth-exec-nested": lambda at, c: saved(
        {"state_dict": {"w": p.WEIGHT, "x": {"y": [p.by_exec(c)]}}}, at / "m.pth"
    ),
    "bin-eval-optimizer": lambda at, c: saved(
        {"model": {"w": p.WEIGHT}, "optimizer": {"state": {0: p.by_eval(c)}}}, at / "m.bin"
    ),
    "ckpt-open": lambda at, c: saved(
        {"state_dict": {"w": p.WEIGHT}, "hyper_parameters": p.by_open(c)}, at / "m.ckpt"
    ),
    "pt-legacy-process": lambda at, c: saved({"a": p.by_process(c)}, at / "m.pt", legacy=True),
    "pt-getattr": lambda at, c: saved({"a": p.by_getattr(c)}, at / "m.pt"),
    "pt-setstate": lambda at, c: saved({"a": p.Stateful(c)}, at / "m.pt"),
    "pt-key": lambda at, c: saved({"w": p.WEIGHT, (p.by_open(c), 1): 2}, at / "m.pt"),
    "pt-module": lambda at, c: saved(nn.Sequential(nn.Linear(4, 3), _marked(c)), at / "m.pt"),
    "pt-protocol-0": lambda at, c: p.protocol_0(at / "m.pt", c),
    "pth-protocol-4": lambda at, c: p.protocol_4(at / "m.pth", c),
    "pt-inst": lambda at, c: p.old_instance(at / "m.pt", c),
    "pt-plain-pickle": lambda at, c: p.opcodes(at / "m.pt", pickle.dumps({"a": p.by_shell(c)})),
    "pt-tar": lambda at, c: p.old_tar(at / "m.pt", c),
    "pt-zip-outside": lambda at, c: p.renamed_zip(at / "m.pt", c, "../../outside"),
    "pt-zip-two-pickles": lambda at, c: p.renamed_zip(at / "m.pt", c, "m", extra=True),
    "pt-numpy-object": lambda at, c: saved(
        {"w": p.WEIGHT, "n": np.array([p.by_open(c)], dtype=object)}, at / "m.pt"
    ),
    "pt-numpy-scalar": lambda at, c: saved({"w": p.WEIGHT, "n": p.numpy_scalar(c)}, at / "m.pt"),
    "pt-load-from-bytes": lambda at, c: saved({"w": p.hidden_in_storage(c)}, at / "m.pt"),
    "pt-torchscript": lambda at, _: p.script(at / "m.pt"),
    "pt-story": lambda at, c: saved(
        {"model": {"w": p.WEIGHT}, "ftune": "{}", "ftune.pipeline": p.by_exec(c)}, at / "m.pt"
    ),
    "safetensors-pickle": lambda at, c: p.opcodes(
        at / "m.safetensors", pickle.dumps(p.by_shell(c))
    ),
    "safetensors-zip": lambda at, c: saved({"a": p.by_shell(c)}, at / "m.safetensors"),
    "pkl": lambda at, c: p.opcodes(at / "m.pkl", pickle.dumps(p.by_shell(c))),
    "gguf-pickle": lambda at, c: p.opcodes(at / "m.gguf", b"GGUF" + pickle.dumps(p.by_shell(c))),
    "gguf-template": lambda at, c: _gguf(at / "m.gguf", c),
}


def _marked(canary: Path) -> nn.Module:
    module = nn.ReLU()
    module.note = p.by_open(canary)  # type: ignore[assignment]
    return module


def _gguf(path: Path, canary: Path) -> Path:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_chat_template(jinja(canary))
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def jinja(canary: Path) -> str:
    """A template that climbs from a string to the builtins, where nothing stops it."""
    reach = "cycler.__init__.__globals__.os"
    climb = "''.__class__.__mro__[1].__subclasses__()"
    return (
        f"{{{{ {reach}.system('touch {canary}') }}}}{{{{ {climb} }}}}"
        "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    )


def _npz(at: Path, canary: Path) -> Path:
    held = np.array([p.by_open(canary)] * 40, dtype=object)
    np.savez(at / "d.npz", x=np.zeros((40, 4)), label=held)
    return at / "d.npz"


def _npy(at: Path, canary: Path) -> Path:
    np.save(at / "d.npy", np.array([p.by_shell(canary)], dtype=object), allow_pickle=True)
    return at / "d.npy"


def _npz_outside(at: Path, canary: Path) -> Path:
    """Members that name files elsewhere, for whoever unpacks them."""
    with zipfile.ZipFile(at / "d.npz", "w") as archive:
        archive.writestr(f"../../{canary.name}.npy", b"\x93NUMPY\x01\x00")
        archive.writestr(f"{canary}", b"x")
    return at / "d.npz"


def _csv(at: Path, canary: Path) -> Path:
    path = at / f"$(touch {canary.name}).csv"
    rows = [f"=cmd|'/C touch {canary}'!A0,{i},{'ab'[i % 2]}" for i in range(40)]
    path.write_text("\n".join(["=HYPERLINK(1),b,label", *rows]))
    return path


def _jsonl(at: Path, canary: Path) -> Path:
    row = {"__reduce__": ["os.system", f"touch {canary}"], "py/object": "os.system", "label": "a"}
    (at / "d.jsonl").write_text("\n".join([json.dumps(row)] * 40))
    return at / "d.jsonl"


def _parquet(at: Path, canary: Path, extension: bool) -> Path:
    """`extension`: Arrow's Python types, whose stored form was once unpickled on reading."""
    import pyarrow as pa
    from pyarrow import parquet

    stored = pickle.dumps(p.by_shell(canary))
    names = {b"ARROW:extension:name": b"arrow.py_extension_type",
             b"ARROW:extension:metadata": stored}  # fmt: skip
    field = pa.field("a", pa.int64(), metadata=names if extension else None)
    schema = pa.schema([field, ("label", pa.string())], metadata={b"pandas": stored})
    table = pa.table([pa.array(range(40)), pa.array(["a", "b"] * 20)], schema=schema)
    parquet.write_table(table, at / "d.parquet")
    return at / "d.parquet"


def _archive(at: Path, canary: Path) -> Path:
    with zipfile.ZipFile(at / "images.zip", "w") as archive:
        archive.writestr(f"../../../{canary.name}", "x")
        archive.writestr(f"a/../../{canary.name}.png", "x")
    return at / "images.zip"


DATA: dict[str, Maker] = {
    "npz-object": _npz,
    "npy-object": _npy,
    "npz-outside": _npz_outside,
    "csv-formula": _csv,
    "jsonl-objects": _jsonl,
    "parquet-pandas": lambda at, c: _parquet(at, c, extension=False),
    "parquet-extension": lambda at, c: _parquet(at, c, extension=True),
    "zip-outside": _archive,
}

POSTSCRIPT = """%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 16 16
%%EndComments
(%pipe%touch {canary}) (w) file closefile
({canary}) (w) file closefile
%%EOF
"""


def _images(at: Path, canary: Path, kind: str) -> Path:
    from PIL import Image

    for label in "ab":
        (at / label).mkdir()
        for number in range(12):
            colour = (number, 10, 20) if label == "a" else (200, number, 20)
            Image.new("RGB", (16, 16), colour).save(at / label / f"{number}.png")
    if kind == "eps":
        for name in ("x.jpg", "y.png"):
            (at / "a" / name).write_text(POSTSCRIPT.format(canary=canary))
    elif kind == "svg":
        svg = f'<svg xmlns="http://www.w3.org/2000/svg"><script>touch {canary}</script></svg>'
        (at / "a" / "x.png").write_text(svg)
        Image.new("RGB", (16, 16)).save(at / "a" / "y.png", format="PCX")
    elif kind == "names":
        for name in (f"$(touch {canary.name}).png", f";touch {canary.name};.png", "-rf .png"):
            Image.new("RGB", (16, 16)).save(at / "b" / name)
    else:
        (at / "a" / "x.png").symlink_to("/etc/passwd")
        (at / "c").symlink_to("/etc")
        (at / "loop").symlink_to(at)
    return at


IMAGES: dict[str, Maker] = {
    f"images-{kind}": lambda at, c, kind=kind: _images(at, c, kind)  # type: ignore[misc]
    for kind in ("eps", "svg", "names", "links")
}
