"""Tokenizers trained here, and those of real models against transformers."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chats import LLAMA2, LLAMA3

from ftune.data.text.chat import Chat
from ftune.data.text.choose import chat_of
from ftune.data.text.loaded import load
from ftune.data.text.tokenizer import Tokenizer
from ftune.data.text.trained import CHATML, bpe, characters
from ftune.data.transforms.tokenize import Tokenize
from ftune.errors import DataError

DATA = Path(__file__).resolve().parents[4] / "../shared/data"
HARD = [
    "Hello world", " leading and  double  spaces ", "ÄÖÜ ß é 北京 👋🏽 ก็", "line\nline\r\n\ttab",
    "don't won't I'll", "x=3.14159; y[0]+=1", "a [SEP] b <|im_end|> c", "\u200bzero\u00a0width", "",
]  # fmt: skip
TURNS = [
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": " 4. \n"},
    {"role": "user", "content": "And <b>3 × 3</b>?\n"},
    {"role": "assistant", "content": "9"},
]


def real_texts() -> list[str]:
    """Questions of customers and of school mathematics."""
    if not DATA.is_dir():
        pytest.skip("the real data is not here")
    with (DATA / "banking77/test.csv").open(encoding="utf-8", newline="") as file:
        found = [row["text"] for row in csv.DictReader(file)][:500]
    with (DATA / "gsm8k/test.jsonl").open(encoding="utf-8") as file:
        return found + [json.loads(line)["answer"] for line in file][:500]


def rows(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    ids = tokenizer.encode(texts)
    return [ids[i].tolist() for i in range(len(ids))]


def test_minilm_equals_transformers(minilm: Tokenizer, minilm_path: str, reference: Any) -> None:
    other = reference(minilm_path)
    before, after = minilm.frame
    assert [[*before, *r, *after] for r in rows(minilm, HARD)] == other(HARD).input_ids
    assert (minilm.pad, minilm.size, minilm.limit) == (other.pad_token_id, len(other), 256)
    texts = real_texts()
    assert [[*before, *r, *after] for r in rows(minilm, texts)] == other(texts).input_ids


def test_smollm2_equals_transformers(smollm: Tokenizer, smollm_reference: Any) -> None:
    assert rows(smollm, HARD) == smollm_reference(HARD).input_ids
    assert smollm.frame == ([], [])
    assert smollm.id_of("eos") == smollm_reference.eos_token_id
    assert smollm.size == len(smollm_reference)
    texts = real_texts()
    assert rows(smollm, texts) == smollm_reference(texts).input_ids


def test_chats_equal_transformers(smollm: Tokenizer, smollm_reference: Any) -> None:
    for source in (None, LLAMA3, LLAMA2, CHATML):
        chat = chat_of(Tokenize(chat=True, chat_template=source), smollm)
        assert chat is not None
        for turns, answer in ((TURNS, False), (TURNS[:3], True)):
            more = {"chat_template": source, "add_generation_prompt": answer}
            text = smollm_reference.apply_chat_template(turns, tokenize=False, **more)
            assert chat.text(turns, answer) == text
            wanted = smollm_reference.apply_chat_template(turns, return_dict=False, **more)
            assert smollm.encode_spans([text])[0].flat.tolist() == wanted


def test_another_template_would_be_seen(smollm_reference: Any) -> None:
    """The control: SmolLM2's own template adds a system prompt, plain ChatML does not."""
    own = smollm_reference.apply_chat_template(TURNS, tokenize=False)
    assert Chat(CHATML, {}).text(TURNS) != own


def test_a_stored_tokenizer_is_the_same_without_its_files(smollm: Tokenizer) -> None:
    stored = json.loads(json.dumps(smollm.to_json()))
    again = Tokenizer.restore(stored, smollm.array())
    assert again == smollm
    assert smollm.array().dtype == np.uint8
    assert rows(again, HARD) == rows(smollm, HARD)


def test_decoding_gives_back_the_text(smollm: Tokenizer) -> None:
    assert [smollm.decode(ids) for ids in rows(smollm, HARD)] == HARD


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(), min_size=1), st.text())
def test_bytes_and_known_characters_decode_exactly(training: list[str], text: str) -> None:
    pairs = bpe(training, 300, chat=False)
    assert [pairs.decode(ids) for ids in rows(pairs, [text])] == [text]
    letters = characters([*training, text], chat=False)
    assert [letters.decode(ids) for ids in rows(letters, [text, *training])] == [text, *training]
    assert [len(ids) for ids in rows(letters, [text])] == [len(text)]


