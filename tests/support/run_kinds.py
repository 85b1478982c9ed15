"""One run of every kind, for those who look at what runs leave behind."""

from __future__ import annotations

import json
from pathlib import Path

from support.hostile_files import IMAGES
from support.sandbox import Sandbox, command

LORA = """\
task: causal-lm
data: {{source: text, path: words.txt, split: {{val: 0.3}},
  transforms: [{{tokenize: {{max_length: 16}}}}]}}
model: {{name: hf, path: '{model}'}}
adapt: [{{match: '*.q_proj', lora: {{rank: 2}}}}]
train: {{steps: 2, batch_size: 4, ema: 0.9}}
runtime: {{threads: 1, device: cpu}}
"""
PICTURES = """\
task: classification
data: {{source: images, path: '{images}', target: label, split: {{val: 6}},
  transforms: [{{resize: 16}}, {{flip: {{}}}}]}}
model: {{name: sequential, layers: [{{conv2d: 4}}, relu, flatten, {{linear: out}}]}}
train: {{steps: 2, batch_size: 4}}
runtime: {{threads: 1, device: cpu}}
"""


def every_kind(sandbox: Sandbox, place: Path) -> dict[str, Path]:
    """Run folders by kind, trained in the sandbox; each is one that ended well."""
    place.mkdir()
    (place / "pictures").mkdir()
    images = IMAGES["images-names"](place / "pictures", place / "canary")
    for odd in images.rglob("*touch*"):
        odd.unlink()
    (place / "words.txt").write_text("\n\n".join(["the cat sat on the mat", "a dog ran far"] * 20))
    files = {
        "lora": LORA.format(model=sandbox.good.model.with_name("llama")),
        "images": PICTURES.format(images=images),
    }
    for name, text in files.items():
        (place / f"{name}.yaml").write_text(text)
    asked = {
        "table": ("optimize", "c.yaml", "train.ema=0.9", "train.checkpoint_every={steps: 1}"),
        "base": ("finetune", "c.yaml", "--base", sandbox.good.run),
        "rate": ("lr-find", "c.yaml"),
        "sweep": ("sweep", "s.yaml"),
        "lora": ("finetune", place / "lora.yaml"),
        "images": ("optimize", place / "images.yaml"),
    }
    for name, words in asked.items():
        answer = command(*words, "--out", place / name, "--quiet", "--json")
        assert answer.code == 0, (name, answer)
        assert json.loads(answer.text.strip().splitlines()[-1])["status"] == "done", answer
    return {name: place / name for name in asked}
