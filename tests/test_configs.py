"""Every YAML file that is shipped is valid, in the tests' own eyes and in its JSON schema's."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ftune.commands.check import check, check_sweep
from ftune.commands.init import annotated, templates
from ftune.config.document import json_schema
from ftune.config.dump import dump
from ftune.config.tree import parse
from ftune.console import Console
from ftune.errors import ConfigError
from ftune.extend import load_code
from ftune.schema.root import LANGUAGE, RunConfig

PROJECT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((PROJECT / "configs").rglob("*.yaml"))
TEMPLATES = sorted((PROJECT / "ftune" / "templates").glob("*.yaml"))


def test_there_are_files_to_look_at() -> None:
    assert PROJECT / "configs" / "transfer" / "base.yaml" in CONFIGS
    assert len(TEMPLATES) >= 5
    assert set(templates()) == {file.stem for file in TEMPLATES}


@pytest.fixture(autouse=True)
def parts(request: pytest.FixtureRequest, apart: None) -> None:  # noqa: ARG001
    """What the modules beside a configuration register."""
    file = getattr(request.node, "callspec", None) and request.node.callspec.params.get("file")
    for module in sorted(file.parent.glob("*.py")) if file else ():
        load_code(module)


@pytest.mark.parametrize("file", [*CONFIGS, *TEMPLATES], ids=lambda f: str(f.relative_to(PROJECT)))
def test_each_passes_the_check(file: Path) -> None:
    config = LANGUAGE.load(file)
    check_sweep(file, [], config)
    assert check(file, config, Console(quiet=True))["status"] == "done"


@pytest.mark.parametrize("file", [*CONFIGS, *TEMPLATES], ids=lambda f: str(f.relative_to(PROJECT)))
def test_each_says_at_its_top_what_it_is_for(file: Path) -> None:
    assert file.read_text(encoding="utf-8").startswith("# ")


def _faults(file: Path) -> list[str]:
    validator = Draft202012Validator(json_schema(RunConfig))
    return [e.message for e in validator.iter_errors(parse(file.read_text(), str(file)).plain())]


@pytest.mark.parametrize("file", [*CONFIGS, *TEMPLATES], ids=lambda f: str(f.relative_to(PROJECT)))
def test_each_fits_the_json_schema(file: Path) -> None:
    assert _faults(file) == []


def test_the_json_schema_is_one_and_refuses_faults(tmp_path: Path) -> None:
    Draft202012Validator.check_schema(json_schema(RunConfig))
    file = tmp_path / "broken.yaml"
    for fault in ("sede: 1", "seed: -1", "schedule: {name: cosin}", "eval: {evry: 1}"):
        text = f"task: regression\ndata: {{source: csv, path: a, target: y}}\n{fault}\n"
        file.write_text(text, encoding="utf-8")
        assert _faults(file), fault


@pytest.mark.parametrize("name", sorted(templates()))
def test_an_annotated_template_is_the_same_configuration(name: str, tmp_path: Path) -> None:
    text = templates()[name]
    for file, content in (("plain.yaml", text), ("annotated.yaml", annotated(text))):
        (tmp_path / file).write_text(content, encoding="utf-8")
    plain = LANGUAGE.load(tmp_path / "plain.yaml")
    assert dump(LANGUAGE.load(tmp_path / "annotated.yaml")) == dump(plain)
    comments = [x for x in annotated(text).splitlines() if x.lstrip().startswith("#")]
    assert len(comments) > len(text.splitlines()) / 2
    assert all(len(line) <= 80 for line in comments)


def test_a_file_with_a_fault_would_be_found(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(CONFIGS[0].read_text(encoding="utf-8") + "\ncolour: red\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="colour"):
        LANGUAGE.load(broken)
