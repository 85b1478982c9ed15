"""The files that golden runs read: the same bytes on every machine."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Iterable
from pathlib import Path

MODELS = Path(__file__).parents[1] / "fixtures/0.1"
WORDS = ("the", "cat", "sat", "on", "a", "mat", "dog", "ran", "far", "away", "bird", "flew", "over",
         "sea", "fish", "swim", "in", "deep", "blue")  # fmt: skip
CITIES = ("Bonn", "Kyiv", "Lima", "Oslo")


def write_inputs(folder: Path) -> None:
    """Writes tables, texts, images and two tiny models of transformers into `folder`."""
    rng = random.Random(7)
    folder.mkdir(parents=True, exist_ok=True)
    people = [_person(rng) for _ in range(200)]
    _table(folder / "people.csv", ("age", "income", "city", "label", "price"), people)
    newer = [_person(rng) for _ in range(120)]
    columns = [(row[2], row[1], rng.gauss(0, 1), row[0], row[3]) for row in newer]
    _table(folder / "newer.csv", ("city", "income", "height", "age", "label"), columns)
    _table(folder / "tags.csv", ("a", "b", "c", "hot", "new"), [_tagged(rng) for _ in range(160)])
    _write_texts(folder, rng)
    _write_images(folder / "images", rng)
    for name in ("bert", "llama"):
        shutil.copytree(MODELS / name, folder / name)


def _person(rng: random.Random) -> tuple[object, ...]:
    age, income, city = rng.randint(18, 80), rng.lognormvariate(10, 0.6), rng.choice(CITIES)
    score = (age - 45) / 15 + CITIES.index(city) - 1.5 + rng.gauss(0, 0.5)
    price = round(income * (1.2 + 0.1 * CITIES.index(city)) + 200 * age + rng.gauss(0, 500), 2)
    shown = "" if rng.random() < 0.1 else f"{income:.2f}"
    return age, shown, city, "high" if score > 0.7 else "low" if score < -0.7 else "middle", price


def _tagged(rng: random.Random) -> tuple[object, ...]:
    a, b, c = (rng.gauss(0, 1) for _ in range(3))
    return f"{a:.6f}", f"{b:.6f}", f"{c:.6f}", int(a + b > 0), int(c - a > 0.3)


def _write_texts(folder: Path, rng: random.Random) -> None:
    sentences = [rng.choices(WORDS, k=rng.randint(2, 9)) for _ in range(120)]
    texts = [" ".join(words) for words in sentences]
    labels = ["animal" if {"cat", "dog", "bird", "fish"} & set(w) else "none" for w in sentences]
    _table(folder / "texts.csv", ("text", "label"), zip(texts, labels, strict=True))
    named = [["B-ANI" if w in ("cat", "dog", "bird") else "O" for w in s] for s in sentences]
    rows = [{"words": s, "tags": t} for s, t in zip(sentences, named, strict=True)]
    _lines(folder / "tagged.jsonl", rows)
    chats = [{"question": a, "answer": b} for a, b in zip(texts[::2], texts[1::2], strict=True)]
    _lines(folder / "chats.jsonl", chats)


def _write_images(folder: Path, rng: random.Random) -> None:
    from PIL import Image

    for label, tone in (("dark", 60), ("light", 180)):
        (folder / label).mkdir(parents=True)
        for i in range(30):
            pixels = bytes(max(0, min(255, int(rng.gauss(tone, 40)))) for _ in range(12 * 12 * 3))
            Image.frombytes("RGB", (12, 12), pixels).save(folder / label / f"{i:02}.png")


def _table(file: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([header, *rows])


def _lines(file: Path, rows: Iterable[object]) -> None:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
