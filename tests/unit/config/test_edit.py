"""One value set in a YAML text: where it stands or is missing, all other bytes as they were."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftune.commands.lr_find import write_rate
from ftune.config.edit import set_value
from ftune.config.tree import parse
from ftune.console import Console
from ftune.errors import RequestError

REST = "data: {source: csv, path: t.csv, target: y}\n"
SUMMARY: dict[str, Any] = {"lr": {"suggested": 0.025}, "notes": []}

LAYOUTS = {
    "block": ("optimizer:\n  name: sgd\n  lr: {}  # lr: of old\n", "0.1"),
    "flow": ("optimizer: {{lr: {}, name: sgd}}\n", "1e-3"),
    "flow over lines": ("optimizer: {{\n  name: sgd,\n  lr: {}\n}} # end\n", "auto"),
    "quoted": ("optimizer:\n  lr: {} # 'auto'\n", "'auto'"),
    "quoted keys": ('"optimizer": {{"lr": {}}}\n', '"auto"'),
    "value on its own line": ("optimizer:\n  lr:\n    {}\n  name: sgd\n", "auto"),
    "block scalar": ("optimizer:\n  lr: {}\n  name: sgd\n", ">-\n    auto"),
    "its own anchor": ("optimizer:\n  lr: &rate {}\n", "0.1"),
    "tag": ("optimizer: {{lr: !!float {}}}\n", "0.1"),
    "a comment that looks like it": ("optimizer:\n  # lr: 9\n  lr: {}\n  # lr: 8", "0.1"),
    "another lr before": ("train: {{lr: 5}}\noptimizer: {{lr: {}}}\n", "0.1"),
    "root in flow style": ("{{task: regression, optimizer: {{lr: {}}}, seed: 1}}", "0.1"),
    "a reference": ("rate: 1\noptimizer: {{lr: {}}}\n", "'${rate}'"),
    "words beyond the BMP": ("# \U0001f600 é\noptimizer: {{lr: {}}} # \U0001f600\n", "0.1"),
    "BOM": ("\ufeffoptimizer: {{lr: {}}}\n", "0.1"),
}


@pytest.mark.parametrize("lines", ["\n", "\r\n"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_scalar_alone_is_replaced(name: str, lines: str) -> None:
    layout, old = (text.replace("\n", lines) for text in LAYOUTS[name])
    text = layout.format(old)
    assert set_value(text, "f", "optimizer", "lr", "0.025") == layout.format("0.025")


def test_a_regular_expression_would_miss_some_layouts() -> None:
    """The control of the table: it holds what the marks are for."""
    failed = {
        name
        for name, (layout, old) in LAYOUTS.items()
        if re.sub(r"(?<!\w)(lr:\s*)[^\s,}#]+", r"\g<1>0.025", layout.format(old), count=1)
        != layout.format("0.025")
    }
    assert {"its own anchor", "tag", "a comment that looks like it", "another lr before"} <= failed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("optimizer: adamw # why\n", "optimizer: {name: adamw, lr: 0.025} # why\n"),
        ("{optimizer: 'adamw'}", "{optimizer: {name: 'adamw', lr: 0.025}}"),
        ("optimizer: {name: sgd}\n", "optimizer: {lr: 0.025, name: sgd}\n"),
        ("optimizer:\n  name: sgd # why\n", "optimizer:\n  lr: 0.025\n  name: sgd # why\n"),
        ("optimizer:\r\n  name: sgd\r\n", "optimizer:\r\n  lr: 0.025\r\n  name: sgd\r\n"),
    ],
)
def test_a_missing_key_is_inserted(before: str, after: str) -> None:
    assert set_value(before, "f", "optimizer", "lr", "0.025") == after
    assert parse(after, "f").plain()["optimizer"]["lr"] == 0.025


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate: &r 0.1\noptimizer: {lr: *r}\n", "shared by a YAML alias"),
        ("optimizer: {lr: &r 0.1}\nother: *r\n", "shared by a YAML alias"),
        ("o: &o {lr: 0.1}\noptimizer: *o\n", "shared by a YAML alias"),
        ("o: &o [{lr: 0.1}]\nlist: *o\noptimizer:\n", "no `lr:` under `optimizer:`"),
        ("seed: 1\n", "no `lr:` under `optimizer:` to replace; write `lr: 0.025` there"),
        ("", "no `lr:` under `optimizer:`"),
        ("optimizer:\n  ? name\n  : adamw\n", "no `lr:` under `optimizer:`"),
        ("optimizer: {}\n", "no `lr:` under `optimizer:`"),
    ],
)
def test_what_has_no_place_is_refused(text: str, said: str) -> None:
    with pytest.raises(RequestError) as raised:
        set_value(text, "f", "optimizer", "lr", "0.025")
    assert said in str(raised.value)


SCALARS = st.sampled_from(["0.1", "auto", "'a #b: {'", '"\\n"', "x y", "1e-4", "~"])
KEYS = st.sampled_from(["lr", "name", "eps", "lr_scale", "a"])
BLOCKS = st.dictionaries(KEYS, SCALARS, min_size=1).filter(lambda block: block.get("lr") != "~")


@given(
    blocks=st.dictionaries(st.sampled_from(["optimizer", "train", "model"]), BLOCKS, min_size=1),
    flow=st.booleans(), indent=st.integers(1, 4), comment=st.sampled_from(["", " # lr: 3"]),
)  # fmt: skip
def test_nothing_else_reads_differently(
    blocks: dict[str, dict[str, str]], flow: bool, indent: int, comment: str
) -> None:
    lines = []
    for name, settings in blocks.items():
        pairs = [f"{key}: {value}" for key, value in settings.items()]
        lines.append(f"{name}: {{{', '.join(pairs)}}}{comment}" if flow else f"{name}:{comment}")
        lines += [] if flow else [f"{' ' * indent}{pair}{comment}" for pair in pairs]
    text = "\n".join(lines)
    expected = parse(text, "f").plain()
    if "optimizer" not in blocks:
        return
    expected["optimizer"]["lr"] = 0.025
    edited = set_value(text, "f", "optimizer", "lr", "0.025")
    assert parse(edited, "f").plain() == expected
    assert edited.count("\n") - text.count("\n") == (not flow and "lr" not in blocks["optimizer"])


def test_the_rate_of_a_file_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(f"{REST}optimizer: {{lr: auto}} # é\n".replace("\n", "\r\n").encode())
    write_rate(file, SUMMARY, Console())
    assert file.read_bytes() == (
        f"{REST}optimizer: {{lr: 0.025}} # é\n".replace("\n", "\r\n").encode()
    )
    assert f"written to {file}" in capsys.readouterr().out.replace("\n", "")


def test_the_rate_of_an_extended_file_is_refused(tmp_path: Path) -> None:
    base, file = tmp_path / "base.yaml", tmp_path / "c.yaml"
    base.write_text("seed: 1\noptimizer: {name: sgd, lr: 0.1}\n")
    file.write_text(f"extends: base.yaml\noptimizer: sgd\n{REST}")
    text = file.read_text()
    with pytest.raises(RequestError, match=r"base\.yaml:2:28; write `lr: 0\.025` there"):
        write_rate(file, SUMMARY, Console())
    assert file.read_text() == text
    file.write_text(text.replace("sgd", "{name: sgd, lr: 3}"))  # the control: it is the file's own
    write_rate(file, SUMMARY, Console())
    assert "lr: 0.025" in file.read_text()
