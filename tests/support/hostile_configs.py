"""Hostile configurations: tags, interpolations, dotted names, anchors, and overrides."""

from __future__ import annotations

from pathlib import Path

from support.hostile_files import Maker

REST = """
data: {source: csv, path: t.csv, target: label, split: {val: 10}}
train: {steps: 1, batch_size: 8}
"""
TEXTS = {
    "apply": "task: !!python/object/apply:os.system ['touch CANARY']\n",
    "new": "task: !!python/object/new:subprocess.Popen [[touch, CANARY]]\nmodel: {name: mlp}\n",
    "name": "task: !!python/name:os.system\nmodel: !!python/module:antigravity\n",
    "own-tag": "task: !include CANARY\nmodel: !exec 'touch CANARY'\n",
    "tag-directive": "%TAG !e! tag:yaml.org,2002:python/\n---\ntask: !e!object/apply:os.system\n",
    "resolver": "task: ${eval:'__import__(\"os\").system(\"touch CANARY\")'}\nseed: ${oc.eval:1}\n",
    "oc-create": "task: ${oc.create:{_target_: os.system}}\noutput: {folder: '${oc.env:HOME}/x'}\n",
    "target": "task: classification\nmodel: {_target_: os.system, _args_: ['touch CANARY']}\n",
    "dotted": "task: os.system\nmodel: {name: subprocess.Popen, args: [touch, CANARY]}\n",
    "colon": "task: classification\nmodel: {name: 'os:system'}\noptimizer: {name: 'os:system'}\n",
    "own-layer": "task: classification\nmodel: {name: sequential, layers: [{os.system: CANARY}]}\n",
    "consent": "task: classification\nmodel: {name: mlp}\nrun_code_from: ['sha256:HASH']\n"
               "code: [CANARY]\n",
}  # fmt: skip


def _written(text: str) -> Maker:
    def make(at: Path, canary: Path) -> Path:
        filled = text.replace("CANARY", str(canary)).replace("HASH", "0" * 64)
        (at / "c.yaml").write_text(filled + REST)
        return at / "c.yaml"

    return make


def _extended(text: str) -> Maker:
    """The same in a file that an innocent one extends."""

    def make(at: Path, canary: Path) -> Path:
        _written(text)(at, canary).rename(at / "hostile.yaml")
        (at / "c.yaml").write_text("extends: hostile.yaml\nseed: 1\n")
        return at / "c.yaml"

    return make


CONFIGS: dict[str, Maker] = {f"yaml-{name}": _written(text) for name, text in TEXTS.items()}
CONFIGS |= {f"extended-{name}": _extended(TEXTS[name]) for name in ("apply", "resolver", "target")}
CONFIGS["extends-code"] = _written("extends: [!!python/name:os.system '', CANARY]\n")

OVERRIDES = (
    "model=!!python/object/apply:os.system ['touch CANARY']",
    "task=${eval:__import__('os').system('touch CANARY')}",
    "model={_target_: os.system, _args_: ['touch CANARY']}",
    "model.name=os.system",
    "__class__.__init__.__globals__=CANARY",
    "train.steps=__import__('os').system('touch CANARY')",
    "seed=$(touch CANARY)",
)
"""Also refused, or read as plain text, when they are given on the command line."""
