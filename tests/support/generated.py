"""Configurations from shipped ones, changed in a few places, and overrides of any kind."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from ftune.commands.check import check, check_sweep
from ftune.console import Console
from ftune.errors import FtuneError
from ftune.schema.root import LANGUAGE
from support.bad_configs import VALID

PROJECT = Path(__file__).resolve().parents[2]
SHIPPED = [p.read_text(encoding="utf-8") for p in sorted((PROJECT / "configs").rglob("*.yaml"))]
PIECES = st.sampled_from(
    ["", " ", "\n", ":", "- ", "{", "}", "[", "]", "&a ", "*a", "!!x ", "${seed}", "${", "null",
     ".nan", "-1", "1e999", "9" * 30, "'", '"', "#", "\t", "é", "\x00", "name", "linear", "~", "<<"]
)  # fmt: skip
WORDS = st.sampled_from(["seed", "data", "train", "epochs", "model", "layers", "0", "name", "lr",
                         "optimizer", "split", "val", "sweep", "scientific", ""])  # fmt: skip
VALUES = st.sampled_from(["1", "", "null", "{}", "[]", "{a: 1}", "adam", "${seed}", ".inf",
                          "[[[", "!x", "*a", "~"])  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A shipped configuration with up to four pieces cut out, put in or put elsewhere."""
    text = draw(st.sampled_from([*SHIPPED, VALID]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(PIECES) + text[end:]
    return text


@st.composite
def overrides(draw: st.DrawFn) -> list[str]:
    """Up to four changes and deletions, most of keys that are not there."""
    typed = draw(st.lists(st.tuples(st.booleans(), st.lists(WORDS, max_size=4), VALUES),
                          max_size=4))  # fmt: skip
    return [f"~{'.'.join(path)}" if delete else f"{'.'.join(path)}={value}"
            for delete, path, value in typed]  # fmt: skip


def answered(file: Path, text: str, changes: list[str], base: str | None = None) -> bool:
    """Whether a configuration was accepted; a refusal says something, all else is raised.

    base: the text of a file that it extends.
    """
    if base is not None:
        (file.parent / "base.yaml").write_text(base, encoding="utf-8", newline="")
        text = f"extends: base.yaml\n{text}"
    file.write_text(text, encoding="utf-8", newline="")
    try:
        config = LANGUAGE.load(file, changes)
        check_sweep(file, changes, config)
        check(file, config, Console(json_output=True, quiet=True))
    except FtuneError as error:
        assert str(error)
        return False
    return True
