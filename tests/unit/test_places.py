"""Files lie on this machine; a URL is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.trainings import configuration
from typer.testing import CliRunner

from ftune.cli import app
from ftune.errors import CheckpointError, ConfigError, RequestError
from ftune.places import expanded, url_fault
from ftune.runs.base import load_base
from ftune.schema.root import LANGUAGE

URLS = [
    "s3://bucket/t.csv", "http://host/t.csv", "https://host/t.csv", "gs://b/t", "hf://org/name",
    "abfss://c@a/t", "ftp://h/t",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_named_whole_also_as_a_path(url: str) -> None:
    for place in (url, Path(url)):
        assert url_fault(place).startswith(f"{url} is a URL; ")


@pytest.mark.parametrize(
    "path", ["t.csv", "/a/t.csv", "C:/t.csv", "a:b", "w.pt:key", "./s3:/x", ""]
)
def test_other_paths_pass(path: str) -> None:
    assert url_fault(path) == ""


@pytest.mark.parametrize("url", URLS)
def test_a_file_names_none(url: str, tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    text = f"task: regression\ndata:\n  source: csv\n  path: {url}\n  target: y\nmodel: mlp\n"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        LANGUAGE.load(file)
    (problem,) = raised.value.problems
    assert problem.where == f"{file}:4:9" and f"{url} is a URL" in problem.message
    file.write_text(text.replace(url, f"{{train: t.csv, val: '{url}'}}"))
    with pytest.raises(ConfigError, match="is a URL"):
        LANGUAGE.load(file)
    file.write_text(text.replace(url, "t.csv"))
    assert LANGUAGE.load(file)


def test_neither_does_the_command_line() -> None:
    for words in (
        ["optimize", "--out", "s3://b/run"], ["resume", "s3://b/run"], ["check", "s3://b/t.yaml"],
        ["predict", "r", "--input", "s3://b/x"], ["optimize", "--code", "s3://b/x"],
    ):  # fmt: skip
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 2 and "s3://b/" in result.stderr, words
        assert "is a URL" in " ".join(result.stderr.split())
    with pytest.raises(CheckpointError, match="is a URL"):
        load_base(Path("https://h/w.pt"))
    with pytest.raises(RequestError, match="is a URL"):
        LANGUAGE.load(Path("https://h/w.yaml"))


def test_the_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.yaml").write_text("nonsense: 1\n")
    result = CliRunner().invoke(app, ["check", "~/x.yaml"])
    assert result.exit_code == 2 and f"{tmp_path}/x.yaml:1:1: nonsense" in result.stderr
    result = CliRunner().invoke(app, ["check", "~/y.yaml", "~seed"])
    assert f"{tmp_path}/y.yaml: no such file" in result.stderr
    result = CliRunner().invoke(app, ["check", "~model.width"])
    assert "no CONFIG given" in result.stderr, "deletes a key, as there is no stroke"
    result = CliRunner().invoke(app, ["runs", "~/none"])
    assert f"no runs in {tmp_path}/none" in result.stdout


@pytest.mark.parametrize(
    ("word", "meant"),
    [("train", "ftune optimize"), ("fit", "ftune optimize"), ("eval", "ftune evaluate RUN")],
)
def test_commands_of_other_tools_are_answered(word: str, meant: str) -> None:
    result = CliRunner().invoke(app, [word, "t.yaml"])
    assert result.exit_code == 2 and meant in result.stderr


def test_one_name_is_a_list_of_one() -> None:
    config = configuration("data.transforms=[{drop: alive}, {standardize: age}]")
    assert [part.columns for part in config.data.transforms] == [["alive"], ["age"]]
    whole = configuration("data.transforms=[{drop: [alive]}, {standardize: [age]}]")
    assert config == whole
    with pytest.raises(ConfigError, match="expected a list"):
        configuration("data.transforms=[{drop: 5}]")


def test_the_home_of_an_unknown_user_is_no_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert expanded("~/data") == Path("/home/ada/data")
    assert expanded("~nobody-of-this-name/data") == Path("~nobody-of-this-name/data")