def test_characters_are_numbered_as_in_nanogpt() -> None:
    text = "First Citizen:\nBefore we proceed any further, hear me speak.\n"
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    letters = characters([text], chat=False)
    assert rows(letters, [text]) == [[number[character] for character in text]]
    assert letters.id_of("unk") == len(number)


def test_an_unknown_character_is_one_unknown_token() -> None:
    letters = characters(["abc<unk>"], chat=False)
    ids = rows(letters, ["aéüb", "<unk>"])
    unknown = letters.id_of("unk")
    assert [i == unknown for i in ids[0]] == [False, True, True, False]
    assert unknown not in ids[1]  # the word itself is five characters


def test_bpe_learns_frequent_words_and_is_repeatable() -> None:
    training = ["the cat and the dog"] * 9
    one = bpe(training, 300, chat=True)
    assert one.json == bpe(training, 300, chat=True).json
    assert len(rows(one, ["the cat and the dog"])[0]) == 5
    assert one.size <= 300
    assert rows(one, ["<|im_end|>"]) == [[one.core.token_to_id("<|im_end|>")]]
    assert one.id_of("eos") is not None


def test_a_folder_without_tokenizer_json_is_converted(minilm_path: str, tmp_path: Path) -> None:
    for name in ("vocab.txt", "tokenizer_config.json", "config.json"):
        shutil.copy(Path(minilm_path) / name, tmp_path)
    found = load(str(tmp_path))
    assert (found.limit, found.specials["cls"]) == (512, "[CLS]")
    assert rows(found, HARD) == rows(load(minilm_path), HARD)


def test_templates_and_ends_are_read_from_a_folder(smollm: Tokenizer, tmp_path: Path) -> None:
    def write(name: str, content: Any) -> None:
        (tmp_path / name).write_text(json.dumps(content))

    (tmp_path / "tokenizer.json").write_text(smollm.json)
    listed = [{"name": "default", "template": "D"}, {"name": "tools", "template": "T"}]
    eos = {"content": "<|im_end|>", "special": True}
    write("tokenizer_config.json", {"chat_template": listed, "eos_token": eos})
    write("config.json", {"model_type": "roberta", "max_position_embeddings": 514})
    write("generation_config.json", {"eos_token_id": [0, 2]})
    found = load(str(tmp_path))
    assert found.templates == {"default": "D", "tools": "T"}
    assert (found.specials, found.limit) == ({"eos": "<|im_end|>"}, 512)
    assert found.stops == ("<|endoftext|>", "<|im_end|>")
    (tmp_path / "chat_template.jinja").write_text("file")
    assert load(str(tmp_path)).templates["default"] == "file"
    chat = chat_of(Tokenize(chat=True, chat_template="tools"), found)
    assert chat is not None and chat.text([]) == "T"


def test_a_tokenizer_without_template_says_so(minilm: Tokenizer) -> None:
    with pytest.raises(DataError, match="has no chat template"):
        chat_of(Tokenize(chat=True), minilm)
    with pytest.raises(DataError, match="there is no `chatml`"):
        chat_of(Tokenize(chat=True, chat_template="chatml"), minilm)


def test_spaces_belong_to_the_tokens_that_hold_them(smollm: Tokenizer) -> None:
    """Else the first word of an answer would start after its space, and its mask with it."""
    ids, spans = smollm.encode_spans(["a  b\n\nc", "x"])
    assert spans[0].tolist() == [0, 1]
    inner = spans[: len(ids[0])]
    assert inner[1:, 0].tolist() == inner[:-1, 1].tolist()
    assert inner[-1, 1] == 7


FORKED = """
import os, sys
from ftune.data.text.trained import bpe
made = bpe(["some text"] * 50, 300, chat=False)
made.encode(["some text"] * 50)
child = os.fork()
if not child:
    made.encode(["some text"] * 50)
    os._exit(0 if os.environ["TOKENIZERS_PARALLELISM"] == "false" else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_tokenises_without_a_warning() -> None:
    plain = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    run = subprocess.run(
        [sys.executable, "-c", FORKED], env=plain, capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")
