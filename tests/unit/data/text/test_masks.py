"""Which tokens count in the loss, against examples worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.chats import LLAMA2, LLAMA3

from ftune.batch import IGNORE_INDEX
from ftune.data.text.chat import Chat, RefusedError
from ftune.data.text.dialogues import Conversation
from ftune.data.text.samples import dialogues, pairs, to_predict
from ftune.data.text.tokenizer import Tokenizer
from ftune.data.text.trained import CHATML, characters

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": " Hello. "},
    {"role": "user", "content": "1 + 1?"},
    {"role": "assistant", "content": "2"},
]


def said(chat: Chat, turns: list[dict[str, str]]) -> list[str]:
    text, spans = chat.spans(turns)
    return [text[a:b] for a, b in spans]


def test_chatml_counts_from_after_the_header_to_the_end_of_the_turn() -> None:
    chat = Chat(CHATML, {}, ("<|im_start|>", "<|im_end|>"))
    assert said(chat, TURNS) == [" Hello. <|im_end|>", "2<|im_end|>"]
    assert chat.stop == "<|im_end|>"


def test_llama_3_counts_from_after_the_header_to_the_end_of_the_turn() -> None:
    chat = Chat(LLAMA3, {"bos_token": "<s>"}, ("<|start_header_id|>", "<|eot_id|>"))
    assert said(chat, TURNS) == ["Hello.<|eot_id|>", "2<|eot_id|>"]
    assert chat.stop == "<|eot_id|>"


def test_llama_2_counts_the_answer_and_its_end() -> None:
    chat = Chat(LLAMA2, {"bos_token": "<s>", "eos_token": "</s>"}, ("<s>", "</s>"))
    turns = TURNS[1:]
    assert said(chat, turns) == ["  Hello.  </s>", " 2 </s>"]
    assert chat.text(turns[:1]) == "<s>[INST] Hi [/INST]"


def test_a_header_that_asks_to_think_is_part_of_the_prompt_where_it_is_one() -> None:
    """The words that ask may go on where the template has others: only what is common is asked."""
    thinking = CHATML.replace("assistant\n' }}", "assistant\n<think>' }}")
    chat = Chat(thinking, {}, ("<|im_end|>",))
    assert said(chat, TURNS[1:3]) == [" Hello. <|im_end|>"]
    answer = {"role": "assistant", "content": "<think>hm</think>Hello."}
    assert said(chat, [TURNS[1], answer]) == ["hm</think>Hello.<|im_end|>"]


def test_a_template_that_rewrites_earlier_turns_is_refused() -> None:
    last_only = "{% for m in messages %}{% if loop.last %}{{ m.content }}{% endif %}{% endfor %}"
    with pytest.raises(RefusedError, match="changes earlier turns"):
        Chat(last_only, {}).spans(TURNS)


def test_templates_use_what_hugging_face_gives_them() -> None:
    marked = (
        "{%- for m in messages -%}\n{% if m.role == 'tool' %}{% continue %}{% endif %}"
        "{% generation %}{{ m | tojson }}{% endgeneration %}{% endfor %}"
        "{{ strftime_now('%%') }}"
    )
    text = Chat(marked, {}).text([{"role": "user", "content": "<é>"}, {"role": "tool"}])
    assert text == '{"role": "user", "content": "<é>"}%'


def test_a_template_cannot_reach_python() -> None:
    for source in ("{{ messages.__class__.__mro__ }}", "{{ messages.append(1) }}"):
        with pytest.raises(RefusedError):
            assert Chat(source, {}).text([]) == ""


@pytest.fixture
def letters() -> Tokenizer:
    """Each letter is one token, so that positions can be counted in the text."""
    return characters(["abcdefghijklmnopqrstuvwxyz: "], chat=True)


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    found: list[int] = tokenizer.encode([text]).flat.tolist()
    return found


def test_only_the_response_and_its_end_count(letters: Tokenizer) -> None:
    ids, counted, _ = pairs(letters, ["q: ", "ask: "], ["ab", "c"], eos=True)
    end = letters.id_of("eos")
    assert ids[0].tolist() == [*ids_of(letters, "q: ab"), end]
    made = to_predict(ids, counted, 99, np.array([1, 2]), [])
    assert made.y is not None
    assert made.x[0].tolist() == ids_of(letters, "q: ab")
    assert made.y[0].tolist() == [IGNORE_INDEX, IGNORE_INDEX, *ids_of(letters, "ab"), end]
    assert made.y[1].tolist() == [*[IGNORE_INDEX] * 4, *ids_of(letters, "c"), end]


def test_prompt_and_response_are_tokenised_apart(smollm: Tokenizer) -> None:
    """Joined first, ` ans` + `wer` would be one token that is prompt and response."""
    ids, counted, _ = pairs(smollm, ["The ans"], ["wer is 4"], eos=False)
    prompt = smollm.encode(["The ans"]).flat.tolist()
    assert ids[0].tolist()[: len(prompt)] == prompt
    assert counted.tolist() == [False] * len(prompt) + [True] * (len(ids[0]) - len(prompt))
    assert smollm.encode(["The answer is 4"]).flat.tolist() != ids[0].tolist()


def test_what_truncation_leaves_without_an_answer_is_named(letters: Tokenizer) -> None:
    prompts, responses = ["a: ", "abcdef: ", "ab: "], ["xyz", "x", "xyz"]
    ids, counted, _ = pairs(letters, prompts, responses, eos=True)
    made = to_predict(ids, counted, 6, np.array([5, 7, 9]), [])
    assert made.places.tolist() == [0, 2]
    assert made.notes == [
        "3 of 3 rows are cut at 6 tokens, 28.0 % of all tokens.",
        "Row 7 is left out: within 6 tokens nothing of the answer remains.",
    ]
    assert made.x[1].tolist() == ids_of(letters, "ab: x")


@pytest.mark.parametrize("template", [CHATML, LLAMA3, LLAMA2])
def test_several_turns_count_where_the_assistant_speaks(smollm: Tokenizer, template: str) -> None:
    names = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    chat = Chat(template.replace("<|eot_id|>", "<|im_end|>"), names, smollm.special_texts)
    turns = TURNS[1:]
    ids, counted, _ = dialogues(
        smollm, chat, [Conversation(turns), Conversation(turns[:2])], [1, 2]
    )
    text, spans = chat.spans(turns)
    assert ids[0].tolist() == smollm.encode([text]).flat.tolist()
    mask = counted[: len(ids[0])]
    parts = np.split(ids[0], np.flatnonzero(np.diff(mask.astype(int))) + 1)
    spoken = [smollm.decode(part.tolist()) for part in parts[1::2]]
    assert [part.strip() for part in spoken] == [text[a:b].strip() for a, b in spans]
    assert "".join(smollm.decode(part.tolist()) for part in parts) == text


def test_a_mask_by_searching_the_content_would_be_wrong() -> None:
    """The control: the content stands in the question too, so that a search finds the wrong one."""
    turns = [{"role": "user", "content": "Say 2."}, {"role": "assistant", "content": "2"}]
    text, spans = Chat(CHATML, {}, ("<|im_end|>",)).spans(turns)
    assert text.find("2") != spans[0][0]
    assert text[slice(*spans[0])] == "2<|im_end|>"


def test_without_masking_everything_counts(texts: Any) -> None:
    row = '{"q": "ab", "a": "cd"}\n'
    plain = {"tokenizer": "characters", "mask_prompt": False}
    data = texts("t.jsonl", row, "tokens", None, plain, prompt="{q}", response="{a}")
    batch = data.train.batch(torch.tensor([0]))
    assert batch["x"].tolist() == [[0, 1, 2, 3]]
    assert batch["y"].tolist() == [[1, 2, 3, data.pipeline.tokenizer.id_of("eos")]]
    data = texts("t.jsonl", row, "tokens", None, {"tokenizer": "characters"}, prompt="{q}",
                 response="{a}")  # fmt: skip
    assert data.train.batch(torch.tensor([0]))["y"][0, 0] == IGNORE_INDEX


def test_the_first_token_of_a_word_has_its_tag(texts: Any, minilm_path: str) -> None:
    row = '{"w": ["Embeddings", "of", "Zürich"], "t": ["B", "O", "I"]}\n'
    data = texts("t.jsonl", row, "tags", minilm_path, text="w", target="t")
    batch = data.train.batch(torch.tensor([0]))
    pieces = [data.pipeline.tokenizer.core.id_to_token(i) for i in batch["x"][0].tolist()]
    assert pieces == ["[CLS]", "em", "##bed", "##ding", "##s", "of", "zurich", "[SEP]"]
    away = IGNORE_INDEX
    assert batch["y"].tolist() == [[away, 0, away, away, away, 2, 1, away]]
    assert data.pipeline.target.classes == ("B", "I", "O")


def test_a_word_that_the_tokenizer_drops_still_has_its_place(texts: Any, minilm_path: str) -> None:
    row = '{"w": ["a", "\\u200b", "b"], "t": ["X", "Y", "Z"]}\n'
    data = texts("t.jsonl", row, "tags", minilm_path, text="w", target="t")
    batch = data.train.batch(torch.tensor([0]))
    assert batch["x"].tolist() == [[101, 1037, 100, 1038, 102]]
    assert batch["y"].tolist() == [[IGNORE_INDEX, 0, 1, 2, IGNORE_INDEX]]
    assert data.notes == ["train: 1 of 3 tokens are unknown (`[UNK]`)."]
