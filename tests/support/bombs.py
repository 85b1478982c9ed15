"""Small inputs that claim to be large: configurations and data."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftune.schema.root import LANGUAGE
from support.bounded import command

Bomb = Callable[[Path], Callable[[], Any]]
HEAD = "task: classification\ndata: {source: sklearn, name: iris}\n"
TINY = HEAD + "model: {name: mlp, width: 4}\ntrain: {steps: 1}\n"


def config(text: str | bytes, *changes: str) -> Bomb:
    """A file given to `ftune check`."""

    def make(folder: Path) -> Callable[[], Any]:
        file = folder / "ftune.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return command("check", str(file), *changes)

    return make


def extended(**files: str) -> Bomb:
    """Files that extend each other; the last is given to `ftune check`."""

    def make(folder: Path) -> Callable[[], Any]:
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        os.mkfifo(folder / "fifo")
        return command("check", str(folder / f"{name}.yaml"))

    return make


def model(text: str, extra: str = "") -> Bomb:
    """A model declared in a file given to `ftune optimize`."""

    def make(folder: Path) -> Callable[[], Any]:
        file = folder / "ftune.yaml"
        file.write_text(f"{HEAD}model:\n  name: sequential\n  layers:\n{text}\n{extra}")
        return command("optimize", str(file), "--out", str(folder / "out"), "--quiet")

    return make


def data(name: str, content: bytes, sparse: int = 0, **settings: Any) -> Bomb:
    """A file that is read as data; `sparse`: its size, without that much disk."""

    def make(folder: Path) -> Callable[[], Any]:
        file = folder / name
        with file.open("wb") as out:
            out.write(content)
            if sparse:
                out.truncate(sparse)
        return lambda: read(file, **settings)

    return make


def read(file: Path, **settings: Any) -> None:
    """The data of a file, prepared as for a training."""
    from ftune.assembly.build import read_data

    source = {".npz": "npz", ".jsonl": "jsonl", ".parquet": "parquet", ".txt": "text"}
    plain: dict[str, Any] = {
        "task": "classification",
        "data": {"source": source.get(file.suffix, "csv"), "path": str(file), "target": "y"},
        "model": {"name": "mlp", "width": 4},
    }
    if file.suffix == ".txt":
        plain |= {
            "task": "causal-lm",
            "model": {"name": "sequential", "layers": [{"embedding": 4}, {"linear": "out"}]},
        }
        words = {"tokenize": {"tokenizer": "characters", "max_length": 8}}
        plain["data"] = {"source": "text", "path": str(file), "transforms": [words]}
    plain["data"] |= settings
    read_data(LANGUAGE.of(plain))


def npy(header: str, content: bytes = b"") -> bytes:
    """A .npy file with any text as its header."""
    raw = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + content


def packed(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return box.getvalue()


def shaped(shape: str, kind: str = "<f8") -> bytes:
    """An .npz whose array claims a shape and has 80 bytes."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}"
    return packed(("x.npy", npy(header, bytes(80))), ("y.npy", npy(header, bytes(80))))


def swollen(content: bytes, size: int) -> bytes:
    """A zip whose members all claim `size` bytes unpacked."""
    raw = bytearray(content)
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = raw.find(mark)
        while start >= 0:
            raw[start + at : start + at + 4] = struct.pack("<I", min(size, 2**32 - 2))
            start = raw.find(mark, start + 4)
    return bytes(raw)


