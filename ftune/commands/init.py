"""`ftune init`: a starter configuration in which every key explains itself."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from ftune.config.document import brief
from ftune.config.spelling import suggestion
from ftune.console import Console
from ftune.errors import RequestError
from ftune.schema.root import LANGUAGE

WIDTH = 80


def init(
    template: str | None,
    out: Path,
    console: Console,
    data: Path | None = None,
    target: str | None = None,
) -> None:
    """Write a template or a draft for a file of data, or list the templates.

    Raises RequestError rather than overwrite a file.
    """
    known = templates()
    if data is not None or target is not None:
        _draft(template, out, console, data, target)
        return
    if template is None:
        rows = [(name, text.partition("\n")[0].removeprefix("# ")) for name, text in known.items()]
        console.table("", ("template", "for"), rows)
        console.info("ftune init TEMPLATE writes ftune.yaml")
        return
    if template not in known:
        raise RequestError(f"no template `{template}`; {suggestion(template, known)}")
    _check_free(out)
    out.write_text(annotated(known[template]), encoding="utf-8")
    console.info(f"{out}: written; `ftune check {out}` validates it")


def _draft(
    template: str | None, out: Path, console: Console, data: Path | None, target: str | None
) -> None:
    if data is None:
        raise RequestError(f"--target {target} goes with --data FILE")
    if template is not None:
        raise RequestError(f"`{template}`: a template, or --data FILE; not both")
    _check_free(out)
    from ftune.commands.drafts.draft import draft
    from ftune.commands.drafts.write import CHOOSE

    text = draft(data, target, out)
    out.write_text(text, encoding="utf-8")
    console.info(text.rstrip())
    first = f"choose what its lines `{CHOOSE}` ask, then " if CHOOSE in text else ""
    console.info(f"{out}: written; {first}`ftune optimize {out}` trains it")
    if texts := re.findall(r"alone by `text: (.+?)`", re.sub(r"\s+(# )?", " ", text)):
        console.info(f"it leaves out free text: `ftune init text`, with `data.text: {texts[0]}`,"
                    " writes a file that learns from that alone")  # fmt: skip


def _check_free(out: Path) -> None:
    if out.exists():
        raise RequestError(f"{out} exists already; choose another --out")


def templates() -> dict[str, str]:
    """Return name -> text of every template shipped with the package."""
    folder = resources.files("ftune") / "templates"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8") for file in files}


def annotated(text: str) -> str:
    """Return the text with a comment above each key, once for each text of a comment."""
    comments: set[str] = set()
    above: dict[int, str] = {}
    for mark, setting in LANGUAGE.settings_in(text):
        indent = _indent(text, mark.line)
        line = brief(setting, WIDTH - indent - 2)
        if line not in comments and mark.line not in above:
            comments.add(line)
            above[mark.line] = f"{' ' * indent}# {line}"
    title, *lines = text.splitlines()
    result = [title, "# `ftune schema KEY`: all of a key's meaning, its type and its default"]
    for number, line in enumerate(lines, 2):
        result += [*([above[number]] if number in above else []), line]
    return "\n".join(result) + "\n"


def _indent(text: str, line: int) -> int:
    content = text.splitlines()[line - 1]
    return len(content) - len(content.lstrip(" "))
