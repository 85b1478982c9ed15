"""The package speaks the field's words: names that docs/style.md replaced do not come back."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "ftune"

MODULE, CLASS, FUNCTION, ATTRIBUTE = "module", "class", "function", "attribute"
# file pattern · identifier · kind; `->` the word that stands for it now.
REPLACED = [
    ("*", "care", MODULE),  # fault_policy
    ("*", "drive", MODULE),  # assembly's loop callbacks
    ("*", "feed", MODULE),  # loader
    ("*", "weights", MODULE),  # initial_weights
    ("*", "words", MODULE),  # renamed_keys
    ("*", "quiet", MODULE),  # silence_libraries
    ("*", "foreign", MODULE),  # untrusted_files
    ("*", "own_code", MODULE),  # remote_code
    ("*", "pickles", MODULE),  # pickle_scan
    ("*", "kept", MODULE),  # redacted_space
    ("data/*", "found", MODULE),  # row_report
    ("data/*", "asked", MODULE),  # referenced_columns
    ("adapt/*", "kinds", MODULE),  # adaptable
    ("adapt/*", "renaming", MODULE),  # key_mapping
    ("*", "same", MODULE),  # run_diff
    ("training/*", "exact", MODULE),  # resume_check
    ("training/*", "facts", MODULE),  # provenance
    ("training/*", "describe", MODULE),  # checkpoint_content
    ("commands/*", "rate", MODULE),  # auto_lr
    ("exports/*", "place", MODULE),  # atomic_target
    ("exports/*", "prove", MODULE),  # verify
    ("exports/*", "deliver", MODULE),  # export
    ("exports/*", "subject", MODULE),  # export_model
    ("data/text/*", "form", MODULE),  # text_columns
    ("limits/*", "form", MODULE),  # gone
    ("*", "Attempt", CLASS),  # ResilientStep
    ("*", "Answers", CLASS),  # FaultPolicy
    ("*", "Keeper", CLASS),  # Callback
    ("*", "LookEvery", CLASS),  # EvalInterval
    ("*", "Phases", CLASS),  # UnfreezeSchedule
    ("*", "Average", CLASS),  # EMA
    ("*", "Silent", CLASS),  # NullCallback
    ("*", "Look", CLASS),  # FileCheck
    ("*", "Told", CLASS),  # FileReport
    ("*", "Gaps", CLASS),  # MissingValues
    ("*", "Draw", CLASS),  # RngKey
    ("*", "Recipe", CLASS),  # TokenizePipeline
    ("*", "Effect", CLASS),  # ParamPlan
    ("*", "Meter", CLASS),  # Metric
    ("*", "QuantityTask", CLASS),  # RegressionTask
    ("*", "ClassTask", CLASS),  # ClassificationTask
    ("*", "TagTask", CLASS),  # TaggingTask
    ("*", "Finding", CLASS),  # LrFindResult
    ("*", "Listening", CLASS),  # PlateauState
    ("*", "Hiding", CLASS),  # RedactingStream
    ("*", "Origin", CLASS),  # InitialModel
    ("*", "attempt", FUNCTION),
    ("*", "origin", FUNCTION),  # load_initial
    ("*", "look", FUNCTION),  # evaluate
    ("*", "saw", FUNCTION),  # on_evaluate
    ("*", "tell", FUNCTION),  # warn
    ("*", "idle", FUNCTION),  # on_no_grad
    ("*", "story", FUNCTION),  # model_card
    ("*", "kept_space", FUNCTION),  # redacted_space
    ("*", "obstacle", FUNCTION),  # why_not_adaptable
    ("*", "plain_name", FUNCTION),  # strip_wrappers
    ("*", "plain_tensors", FUNCTION),  # base_state_dict
    ("*", "multiply_adds", FUNCTION),  # count_macs
    ("*", "settle", FUNCTION),  # resolve_auto_lr
    ("*", "of_form", FUNCTION),  # gone: a record is parsed at the door
    ("*", "farewell", FUNCTION),  # interrupted
    ("engine/*", "waiting", ATTRIBUTE),  # evals_since_best
    ("engine/*", "recent", ATTRIBUTE),  # recent_losses
    ("engine/*", "enter", ATTRIBUTE),  # set_trainable
    ("*", "told", ATTRIBUTE),  # metadata
    ("*", "story", ATTRIBUTE),  # model_card
]
PENDING = {"of_form"}
"""Words of REPLACED that still wait for their turn; none may be added."""
VAGUE = {"found", "place", "kept", "made", "said", "told", "one"}
VAGUE_ALLOWED = 15  # to be 20

Use = tuple[str, str, str]  # file, identifier, kind


def _defined(file: str, tree: ast.AST) -> Iterator[Use]:
    yield file, Path(file).stem, MODULE
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name):
                yield file, name.lstrip("_"), CLASS
                for item in node.body:
                    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                        yield file, item.target.id, ATTRIBUTE
            case ast.FunctionDef(name=name):
                yield file, name.lstrip("_"), FUNCTION
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield file, name, ATTRIBUTE


def replaced_words(files: Mapping[str, str]) -> list[Use]:
    """Return the definitions whose names stand in REPLACED."""
    uses = [use for file, text in files.items() for use in _defined(file, ast.parse(text))]
    return [
        (file, name, kind)
        for file, name, kind in uses
        if any(
            (name, kind) == (word, sort) and fnmatch(file, pattern)
            for pattern, word, sort in REPLACED
        )
    ]


def vague_locals(files: Mapping[str, str]) -> list[Use]:
    """Return one entry for each function and local variable of a name that says nothing."""
    return sorted(
        {
            (file, function.name, name.id)
            for file, text in files.items()
            for function in ast.walk(ast.parse(text))
            if isinstance(function, ast.FunctionDef)
            for name in ast.walk(function)
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store) and name.id in VAGUE
        }
    )


def _package() -> dict[str, str]:
    return {
        str(file.relative_to(PACKAGE)): file.read_text(encoding="utf-8")
        for file in sorted(PACKAGE.rglob("*.py"))
    }


def test_no_replaced_word_is_defined() -> None:
    words = replaced_words(_package())
    assert [use for use in words if use[1] not in PENDING] == []
    assert {name for _, name, _ in words} == PENDING, "a word that is gone leaves the list too"


def test_locals_are_nouns_of_what_they_hold() -> None:
    vague = vague_locals(_package())
    assert len(vague) <= VAGUE_ALLOWED, vague


def test_words_that_come_back_are_reported() -> None:
    files = {
        "engine/state.py": "class State:\n    waiting: int = 0\n    def f(self): self.recent = 1",
        "adapt/kinds.py": "def obstacle(): found = 1\n",
        "tasks/a.py": "class Meter: ...",
        "data/kinds.py": "waiting = 1\ndef g(kept): return [one for one in kept]",
    }
    assert replaced_words(files) == [
        ("engine/state.py", "waiting", ATTRIBUTE),
        ("engine/state.py", "recent", ATTRIBUTE),
        ("adapt/kinds.py", "kinds", MODULE),
        ("adapt/kinds.py", "obstacle", FUNCTION),
        ("tasks/a.py", "Meter", CLASS),
    ]
    assert vague_locals(files) == [
        ("adapt/kinds.py", "obstacle", "found"), ("data/kinds.py", "g", "one"),
    ]  # fmt: skip
