"""What is printed where: plain, quiet, with --json, and with stdout taken."""

from __future__ import annotations

import json

import pytest

from ftune.console import Console, cell, duration
from ftune.security.secret_forms import HIDDEN

CASES = [
    # json_output, quiet, stdout_taken: stdout, stderr
    (False, False, False, "info note: remark print", "warning: warn error: error interrupted"),
    (False, True, False, "print", "warning: warn error: error interrupted"),
    (False, False, True, "print", "info note: remark warning: warn error: error interrupted"),
    (True, False, False, "", "info note: remark warning: warn error: error interrupted"),
    (True, True, False, "", "warning: warn error: error interrupted"),
]


@pytest.mark.parametrize(("json_output", "quiet", "stdout_taken", "out", "err"), CASES)
def test_where_messages_go(
    json_output: bool, quiet: bool, stdout_taken: bool, out: str, err: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    console = Console(json_output=json_output, quiet=quiet, stdout_taken=stdout_taken)
    console.info("info")
    console.note("remark")
    console.print("print")
    console.warn("warn")
    console.error("error")
    console.interrupted("interrupted")
    captured = capsys.readouterr()
    assert captured.out.split() == out.split() and captured.err.split() == err.split()


@pytest.mark.parametrize(("stdout_taken", "stream"), [(False, "out"), (True, "err")])
def test_summary_is_the_last_line(
    stdout_taken: bool, stream: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Console(json_output=True, stdout_taken=stdout_taken).result({"loss": 0.5})
    assert json.loads(getattr(capsys.readouterr(), stream)) == {"loss": 0.5}
    Console(stdout_taken=stdout_taken).result({"loss": 0.5})
    assert capsys.readouterr() == ("", "")


def test_secrets_are_redacted_in_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://user:{}@host/t.csv"
    console = Console()
    for show in (console.info, console.print, console.warn, console.error, console.interrupted):
        show(url.format("geheim"))
    console.table(url.format("geheim"), ("a",), [(url.format("geheim"),)])
    Console(json_output=True).result({"data": url.format("geheim")})
    captured = capsys.readouterr()
    assert "geheim" not in captured.out + captured.err
    assert captured.out.count(HIDDEN) == 5 and captured.err.count(HIDDEN) == 3


def test_markup_is_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.info("[bold]layers[0][/bold]")
    console.table("", ("name",), [("[b]cell",)])
    printed = capsys.readouterr().out
    assert "[bold]layers[0][/bold]" in printed and "[b]cell" in printed


def test_quiet_draws_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    Console(quiet=True).table("title", ("a",), [(1,)])
    Console().table("title", ("a",), [])
    assert capsys.readouterr().out == ""
    Console().table("t", ("a",), [(1,)])
    assert "─" in capsys.readouterr().out


def test_progress_in_a_pipe_is_a_line_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with Console().progress("steps", 100) as bar:
        for step in range(0, 100, 10):
            bar.update(step, f"loss {step}")
            now += 15.0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "steps: 40/100, loss 40, 2 min left",
        "steps: 80/100, loss 80, 30 s left",
    ]


def test_numbers_as_they_are_shown() -> None:
    values = (None, True, False, 1234567, 0.123456, "text")
    assert [cell(v) for v in values] == ["", "yes", "no", "1,234,567", "0.1235", "text"]
    assert [duration(s) for s in (40, 89, 720, 12600)] == ["40 s", "89 s", "12 min", "3.5 h"]


def test_headings_in_brackets_are_names_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A column of a file may be called `[red]`, which rich would take for a colour."""
    Console().table("runs of [bold]", ("[red]", "loss/[a]"), [("[b]", 1.5)])
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("[bold]", "[red]", "loss/[a]", "[b]"))
