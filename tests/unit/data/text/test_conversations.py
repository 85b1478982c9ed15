"""Conversations as people have them, and what of them counts, with templates as published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.chats import MARKS, PUBLISHED, QWEN

from ftune.data.dataset import Dataset
from ftune.data.frame import Frame
from ftune.data.prepare import prepare
from ftune.data.schema import Data
from ftune.data.sources.jsonl import Jsonl
from ftune.data.text.chat import Chat
from ftune.data.text.dialogues import Conversation
from ftune.data.text.pipeline import TextPipeline
from ftune.data.text.samples import dialogues
from ftune.data.text.tokenizer import Tokenizer
from ftune.errors import DataError

ReadData = Callable[..., Data]
TURNS = [
    {"role": "user", "content": "Where is the cat?"},
    {"role": "assistant", "content": "On the mat."},
    {"role": "user", "content": "And the dog?"},
    {"role": "assistant", "content": "In the garden."},
]
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "find", "arguments": '{"what": "cat"}'},
}


def with_tokens(tokenizer: Tokenizer, *texts: str) -> Tokenizer:
    core = tokenizer.core.__class__.from_str(tokenizer.json)
    core.add_special_tokens([*texts, *MARKS])
    return Tokenizer(core.to_str(), tokenizer.specials, {}, None)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_templates_count_answers_with_their_ends(name: str, smollm: Tokenizer) -> None:
    source, begin, end = PUBLISHED[name]
    tokenizer = with_tokens(smollm, begin, end)
    chat = Chat(source, {"bos_token": begin, "eos_token": end}, tokenizer.special_texts)
    ids, said, notes = dialogues(tokenizer, chat, [Conversation(TURNS)], [1])
    parts = np.split(ids.flat, np.flatnonzero(np.diff(said.astype(int))) + 1)
    spoken = [tokenizer.decode(part.tolist(), True) for part in parts[1::2]]
    assert [text.strip() for text in spoken] == [f"On the mat.{end}", f"In the garden.{end}"]
    assert chat.stop == end and notes == []
    naive = Chat(source.replace(end, "").replace("eos_token", "''"), {"bos_token": begin}, ())
    assert naive.stop is None, "control: no token ends an answer"


@pytest.fixture
def read(read_data: ReadData, tmp_path: Path) -> Callable[..., Dataset]:
    def read(rows: list[Any], messages: Any = "messages", **settings: Any) -> Dataset:
        path = tmp_path / "t.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        tokenize = {"tokenizer": "bpe", "vocabulary": 300} | settings
        data = read_data(
            source="jsonl", path=str(path), messages=messages, split={"val": 0, "test": 0},
            transforms=[{"tokenize": tokenize}], cache=False,
        )  # fmt: skip
        return prepare(data, "tokens", 0)

    return read


Read = Callable[..., Dataset]


def spoken(dataset: Dataset) -> tuple[str, str]:
    """The first training row, and what of it counts."""
    pipeline, batch = dataset.pipeline, dataset.train.batch(torch.tensor([0]))
    assert isinstance(pipeline, TextPipeline)
    x, y = batch["x"][0].tolist(), batch["y"][0].tolist()
    return pipeline.decode(x, True), pipeline.decode([i for i in y if i >= 0], True)


OPENAI = [TURNS, [{"role": "system", "content": "Be kind."}, *TURNS]]
SAME: dict[str, tuple[Any, Any]] = {
    "ShareGPT": (
        [{"messages": [{"from": "human" if t["role"] == "user" else "gpt", "value": t["content"]}
                       for t in TURNS]}],
        "messages",
    ),
    "short names of roles": (
        [{"messages": [t | {"role": {"user": "human", "assistant": "gpt"}[t["role"]]}
                       for t in TURNS]}],
        "messages",
    ),
    "parts of text": (
        [{"messages": [t | {"content": [{"type": "text", "text": t["content"][:3]},
                                        {"type": "text", "text": t["content"][3:]}]}
                       for t in TURNS]}],
        "messages",
    ),
    "parts here, texts there": (
        [{"messages": [TURNS[0] | {"content": [{"type": "text", "text": TURNS[0]["content"]}]},
                       *TURNS[1:]]}],
        "messages",
    ),
    "other keys and roles": (
        [{"talk": [{"speaker": t["role"][0], "says": t["content"]} for t in TURNS]}],
        {"column": "talk", "role": "speaker", "content": "says",
         "roles": {"u": "user", "a": "assistant"}},
    ),
    "JSON text": ([{"messages": json.dumps(TURNS)}], "messages"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_other_forms_are_the_same_conversation(name: str, read: Read) -> None:
    rows, messages = SAME[name]
    assert spoken(read(rows * 3, messages)) == spoken(read([{"messages": TURNS}] * 3))


def test_what_counts_is_what_the_assistant_says(read: Read) -> None:
    whole, counted = spoken(read([{"messages": TURNS}] * 3))
    assert "Where is the cat?" in whole
    assert counted == "On the mat.<|im_end|>In the garden.<|im_end|>"
    quiet = [TURNS[0], TURNS[1] | {"weight": 0}, *TURNS[2:]]
    assert spoken(read([{"messages": quiet}] * 3))[1] == "In the garden.<|im_end|>"


def test_a_system_column_is_the_first_turn(read: Read) -> None:
    rows = [{"system": "Be kind.", "messages": TURNS}, {"system": None, "messages": TURNS}] * 2
    told = {"column": "messages", "system": "system"}
    same = [{"messages": OPENAI[1]}, {"messages": TURNS}] * 2
    assert spoken(read(rows, told)) == spoken(read(same))


TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]
CALLING = [
    TURNS[0],
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "mat"},
    TURNS[1],
]


def test_tools_and_their_calls_reach_the_template(read: Read) -> None:
    rows = [{"messages": CALLING, "tools": TOOLS}] * 3
    dataset = read(rows, chat_template=QWEN)
    whole, counted = spoken(dataset)
    assert '"name": "find", "parameters": {"type": "object"}' in whole
    assert '{"name": "find", "arguments": {"what": "cat"}}' in counted, "as an object, not as text"
    assert "tool_response" in whole and "tool_response" not in counted
    assert not [note for note in dataset.notes if "chat template" in note]


def test_a_template_without_tools_is_told_of(read: Read) -> None:
    dataset = read([{"messages": CALLING, "tools": TOOLS}] * 3)
    notes = " ".join(dataset.notes)
    assert "the chat template writes no tool calls: those of 3 rows are left out." in notes
    assert "the chat template writes no tools: those of 3 rows are left out." in notes


def test_arguments_keep_their_own_keys(tmp_path: Path) -> None:
    """Arrow gives each object the keys of all."""
    calls = [{"a": 1}, {"b": [2, "x"]}]
    rows = [[{"role": "assistant", "tool_calls": [{"arguments": call}]}] for call in calls]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({"m": row, "n": 1}) + "\n" for row in rows))
    frame = Jsonl(str(path)).read(str(path))
    assert [json.loads(text) for text in frame["m"]] == rows
    assert frame["n"].tolist() == [1.0, 1.0]


def test_each_fault_is_named_with_its_rows(read: Read) -> None:
    image = [{"type": "image_url", "image_url": {"url": "x"}}]
    rows = [TURNS, [], [TURNS[0]], [{"role": "user", "content": image}, TURNS[1]], TURNS, []]
    with pytest.raises(DataError) as error:
        read([{"messages": row} for row in rows])
    said = str(error.value)
    for part in (
        "2 rows (2, 6): expected a list of turns",
        "row 3: no turn of the assistant",
        "row 4: part 1 of turn 1 is `image_url`; only parts of `type: text` are read",
    ):
        assert part in said


def test_unknown_roles_name_the_setting(read: Read) -> None:
    with pytest.raises(DataError, match=r"roles: \{visitor: user\}"):
        read([{"messages": [{"role": "visitor", "content": "a"}, TURNS[1]]}] * 3)


def test_an_end_that_is_never_learnt_is_refused(read: Read) -> None:
    rows = [{"messages": TURNS}] * 3
    plain = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    with pytest.raises(DataError, match="the chat template ends answers with no special token"):
        read(rows, chat_template=plain)
    assert "In the garden." in spoken(read(rows, chat_template=plain, add_eos=False))[1]
    with pytest.raises(DataError, match=r"cut before it at 45 tokens; raise tokenize.max_length"):
        read([{"messages": [TURNS[0], {"role": "assistant", "content": "abc " * 50}]}] * 3,
             max_length=45)  # fmt: skip


ALPACA = [
    {"instruction": "Name a cat.", "input": "", "output": "Tom"},
    {"instruction": "Add.", "input": "1 2", "output": "3"},
    {"instruction": "Sing.", "input": None, "output": "la"},
]


def test_alpaca_by_optional_parts(read_data: ReadData, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ALPACA))
    data = read_data(
        source="jsonl", path=str(path), prompt="{instruction}{input:\n\nInput: {}!}",
        response="{output}", transforms=[{"tokenize": {"tokenizer": "bpe", "vocabulary": 300}}],
        split={"val": 0, "test": 0}, cache=False,
    )  # fmt: skip
    pipeline = prepare(data, "tokens", 0).pipeline
    frame = data.source.read(str(path))
    assert isinstance(pipeline, TextPipeline)
    prompts = pipeline.tokenization.columns.template("prompt").fill(frame)
    assert prompts == ["Name a cat.", "Add.\n\nInput: 1 2!", "Sing."]


def test_an_answer_at_the_end_is_left_out_to_predict(read: Read) -> None:
    dataset = read([{"messages": TURNS}] * 3)
    pipeline, rows = dataset.pipeline, [json.dumps(TURNS), json.dumps(TURNS[:3])]
    assert isinstance(pipeline, TextPipeline)
    frame = Frame({"messages": np.array(rows, dtype=object)}, "new", np.array([1, 2]))
    notes: list[str] = []
    ended, asked = pipeline.prompts(frame, notes)
    assert ended == asked
    assert pipeline.decode(asked, True).endswith("And the dog?<|im_end|>\n<|im_start|>assistant\n")
    assert notes == ["1 of 2 conversations end with an answer, which is left out."]
    none: list[str] = []
    pipeline.prompts(frame.take(np.array([False, True])), none)
    assert none == [], "control"
    lone = Frame(
        {"messages": np.array([json.dumps(TURNS[1:2])], dtype=object)}, "new", np.array([7])
    )
    with pytest.raises(DataError, match="no turn to answer in row 7"):
        pipeline.prompts(lone)
