"""The pages of docs: their YAML is valid, the reference is what the schema says, links lead on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ftune.config.tree import parse
from ftune.errors import ConfigError
from ftune.extend import load_code
from ftune.schema.root import LANGUAGE

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(page for page in DOCS.glob("*.md") if page.name not in ("config.md", "log.md"))
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.M | re.S)
CODE = re.compile(r"^<!-- file: (\S+\.py) -->\n```python\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)#:]+)\)")
STUB: dict[str, Any] = {
    "task": "classification", "data": {"source": "csv", "path": "t.csv", "target": "y"},
    "model": "mlp",
}  # fmt: skip
SNIPPETS = [(page, text) for page in PAGES for text in YAML.findall(page.read_text("utf-8"))]


def completed(text: str) -> dict[str, Any]:
    """A snippet with what it leaves out."""
    given: dict[str, Any] = parse(text, "snippet").plain()
    return {key: STUB[key] for key in STUB if key not in given} | given


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_each_snippet_is_valid(number: int, tmp_path: Path) -> None:
    page, text = SNIPPETS[number]
    for name, code in CODE.findall(page.read_text("utf-8")):
        (tmp_path / name).write_text(code, encoding="utf-8")
        if "@ftune." in code:
            load_code(tmp_path / name)
    LANGUAGE.of(completed(text))


def test_a_snippet_with_a_fault_would_be_found() -> None:
    assert len(SNIPPETS) >= 10
    with pytest.raises(ConfigError, match="did you mean `adapt`"):
        LANGUAGE.of(completed("adapte: [{match: x, train: false}]"))


def test_the_reference_is_up_to_date() -> None:
    made = subprocess.run(
        [sys.executable, DOCS / "make_reference.py"], capture_output=True, text=True, check=True
    )
    assert made.stdout == (DOCS / "config.md").read_text("utf-8"), (
        "python docs/make_reference.py > docs/config.md"
    )


@pytest.mark.parametrize("page", [*PAGES, DOCS.parent / "README.md"], ids=lambda p: p.name)
def test_links_lead_on(page: Path) -> None:
    links = LINK.findall(page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
