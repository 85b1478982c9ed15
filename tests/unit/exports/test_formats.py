"""What is asked of an export, judged before anything is loaded."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

from ftune.errors import MissingExtraError, RequestError
from ftune.exports import FORMATS, accept


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_writes_and_reads_and_is_a_file_or_a_marked_folder(name: str) -> None:
    form = FORMATS[name]
    module = importlib.import_module(form.module)
    assert callable(module.write) and callable(module.read)
    assert bool(form.suffix) != bool(form.marker)
    assert bool(form.extra) == bool(form.needs)


REFUSED = {
    "unknown": ("pdf", "m.pdf", None, "accepted: safetensors, pt, hf, peft, onnx, torch-export"),
    "suffix": ("pt", "m.onnx", None, "the file of format pt ends in .pt"),
    "folder": ("hf", "m.pt", None, "hf writes a folder; .pt is pt"),
    "apart": ("onnx", "m.onnx", "apart", "--apart: not with onnx; formats that can: safetensors"),
    "merged": ("peft", "m", "merged", "--merged: not with peft; formats that can: .*onnx"),
    "file there": ("pt", "there.pt", None, "there.pt exists already; .*--overwrite"),
    "folder there": ("hf", "full", None, "full exists already; .*--overwrite"),
    "folder for file": ("pt", "folder.pt", None, "is a folder already"),
    "file for folder": ("hf", "file", None, "is a file already"),
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for name in ("there.pt", "file"):
        (tmp_path / name).write_bytes(b"")
    for name in ("full", "folder.pt", "empty", "export"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("", encoding="utf-8")
    (tmp_path / "export" / "config.json").write_text("{}", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("kind", REFUSED)
def test_refusals(kind: str, here: Path) -> None:
    name, out, adapters, words = REFUSED[kind]
    with pytest.raises(RequestError, match=words):
        accept(name, here / out, adapters, False)  # type: ignore[arg-type]


def test_overwriting_replaces_exports_only(here: Path) -> None:
    accept("pt", here / "there.pt", None, True)
    accept("hf", here / "export", None, True)
    accept("hf", here / "empty", None, False)
    with pytest.raises(RequestError, match="no earlier export"):
        accept("hf", here / "full", None, True)


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].needs])
def test_absent_packages(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    form = FORMATS[name]
    accept(name, tmp_path / f"m{form.suffix}", None, False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=rf"--format {name} needs the `{form.extra}` extra"):
        accept(name, tmp_path / f"m{form.suffix}", None, False)
