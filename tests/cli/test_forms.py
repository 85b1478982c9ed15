"""Each command reads a table in each form, and all of them say the same of a wrong delimiter."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import pytest
from support.apart import apart
from typer.testing import CliRunner, Result

from ftune.cli import app

ROWS = [{"size": i % 7 + 0.5, "hue": "rgb"[i % 3], "kind": "ab"[i % 2]} for i in range(60)]
TABLE = "size,hue,kind\n" + "".join(f"{r['size']},{r['hue']},{r['kind']}\n" for r in ROWS)
CONFIG = """\
task: classification
data: {{source: {source}, path: {path}, target: kind}}
model: {{name: mlp, width: 4, depth: 1}}
optimizer: {{name: adamw, lr: 1e-2}}
train: {{epochs: 1, batch_size: 16}}
lr_find: {{max_steps: 5, per_decade: 1, refine: 3}}
sweep: {{scientific: {{model.width: [2, 4]}}, trials: 2}}
runtime: {{threads: 1}}
"""
FORMS: dict[str, bytes] = {
    "t.csv.gz": gzip.compress(TABLE.encode()),
    "t.csv.bz2": bz2.compress(TABLE.replace("\n", ",\n").encode("utf-16")),
    "t.json": json.dumps(ROWS, indent=1).encode(),
}


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def configured(path: str) -> str:
    source = "jsonl" if "json" in path else "csv"
    Path("c.yaml").write_text(CONFIG.format(source=source, path=path))
    return "c.yaml"


COMMANDS = [
    ["check", "c.yaml", "--data"],
    ["optimize", "c.yaml", "--out", "new"],
    ["finetune", "c.yaml", "--base", "run", "--out", "tuned"],
    ["lr-find", "c.yaml"],
    ["sweep", "c.yaml", "--out", "swept"],
]


@pytest.mark.parametrize("name", FORMS)
def test_every_command_reads_it(name: str, tmp_path: Path) -> None:
    apart(lambda: read_by_every_command(name), tmp_path)


def read_by_every_command(name: str) -> None:
    Path("t.csv").write_text(TABLE)
    Path(name).write_bytes(FORMS[name])
    assert typed("optimize", configured("t.csv"), "--out", "run").exit_code == 0
    configured(name)
    for command in COMMANDS:
        done = typed(*command)
        assert done.exit_code == 0, (command, done.output)
    plain, packed = (
        json.loads(typed("evaluate", "run", f"data.path={path}", "--json").stdout)["metrics"][path]
        for path in ("t.csv", name)
    )
    assert plain == packed
    for path, out in (("t.csv", "a.csv"), (name, "b.csv")):
        assert typed("predict", "run", "--input", path, "--output", out).exit_code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_every_command_names_the_delimiter(tmp_path: Path) -> None:
    """Also of rows that have commas in their numbers."""
    apart(told_by_every_command, tmp_path)


def told_by_every_command() -> None:
    Path("t.csv").write_text(TABLE)
    assert typed("optimize", configured("t.csv"), "--out", "run").exit_code == 0
    Path("e.csv").write_text(TABLE.replace(",", ";").replace(".", ","))
    configured("e.csv")
    for command in COMMANDS:
        done = typed(*command)
        assert (done.exit_code, 'write `delimiter: ";"`' in done.output) == (2, True), done.output
    new = [
        ["evaluate", "run", "data.path=e.csv"],
        ["predict", "run", "--input", "e.csv", "--output", "p.csv"],
    ]
    for command in new:  # of new rows the delimiter is recognised, and the notation asked for
        done = typed(*command)
        assert (done.exit_code, "`data.decimal=…`" in done.output) == (2, True), done.output
