"""`check --data` refuses what the command of the file refuses, and nothing else (promise T3)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.case_models import save_chat_models
from typer.testing import CliRunner, Result

from ftune.cli import app
from ftune.commands import check

CASES = Path(__file__).resolve().parents[2] / "../shared/cases"
NAMES = [str(path.relative_to(CASES)) for path in sorted(CASES.glob("*/*.yaml"))]
BLOCKS = {"sweep": "sweep", "base": "finetune", "model": "optimize"}
WORDS = {"sweep": ["--plan"]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models")
    save_chat_models(folder)
    return folder


Try = Callable[[str], tuple[Result, Result]]


@pytest.fixture
def both(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Try:
    """Checks a case and runs its command: two results."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(name: str) -> tuple[Result, Result]:
        case = CASES / name
        folder = tmp_path / "case"
        shutil.copytree(case.parent, folder)
        file = folder / case.name
        text = file.read_text("utf-8").replace("MODEL/", f"{models}/")
        file.write_text(text, "utf-8")
        command = next(
            command for block, command in BLOCKS.items() if re.search(f"(?m)^{block}:", text)
        )
        runner, out = CliRunner(), str(tmp_path / "run")
        checked = runner.invoke(app, ["check", str(file), "--data"])
        words = [command, str(file), "--out", out, *WORDS.get(command, [])]
        return checked, runner.invoke(app, words)

    return run


@pytest.mark.skipif(not NAMES, reason="needs ../shared/cases")
@pytest.mark.parametrize("name", NAMES)
def test_check_and_training_agree(name: str, both: Try) -> None:
    checked, trained = both(name)
    assert checked.exit_code in (0, 2)
    assert checked.exit_code == trained.exit_code, checked.output + trained.output
    assert ("error: " in checked.output) == (checked.exit_code == 2)


@pytest.mark.skipif(not NAMES, reason="needs ../shared/cases")
def test_control_without_the_rehearsal(both: Try, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_rehearsed", lambda *_: [])
    checked, trained = both("63-odd-conversations/nosys.yaml")
    assert (checked.exit_code, trained.exit_code) == (0, 2)


def run(folder: Path, text: str, *words: str) -> Result:
    (folder / "c.yaml").write_text(text)
    rows = "".join(f"{i % 7},{'uv'[i % 2]}\n" for i in range(40))
    (folder / "t.csv").write_text("a,y\n" + rows)
    return CliRunner().invoke(app, ["check", str(folder / "c.yaml"), *words])


TABLE = "task: classification\ndata: {source: csv, path: t.csv, target: y"
MODEL = "model: {name: mlp, width: 4}\n"


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (TABLE + "}\n", ["--for", "optimize"], "no `model:` block"),
        (TABLE + "}\n" + MODEL, ["--for", "sweep"], "no `sweep:` block"),
        (TABLE + "}\n" + MODEL, ["--for", "finetune"], "give --base PATH"),
        (TABLE + "}\n" + MODEL, ["--for", "train"], "there is no `train`; accepted: optimize"),
        (TABLE + ", split: {val: 0}}\n" + MODEL, ["--data", "--for", "lr-find"], "data.split.val"),
    ],
)
def test_what_a_command_would_refuse(
    text: str, words: list[str], said: str, tmp_path: Path
) -> None:
    result = run(tmp_path, text, *words)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    other = run(tmp_path, TABLE + "}\n" + MODEL, "--data")
    assert other.exit_code == 0, "control: the file's own command is possible"


def test_large_files_are_read_whole_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "LARGE", 100)
    text = TABLE + "}\n" + MODEL
    lax = run(tmp_path, text, "--data")
    assert "read block by block only" in " ".join(lax.output.split())
    strict = run(tmp_path, text, "--data", "--for", "optimize")
    assert "block by block only" not in " ".join(strict.output.split())
