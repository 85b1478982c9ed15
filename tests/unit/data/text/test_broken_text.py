"""Texts that cannot be used are answered by one sentence: file, column, rows, remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftune.data.prepare import prepare
from ftune.errors import ConfigError, DataError

A = '{"q": "one", "a": "two", "y": "k"}\n{"q": "three", "a": "four", "y": "m"}\n'
USER, SAID = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
PROMPT = {"prompt": "Q: {q}", "response": "{a}"}
CHARACTERS = {"tokenizer": "characters"}
CLASSES = {"text": "q", "target": "y"}
TAGS = {"text": "w", "target": "t"}


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def talk(*turns: Any) -> dict[str, Any]:
    return {"m": list(turns)}


GOOD = talk(USER, SAID)
# kind, file, content, data settings, tokenize settings, what the message says
Case = tuple[str, str, str | bytes, dict[str, Any], dict[str, Any], list[str]]
CASES: dict[str, Case] = {
    "empty file": ("tokens", "t.txt", b"", {}, {}, ["t.txt", "the file is empty"]),
    "blank file": ("tokens", "t.txt", b" \n\n \n", {}, {}, ["only spaces and line ends"]),
    "not UTF-8": (
        "tokens", "t.txt", "one\ntwo é\n".encode("latin-1"), {}, {},
        ["not UTF-8: byte 8 (0xe9) in line 2", "save it as UTF-8"]),
    "binary as text": (
        "tokens", "t.txt", b"PAR1\0\0\1\2" * 9, {}, {}, ["not a text file", "parquet"]),
    "shorter than a block": (
        "tokens", "t.txt", "too short\n", {}, CHARACTERS | {"max_length": 64},
        ["10 tokens", "one block of 64", "max_length"]),
    "no such column": (
        "classes", "t.jsonl", A, {"text": "qq", "target": "y"}, {},
        ["data.text: no column `qq`", "did you mean `q`"]),
    "template of no column": (
        "tokens", "t.jsonl", A, {"prompt": "Q: {qq}", "response": "{a}"}, {},
        ["data.prompt: no column `qq`", "did you mean `q`"]),
    "response of no column": (
        "tokens", "t.jsonl", A, {"prompt": "Q: {q}", "response": "answer"}, {},
        ["data.response: no column `answer`", "it has: q, a, y"]),
    "open brace": (
        "tokens", "t.jsonl", A, {"prompt": "Q: {q", "response": "{a}"}, {},
        ["data.prompt: expected '}'", "`{name}`"]),
    "format in a template": (
        "tokens", "t.jsonl", A, {"prompt": "{q:>9}", "response": "{a}"}, {},
        ["data.prompt: `{q:>9}`", "the name of a column"]),
    "empty braces": (
        "tokens", "t.jsonl", A, {"prompt": "{}", "response": "{a}"}, {}, ["data.prompt: `{}`"]),
    "numbers as text": (
        "classes", "t.jsonl", lines({"q": 1, "y": "k"}, {"q": 2, "y": "m"}), CLASSES, {},
        ["column `q` holds numbers, not texts", "types: {q: text}"]),
    "missing text": (
        "classes", "t.csv", "q,y\none,k\n,m\nNA,k\ntwo,m\n", CLASSES, {},
        ["column `q` is missing in 2 rows (2, 3)", "missing: []"]),
    "blank text": (
        "classes", "t.jsonl", lines({"q": "a", "y": "k"}, {"q": " \n", "y": "m"}), CLASSES, {},
        ["data.text: the text is blank in row 2", "delete"]),
    "blank response": (
        "tokens", "t.jsonl", lines({"q": "a", "a": "b"}, {"q": "c", "a": " "}), PROMPT, {},
        ["data.response: the text is blank in row 2"]),
    "missing response": (
        "tokens", "t.jsonl", lines({"q": "a", "a": "b"}, {"q": "c"}), PROMPT, {},
        ["data.response: column `a` is missing in row 2"]),
    "answers cut away": (
        "tokens", "t.jsonl", A, PROMPT, CHARACTERS | {"max_length": 4},
        ["t.jsonl: nothing is left to learn in any of the 2 rows within 4 tokens", "max_length"]),
    "turns of other keys": (
        "tokens", "t.jsonl", lines(GOOD, talk({"who": "human", "says": "a"})),
        {"messages": "m"}, {}, ["data.messages: column `m`, row 2", "keys who, says",
                                "role and content"]),
    "unknown role": (
        "tokens", "t.jsonl", lines(GOOD, talk(USER, {"role": "asistant", "content": "b"})),
        {"messages": "m"}, {}, ["row 2", "turn 2 has the role `asistant`", "`assistant`"]),
    "turns without an answer": (
        "tokens", "t.jsonl", lines(talk(USER), GOOD, talk(USER)), {"messages": "m"}, {},
        ["2 rows (1, 3): no turn of the assistant"]),
    "no turns": (
        "tokens", "t.jsonl", lines(GOOD, talk()), {"messages": "m"}, {},
        ["row 2", "expected a list of turns"]),
    "text as turns": (
        "tokens", "t.jsonl", A, {"messages": "q"}, {}, ["column `q`, 2 rows (1, 2)", "not a JSON"]),
    "messages of no column": (
        "tokens", "t.jsonl", lines(GOOD), {"messages": "messages"}, {},
        ["data.messages: no column `messages`", "it has: m"]),
    "turns that the template refuses": (
        "tokens", "t.jsonl", lines(GOOD, talk(SAID, USER)), {"messages": "m"},
        {"chat_template": "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}"
                          "{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}"},
        ["t.jsonl: row 2: the chat template refuses it: user first"]),
    "chat template that is no Jinja": (
        "tokens", "t.jsonl", lines(GOOD), {"messages": "m"}, {"chat_template": "{% for %}"},
        ["the chat template is not readable"]),
    "unknown chat template": (
        "tokens", "t.jsonl", lines(GOOD), {"messages": "m"}, {"chat_template": "chat-ml"},
        ["chat_template: there is no `chat-ml`", "`chatml`"]),
    "messages to classify": (
        "classes", "t.jsonl", lines(GOOD | {"y": 1}, GOOD | {"y": 2}),
        {"messages": "m", "target": "y"}, {}, ["data.messages", "causal-lm", "`text`"]),
    "target of a language model": (
        "tokens", "t.jsonl", A, PROMPT | {"target": "y"}, {}, ["data.target", "leave it out"]),
    "packing to classify": (
        "classes", "t.jsonl", A, CLASSES, {"packing": True}, ["tokenize.packing", "causal-lm"]),
    "stream of prompts": (
        "tokens", "t.jsonl", A, PROMPT, {"stream": True}, ["tokenize.stream", "`packing`"]),
    "tokenizer of no model": (
        "classes", "t.jsonl", A, CLASSES, {"tokenizer": "model"}, ["the model brings none", "bpe"]),
    "words and tags": (
        "tags", "t.jsonl", lines({"w": ["a", "b"], "t": ["O", "O"]}, {"w": ["a"], "t": ["O", "B"]}),
        TAGS, {}, ["differ in number in row 2", "1 words, 2 tags"]),
    "nested words": (
        "tags", "t.jsonl", lines({"w": [["a"]], "t": ["O"]}), TAGS, {}, ["row 1", "flat list"]),
    "words in Python's writing": (
        "tags", "t.csv", 'w,t\n"[\'a\', \'b\']",O O\n', TAGS, {},
        ["column `w`, row 1", "not a JSON list"]),
    "no words": (
        "tags", "t.jsonl", lines({"w": ["a"], "t": ["O"]}, {"w": [], "t": []}), TAGS, {},
        ["data.text: column `w`, row 2: the list is empty"]),
    "half a character": (
        "tokens", "t.csv", 'm\n"[{""role"": ""user"", ""content"": ""\\ud83d""}]"\n',
        {"messages": "m"}, {}, ["row 1", "half of a character"]),
    "blank word": (
        "tags", "t.jsonl", lines({"w": ["a", " "], "t": ["O", "O"]}), TAGS, {},
        ["row 1: word 2 is blank"]),
    "transform of tables": (
        "classes", "t.jsonl", A, CLASSES | {"transforms": ["standardize"]}, {},
        ["`standardize` is not for texts", "tokenize"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_broken(case: str, texts: Any) -> None:
    kind, name, content, settings, tokenize, expected = CASES[case]
    with pytest.raises((ConfigError, DataError)) as caught:
        texts(name, content, kind, tokenize=tokenize, **settings)
    message = str(caught.value)
    assert [text for text in expected if text not in message] == [], message
    assert isinstance(caught.value, ConfigError) or "\n" not in message
    assert len(message) < 500


def test_what_the_cases_break_is_accepted(texts: Any) -> None:
    """The control: each form that the cases break is not refused as it is."""
    assert len(texts("t.jsonl", A, "classes", **CLASSES).train) == 2
    assert len(texts("t.jsonl", A, "tokens", **PROMPT).train) == 2
    assert len(texts("t.jsonl", lines(GOOD, GOOD), "tokens", messages="m").train) == 2
    assert len(texts("t.txt", "long enough\n" * 9, "tokens", tokenize={"max_length": 4}).train) > 2
    words = lines({"w": ["a", "b"], "t": ["O", "B"]})
    assert len(texts("t.jsonl", words, "tags", **TAGS).train) == 1


def test_a_tag_that_training_did_not_have(read_data: Any, write: Any) -> None:
    files = {
        "train": write("a.jsonl", lines({"w": ["a"], "t": ["O"]})),
        "val": write("b.jsonl", lines({"w": ["a", "c"], "t": ["O", "B"]})),
    }
    with pytest.raises(DataError, match=r"b\.jsonl: target `t`: unknown tag `B` in row 1"):
        prepare(read_data(source="jsonl", path=files, **TAGS), "tags", 0)


MODELS: dict[str, tuple[dict[str, str], list[str]]] = {
    "no tokenizer": ({"config.json": "{}"}, ["no tokenizer in this folder", "tokenizer.json"]),
    "damaged tokenizer": ({"tokenizer.json": '{"model": 3}'}, ["tokenizer.json: not a readable"]),
    "damaged settings": (
        {"tokenizer.json": "{}", "tokenizer_config.json": "{"},
        ["tokenizer_config.json: not readable JSON"],
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_broken_tokenizers(case: str, texts: Any, tmp_path: Path) -> None:
    files, expected = MODELS[case]
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    with pytest.raises(DataError) as caught:
        texts("t.jsonl", A, "classes", tokenizer=str(folder), **CLASSES)
    assert [text for text in expected if text not in str(caught.value)] == [], caught.value


def test_no_such_model(texts: Any) -> None:
    with pytest.raises(DataError, match="/nowhere/model: no such folder or file"):
        texts("t.jsonl", A, "classes", tokenizer="/nowhere/model", **CLASSES)


def test_more_than_the_model_can_take(texts: Any, minilm_path: str) -> None:
    for length, expected in ((1000, "1,000 is more than the 512 positions"), (2, "no room")):
        with pytest.raises(DataError, match=expected):
            texts("t.jsonl", A, "classes", minilm_path, {"max_length": length}, **CLASSES)