def zeros_npz() -> bytes:
    """A real array of 6 billion zeros, in 6 MB."""
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (6000000000,), }"
    whole = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = whole.compress(bytes(10**6)) + whole.flush(zlib.Z_FULL_FLUSH)
    return swollen(packed(("x.npy", npy(header) + block * 4)), 2**32 - 2)


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(width: int, height: int, *chunks: bytes, color: int = 2) -> bytes:
    """A PNG that claims a size; its pixels are 1,000 zeros."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + body + chunk(b"IEND", b"")


def image(name: str, content: bytes) -> Bomb:
    """A folder of two classes, each with this file."""

    def make(folder: Path) -> Callable[[], Any]:
        for label in ("cat", "dog"):
            (folder / "pictures" / label).mkdir(parents=True)
            for i in range(4):
                (folder / "pictures" / label / f"{i}{name}").write_bytes(content)
        return lambda: _read_images(folder / "pictures")

    return make


def _read_images(folder: Path) -> None:
    from ftune.assembly.build import read_data

    plain = {
        "task": "classification",
        "data": {
            "source": "images",
            "path": str(folder),
            "cache": False,
            "transforms": [{"resize": 8}],
            "split": {"val": 2},
        },
        "model": {"name": "mlp", "width": 4},
    }
    read_data(LANGUAGE.of(plain))


def parquet(rows: int, text: int = 0) -> Bomb:
    """A real Parquet file of one value again and again, in a few kilobytes."""

    def make(folder: Path) -> Callable[[], Any]:
        import numpy as np
        import pyarrow as pa
        from pyarrow import parquet as pq

        most = min(rows, 10_000_000)
        zeros = pa.array(np.zeros(most, np.int8))
        texts = pa.DictionaryArray.from_arrays(zeros, pa.array(["x" * text]))
        table = pa.table({"y": texts if text else zeros})
        with pq.ParquetWriter(folder / "a.parquet", table.schema, store_schema=False) as out:
            for _ in range(rows // most):
                out.write_table(table, row_group_size=most)
        return lambda: read(folder / "a.parquet")

    return make


def nested_lists(depth: int, wide: int) -> str:
    """`- repeat: {times: wide, layers: [{repeat: …`"""
    inner = "{linear: 4}"
    for _ in range(depth):
        inner = f"{{repeat: {{times: {wide}, layers: [{inner}]}}}}"
    return f"    - {inner}\n    - linear: out"


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n"
    for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGES = "a: &a {k1: 1}\n" + "".join(
    f"{b}: &{b} {{<<: [{','.join([f'*{a}'] * 9)}]}}\n"
    for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
GIF = (
    b"GIF89a"
    + struct.pack("<HH", 65535, 65535)
    + b"\x80\0\0"
    + bytes(6)
    + (b"," + struct.pack("<HHHH", 0, 0, 65535, 65535) + b"\0\x02\x02\x44\x01\0;")
)
TIFF = (
    b"II*\0\x08\0\0\0\x05\0"
    + b"".join(
        struct.pack("<HHII", tag, 4, 1, value)
        for tag, value in ((256, 10**9), (257, 10**9), (259, 1), (262, 1), (273, 8))
    )
    + bytes(4)
)
TAGS = (
    b"II*\0\x08\0\0\0\x02\0"
    + b"".join(struct.pack("<HHII", tag, 4, 2**31, 8) for tag in (256, 270))
    + bytes(4)
)
BMP = (
    b"BM"
    + struct.pack("<IHHI", 70, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 10**5, 10**5, 1, 24, 0, 0, 0, 0, 0, 0)
    + bytes(16)
)
JPEG = (
    bytes.fromhex("ffd8ffe000104a46494600010100000100010000")
    + bytes.fromhex("ffc0001108ffdcffdc03012200021101031101")
    + b"\xff\xd9"
)

MANY = "".join(f"k{i}: 1\n" for i in range(9_000))
CONFIGS: dict[str, Bomb] = {
    "files that multiply": extended(
        f0=TINY, **{f"f{i}": f"extends: [{f'f{i - 1}.yaml, ' * 9}]\n" for i in range(1, 7)}
    ),
    "an extended file without an end": extended(a="extends: /dev/zero\n" + TINY),
    "an extended pipe that nobody writes to": extended(a="extends: fifo\n" + TINY),
    "files in a circle": extended(a="extends: b.yaml\n", b="extends: a.yaml\n" + TINY),
    "many values in each of many files": extended(
        a=MANY, b=MANY, c=MANY, d="extends: [a.yaml, b.yaml, c.yaml]\n" + TINY
    ),
    "as many values as files may have together": extended(a=MANY, b="extends: a.yaml\n" + TINY),
    "aliases that multiply": config(LAUGHS + TINY),
    "merges that multiply": config(MERGES + TINY),
    "an alias to itself": config("a: &a [*a]\n" + TINY),
    "flow lists 100,000 deep": config("a: " + "[" * 100_000),
    "block mappings 2,000 deep": config("".join(" " * i + "a:\n" for i in range(1300))),
    "a file of 2 MB": config("#" * 2_000_000),
    "a number of 300,000 digits": config(TINY + "seed: " + "9" * 300_000),
    "a float of 1e999999999": config(TINY.replace("steps: 1", "epochs: 1e999999999")),
    "a key of 900,000 characters": config("k" * 900_000 + ": 1\n" + TINY),
    "40,000 unknown keys": config("".join(f"tran{i}: 1\n" for i in range(40_000)) + TINY),
    "references that multiply": config(
        TINY
        + "".join(
            f"x{i + 1}: {'${x' + str(i) + '}' * 1}" + f"${{x{i}}}" * 9 + "\n" for i in range(9)
        )
        + "x0: aaaaaaaaaa\n"
    ),
    "an override 5,000 deep": config(TINY, "train" + ".a" * 5000 + "=1"),
    "an override of brackets": config(TINY, "train=" + "[" * 50_000),
    "an override with a number of 100,000 digits": config(TINY, "seed=" + "9" * 100_000),
    "1e18 rows a step": config(TINY, "train.batch_size=1000000000000000000"),
    "a grid of 1e14 points": config(
        TINY
        + "sweep: {sampler: grid, scientific: {"
        + ", ".join(
            f"{key}: [{', '.join(str(i + 1) for i in range(100))}]"
            for key in (
                "seed",
                "train.batch_size",
                "train.steps",
                "model.width",
                "model.depth",
                "train.accumulate",
                "train.log_every",
            )
        )
        + "}}"
    ),
    "a layer of 1e12": model("    - linear: 1000000000000\n    - linear: out"),
    "layers of a million": model("    - linear: 1000000\n    - linear: 1000000\n    - linear: out"),
    "a billion layers": model(nested_lists(3, 1000)),
    "an LSTM of a million": model(
        "    - reshape: [2, 2]\n    - lstm: {size: 1000000, layers: 100}\n    - linear: out"
    ),
    "a kernel of a billion": model(
        "    - reshape: [1, 4]\n    - conv1d: {channels: 1000000, kernel: 1000000000,"
        " padding: 1000000000}\n    - flatten\n    - linear: out"
    ),
}
DATA: dict[str, Bomb] = {
    "JSON objects 100,000 deep": data("a.jsonl", b'{"a":' * 10**5 + b"1" + b"}" * 10**5 + b"\n"),
    "JSON lists 100,000 deep": data("a.jsonl", b'{"y":' + b"[" * 10**5 + b"]" * 10**5 + b"}\n"),
    "JSON objects 100,000 deep, each on its line": data(
        "a.jsonl", b'{"a":\n' * 10**5 + b"1" + b"}" * 10**5 + b"\n"
    ),
    "JSON lists 500 deep": data("a.jsonl", b'{"y":' + b"[" * 500 + b"]" * 500 + b"}\n"),
    "a JSON number of 100,000 digits": data("a.jsonl", b'{"y":' + b"9" * 10**5 + b"}\n"),
    "a JSON exponent of 1e9": data("a.jsonl", b'{"y": 1e1000000000}\n{"y": 2}\n'),
    "200,000 keys of JSON": data(
        "a.jsonl", b"{" + b",".join(b'"k%d":1' % i for i in range(200_000)) + b"}\n"
    ),
    "a JSON file of 2 TB": data("a.jsonl", b'{"y": 1}\n', sparse=2 * 10**12),
    "a million columns": data("a.csv", b"y," * 10**6 + b"z\n" + b"1," * 10**6 + b"1\n"),
    "a CSV file of 2 TB": data("a.csv", b"y,b\n1,2\n", sparse=2 * 10**12),
    "a CSV file of 20 GB without a line": data("a.csv", b"y,b\n1,2\n", sparse=2 * 10**10),
    "a quoted value of 60 MB": data("a.csv", b'y,b\n1,"' + b"x" * 60_000_000),
    "a text file of 2 TB": data("a.txt", b"text\n", sparse=2 * 10**12),
    "a text file of 1 GB of nothing": data("a.txt", b"text\n", sparse=10**9),
    "an array of 8 TB": data("a.npz", shaped("(1000000000000,)")),
    "an array of 1e40 numbers": data("a.npz", shaped("(" + "1" + "0" * 40 + ",)")),
    "an array of negative length": data("a.npz", shaped("(-1, -1000000000000)")),
    "an array of 5,000 dimensions": data("a.npz", shaped("(" + "1," * 5000 + ")")),
    "text of 1e9 characters a row": data("a.npz", shaped("(10,)", "<U1000000000")),
    "a header of 5,000 brackets": data(
        "a.npz", packed(("y.npy", npy("{'descr': " + "[" * 5000 + "]" * 5000 + "}")))
    ),
    "members of 4 GB in 80 bytes": data("a.npz", swollen(shaped("(500000000,)"), 4 * 10**9)),
    "4 GB of zeros, packed": data("a.npz", zeros_npz()),
    "a member packed with LZMA": data(
        "a.npz", packed(("y.npy", npy("{}", bytes(10**6))), method=zipfile.ZIP_LZMA)
    ),
    "600 million values in a Parquet file": parquet(600_000_000),
    "20 GB of one text in a Parquet file": parquet(20_000, text=1_000_000),
    "an image of 60,000 × 60,000": image(".png", png(60_000, 60_000)),
    "an image of 2^31 × 2^31": image(".png", png(2**31 - 1, 2**31 - 1)),
    "9,000 × 9,000 in 1 KB": image(".png", png(9000, 9000)),
    "a text of 1 GB in a PNG": image(
        ".png", png(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(300_000_000), 9)))
    ),
    "a colour profile of 300 MB in a PNG": image(
        ".png", png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(300_000_000), 9)))
    ),
    "a GIF of 65,535 × 65,535": image(".gif", GIF),
    "a TIFF of 1e9 × 1e9": image(".tif", TIFF),
    "a TIFF of two billion tags": image(".tif", TAGS),
    "a BMP of 100,000 × 100,000": image(".bmp", BMP),
    "a JPEG of 65,500 × 65,500": image(".jpg", JPEG),
}


def deep_json(depth: int = 100_000) -> str:
    return "[" * depth + "]" * depth


def wide_json(values: int = 5_000_000) -> str:
    return json.dumps([[]] * values)
