"""Small data of every kind, for trainings that use every key."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from support.tiny_hf import SENTENCES


def write_tables() -> None:
    """A small table in every format, in the current folder."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"a": i / 7, "b": 1 + i % 5, "c": "xyz"[i % 3], "when": f"2026-01-{1 + i % 28:02d}",
         "who": f"p{i % 12}", "label": "no" if i % 4 else "yes", "y": 1.0 + i % 9,
         "m": i % 2, "n": i % 3 // 2}
        for i in range(60)
    ]  # fmt: skip
    with Path("t.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), "t.parquet")
    generator = np.random.default_rng(0)
    np.savez("t.npz", x=generator.normal(size=(60, 6, 8)), label=np.arange(60) % 2)
    np.savez("codes.npz", x=np.arange(240).reshape(60, 4) % 7, label=np.arange(60) % 2)


def write_words_and_pictures() -> None:
    from PIL import Image

    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    rows = [
        {"text": SENTENCES[i % 4], "label": "ab"[i % 2], "words": SENTENCES[i % 4].split(),
         "tags": ["B-X" if len(w) > 3 else "O" for w in SENTENCES[i % 4].split()], "chat": talk,
         "kit": [{"type": "function", "function": {"name": "look"}}]}
        for i in range(40)
    ]  # fmt: skip
    Path("words.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    Path("play.txt").write_text("\n\n".join(SENTENCES * 20), encoding="utf-8")
    lines = ["file,label"]
    for i in range(40):
        file = Path("pictures", "ab"[i % 2], f"{i}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i, 5 * i, 255 - i)).save(file)
        lines.append(f"{file},{'ab'[i % 2]}")
    Path("pictures.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
