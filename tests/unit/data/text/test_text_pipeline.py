"""Texts through `prepare`: every form, what is stored, what is kept on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ftune.batch import IGNORE_INDEX
from ftune.data.frame import Frame
from ftune.data.pipeline import restore
from ftune.data.prepare import prepare
from ftune.data.store import RngKey
from ftune.data.text.tokenize_pipeline import TokenizePipeline
from ftune.data.text.tokenizer import Tokenizer
from ftune.errors import CheckpointError, DataError

DATA = Path(__file__).resolve().parents[4] / "../shared/data"
CHARACTERS = {"tokenizer": "characters"}
SMS = "".join(
    json.dumps({"t": f"message number {i}", "s": "sub", "y": i % 2, "n": i / 2}) + "\n"
    for i in range(12)
)
ASKED = "".join(
    json.dumps({"q": "what " * (1 + i % 3), "a": f"answer {i}"}) + "\n" for i in range(9)
)
PROMPT = {"prompt": "Q: {q}\nA: ", "response": "{a}"}
TALK = json.dumps({"m": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "c"}]})


ONE = np.ones(1, dtype=np.int64)


def one_row(**values: str) -> Frame:
    """One row with these texts."""
    return Frame({n: np.array([v], dtype=object) for n, v in values.items()}, "new", ONE)


def everything(data: Any) -> dict[str, torch.Tensor]:
    batch: dict[str, torch.Tensor] = data.train.batch(torch.arange(len(data.train)))
    return batch


def test_classification_has_what_the_model_expects_around_the_text(
    texts: Any, minilm_path: str
) -> None:
    data = texts("t.jsonl", SMS, "classes", minilm_path, {"max_length": 4}, text="t", target="y")
    batch = everything(data)
    assert batch["x"][:, 0].tolist() == [101] * 12
    assert batch["x"][:, 3].tolist() == [102] * 12
    assert batch["y"].tolist() == [i % 2 for i in range(12)]
    assert data.notes == ["train: 12 of 12 rows are cut at 4 tokens, 33.3 % of all tokens."]
    assert data.pipeline.features.shape == (4,)
    assert data.pipeline.features.vocabulary == 30522


def test_a_text_may_be_a_template_of_several_columns(texts: Any) -> None:
    data = texts(
        "t.jsonl", SMS, "numbers", None, CHARACTERS, text="{t} | {s} {n} {{}}", target="n",
        target_transforms=["standardize"],
    )  # fmt: skip
    batch, pipeline = everything(data), data.pipeline
    own = batch["x"][3][batch["segments"][3] == 1]
    assert pipeline.decode(own.tolist()) == "message number 3 | sub 1.5 {}"
    values = pipeline.invert(batch["y"])[:, 0]
    assert torch.allclose(values, torch.arange(12) / 2, atol=1e-6)
    assert pipeline.columns == {"t": "text", "s": "text", "n": "number"}


def test_documents_end_and_count_whole(texts: Any) -> None:
    data = texts("t.jsonl", SMS, "tokens", None, CHARACTERS, text="t")
    batch, pipeline = everything(data), data.pipeline
    end = pipeline.tokenizer.id_of("eos")
    assert pipeline.decode(batch["x"][2].tolist()[:16]) == "message number 2"
    assert batch["y"][2, 15] == end
    assert (batch["y"][2, :15] == batch["x"][2, 1:16]).all()
    without = texts("t.jsonl", SMS, "tokens", None, CHARACTERS | {"add_eos": False}, text="t")
    assert end not in everything(without)["y"]


def test_plain_text_is_a_stream_whose_blocks_give_back_the_file(texts: Any) -> None:
    text = "".join(f"line {i}\n\n" for i in range(60))
    data = texts("t.txt", text, "tokens", None, CHARACTERS | {"max_length": 16},
                 split={"val": 0.25, "test": 0})  # fmt: skip
    pipeline = data.pipeline
    assert data.val is not None and data.train.inputs.lengths is None
    batch = data.val.batch(torch.arange(len(data.val)))
    whole = [*batch["x"][0, :1].tolist(), *batch["y"][batch["y"] != IGNORE_INDEX].tolist()]
    lines = text.splitlines(keepends=True)
    assert pipeline.decode(whole) == "".join(lines[-round(len(lines) / 4) :])
    first, second = (data.train.batch(torch.arange(3), RngKey(0, epoch)) for epoch in (0, 1))
    assert not torch.equal(first["x"], second["x"])
    part = pipeline.decode(first["x"].flatten().tolist())
    assert part in text


def test_documents_can_be_a_stream_with_ends_between(texts: Any) -> None:
    wish = CHARACTERS | {"stream": True, "max_length": 10}
    data = texts("t.jsonl", SMS, "tokens", None, wish, text="t")
    stream = data.train.inputs.stream.tolist()
    said = data.pipeline.decode(stream, specials=True)
    assert said.startswith("message number 0<|endoftext|>message number 1<|endoftext|>")


def test_packing_is_for_training_only(texts: Any) -> None:
    wish = CHARACTERS | {"packing": True, "max_length": 64}
    data = texts("t.jsonl", ASKED, "tokens", None, wish, **PROMPT, split={"val": 3, "test": 0})
    assert len(data.train) < 6
    assert everything(data)["segments"].max() > 1
    assert data.val is not None and len(data.val) == 3
    assert data.val.batch(torch.arange(3))["segments"].max() == 1
    apart = texts("t.jsonl", ASKED, "tokens", None, CHARACTERS | {"max_length": 64}, **PROMPT,
                  split={"val": 3, "test": 0})  # fmt: skip
    counts = [(everything(one)["y"] != IGNORE_INDEX).sum().item() for one in (data, apart)]
    assert counts[0] == counts[1]


def test_prompts_are_turns_where_the_model_has_a_template(
    read_data: Any, write: Any, smollm_kept: Path, smollm_path: str
) -> None:
    def made(**wish: Any) -> Any:
        plain = {"source": "jsonl", "path": write("t.jsonl", ASKED), "split": {"val": 0, "test": 0}}
        more = {"cache": str(smollm_kept), "transforms": [{"tokenize": wish}]}
        return prepare(read_data(**plain, **more, **PROMPT), "tokens", 0, tokenizer=smollm_path)

    chat, plain = made(), made(chat=False)
    text = chat.pipeline.decode(everything(chat)["x"][0].tolist(), specials=True)
    assert "<|im_start|>user\nQ: what \nA: <|im_end|>\n<|im_start|>assistant\nanswer 0" in text
    text = plain.pipeline.decode(everything(plain)["x"][0].tolist(), specials=True)
    assert text.startswith("Q: what \nA: answer 0<|im_end|>")
    (start,) = chat.pipeline.prompts(one_row(q="what "))
    assert everything(chat)["x"][0].tolist()[: len(start)] == start
    assert chat.pipeline.prompt_ids("Q: what \nA: ") == start
    asked = "Q: what \nA: "
    assert plain.pipeline.prompts(one_row(q="what ")) == [plain.pipeline.prompt_ids(asked)]
    assert plain.pipeline.prompt_ids(asked, chat=True) == start
    assert chat.pipeline.stop_ids == plain.pipeline.stop_ids == [2]
    assert chat.pipeline.features.shape == (1024,)


def test_messages_are_chatml_where_the_tokenizer_is_trained_here(texts: Any) -> None:
    data = texts("t.jsonl", TALK + "\n", "tokens", None, CHARACTERS, messages="m")
    batch, pipeline = everything(data), data.pipeline
    wanted = "<|im_start|>user\nab<|im_end|>\n<|im_start|>assistant\nc<|im_end|>\n"
    ids = pipeline.tokenizer.encode([wanted]).flat.tolist()
    assert batch["x"][0].tolist() == ids[:-1]
    counted = batch["y"][0][batch["y"][0] != IGNORE_INDEX]
    assert pipeline.decode(counted.tolist(), specials=True) == "c<|im_end|>"
    (asked,) = pipeline.prompts(one_row(m='[{"role": "user", "content": "ab"}]'))
    assert asked == ids[: len(asked)]
    assert pipeline.decode(asked, specials=True).endswith("assistant\n")
    stops = [pipeline.decode([i], specials=True) for i in pipeline.stop_ids]
    assert sorted(stops) == ["<|endoftext|>", "<|im_end|>"]


def test_unknown_characters_are_counted(read_data: Any, write: Any) -> None:
    files = {"train": write("a.txt", "abc abc\n" * 9), "val": write("b.txt", "abéé\nü\n")}
    more = {"transforms": [{"tokenize": CHARACTERS | {"max_length": 4}}]}
    data = prepare(read_data(source="text", path=files, **more), "tokens", 0)
    assert data.notes == ["val: 3 of 7 tokens are unknown (`<unk>`)."]


def test_words_without_tags_mark_where_a_tag_is_due(texts: Any, minilm_path: str) -> None:
    row = '{"w": ["Embeddings", "of"], "t": ["B", "O"]}\n'
    pipeline = texts("t.jsonl", row, "tags", minilm_path, text="w", target="t").pipeline
    frame = Frame({"w": column(["a b"])}, "new", np.ones(1, np.int64))
    batch = pipeline.inputs(frame).take(torch.tensor([0]))
    assert batch["y"].tolist() == [[IGNORE_INDEX, 0, 0, IGNORE_INDEX]]
    assert pipeline.targets(frame) is None


def column(values: list[str]) -> Any:
    return np.array(values, dtype=object)


@pytest.mark.parametrize("form", ["classes", "numbers", "pairs", "talk", "stream"])
def test_a_stored_pipeline_makes_the_same(texts: Any, form: str) -> None:
    data = {
        "classes": lambda: texts("t.jsonl", SMS, "classes", None, {}, text="t", target="y"),
        "numbers": lambda: texts("t.jsonl", SMS, "numbers", None, {}, text="t", target="n",
                                 target_transforms=["standardize"]),
        "pairs": lambda: texts("t.jsonl", ASKED, "tokens", None, CHARACTERS, **PROMPT),
        "talk": lambda: texts("t.jsonl", TALK, "tokens", None, {}, messages="m"),
        "stream": lambda: texts("t.txt", "some text\n" * 9, "tokens", None, {"max_length": 8}),
    }[form]()  # fmt: skip
    pipeline = data.pipeline
    stored = json.loads(json.dumps(pipeline.to_json()))
    again = restore(stored, pipeline.arrays())
    assert again == pipeline
    frame = Frame({n: column(["a new text"]) for n in "tqa"} | {"text": column(["b c d e"]),
                  "m": column([json.dumps(json.loads(TALK)["m"])])}, "new",
                  np.ones(1, np.int64))  # fmt: skip
    one, other = (p.inputs(frame).take(torch.tensor([0])) for p in (pipeline, again))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(CheckpointError, match="version 99"):
        restore(stored | {"version": 99}, pipeline.arrays())


def test_a_base_keeps_its_tokenizer(read_data: Any, write: Any, texts: Any) -> None:
    prior = texts("t.jsonl", SMS, "classes", None, CHARACTERS, text="t", target="y").pipeline
    other = SMS.replace("message", "xyz")
    plain = {"source": "jsonl", "path": write("o.jsonl", other), "text": "t", "target": "y"}
    kept: Any = prepare(read_data(**plain), "classes", 0, prior).pipeline
    assert kept.tokenizer == prior.tokenizer
    assert kept.notes[0] == f"tokenizer of the base kept ({kept.tokenizer.size:,} tokens)."
    refit: Any = prepare(read_data(**plain, statistics="refit"), "classes", 0, prior).pipeline
    assert refit.tokenizer != prior.tokenizer


@pytest.fixture
def tokenised(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of texts whenever texts are tokenised."""
    found: list[int] = []
    real = Tokenizer.encode

    def counted(self: Tokenizer, rows: Any) -> Any:
        found.append(len(rows))
        return real(self, rows)

    monkeypatch.setattr(Tokenizer, "encode", counted)
    return found


def test_what_was_tokenised_once_is_read_again(
    texts: Any, tokenised: list[int], cache_home: Path
) -> None:
    def made(content: str = SMS, **wish: Any) -> tuple[int, Any]:
        tokenised.clear()
        data = texts("t.jsonl", content, "classes", None, {**CHARACTERS, **wish}, text="t",
                     target="y")  # fmt: skip
        return len(tokenised), everything(data)

    (times, first), (no_times, second) = made(), made()
    assert (times, no_times) == (1, 0)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert made(max_length=5)[0] == 1
    assert made(SMS.replace("number 3", "number 4"))[0] == 1
    assert made()[0] == 0
    (folder,) = cache_home.glob("*/text")
    assert len(list(folder.iterdir())) == 3


def test_a_damaged_file_is_made_again(texts: Any, tokenised: list[int], cache_home: Path) -> None:
    def made() -> Any:
        return everything(texts("t.jsonl", SMS, "classes", None, CHARACTERS, text="t", target="y"))

    first = made()
    (file,) = cache_home.glob("*/text/*")
    raw = file.read_bytes()
    for damaged in (b"", raw[:40], raw[:-9], raw[:-9] + b"\1" + raw[-8:], b"no" + raw):
        assert damaged != raw
        file.write_bytes(damaged)
        tokenised.clear()
        assert torch.equal(made()["x"], first["x"])
        assert tokenised == [12]
        made()
        assert tokenised == [12]  # what was written in its place is whole


def test_notes_are_kept_too(texts: Any) -> None:
    notes = [
        texts("t.jsonl", SMS, "classes", None, {**CHARACTERS, "max_length": 9}, text="t",
              target="y").notes for _ in range(2)
    ]  # fmt: skip
    said = "train: 12 of 12 rows are cut at 9 tokens, 44.3 % of all tokens."
    assert notes[0] == notes[1] == [said]


def test_without_a_cache_nothing_is_written(texts: Any, tmp_path: Path, cache_home: Path) -> None:
    where = {"text": "t", "target": "y"}
    texts("t.jsonl", SMS, "classes", None, CHARACTERS, **where, cache=False)
    assert not cache_home.exists()
    texts("t.jsonl", SMS, "classes", None, CHARACTERS, **where, cache=str(tmp_path / "own"))
    assert not cache_home.exists()
    assert len(list((tmp_path / "own").rglob("*.safetensors"))) == 1


def test_a_stored_pipeline_remembers_whether_it_keeps(texts: Any) -> None:
    for wish in (False, True):
        more = {"text": "t", "target": "y", "cache": wish}
        made = texts("t.jsonl", SMS, "classes", None, CHARACTERS, **more).pipeline
        again: Any = restore(made.to_json(), made.arrays())
        assert (again.kept is not None) == wish


def test_a_folder_that_cannot_be_written_costs_only_time(texts: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    more = {"text": "t", "target": "y", "cache": str(tmp_path / "file")}
    assert len(texts("t.jsonl", SMS, "classes", None, CHARACTERS, **more).train) == 12


def test_the_rows_of_a_short_frame_are_named(texts: Any) -> None:
    """Rows that are left out keep the numbers that they have in the file."""
    rows = [{"q": "a" * (30 if i == 4 else 2), "a": "b"} for i in range(6)]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    wish = CHARACTERS | {"max_length": 12}
    data = texts("t.jsonl", content, "tokens", None, wish, prompt="{q}", response="{a}")
    assert "Row 5 is left out" in data.notes[1]
    assert data.train.inputs.source_rows.tolist() == [0, 1, 2, 3, 5]
    assert isinstance(data.pipeline.tokenization, TokenizePipeline)


def test_what_a_prediction_is_asked_is_what_training_saw(texts: Any) -> None:
    rows = "".join(f'{{"n": {i}, "day": "2026-01-0{i}", "a": "b"}}\n' for i in range(1, 8))
    data = texts("t.jsonl", rows, "tokens", None, CHARACTERS, prompt="{n} on {day}: ",
                 response="{a}")  # fmt: skip
    seen = data.pipeline.decode(everything(data)["x"][0].tolist())
    whole = Frame({"n": np.array([1.0]), "day": np.array(["2026-01-01"], "M8[D]")}, "new", ONE)
    (asked,) = data.pipeline.prompts(whole)
    assert seen.startswith(data.pipeline.decode(asked)) and "1 on 2026-01-01: " in seen
    gap = Frame({"n": np.array([1.0, np.nan]), "day": whole["day"][[0, 0]]}, "new", ONE[[0, 0]] + 6)
    with pytest.raises(DataError, match="`n` is missing in row 7"):
        data.pipeline.prompts(gap)


def test_half_a_character_is_refused(texts: Any) -> None:
    pipeline = texts("t.jsonl", ASKED, "tokens", None, CHARACTERS, **PROMPT).pipeline
    with pytest.raises(DataError, match="half of a character"):
        pipeline.prompt_ids("a\udcffb")


def test_a_prompt_lacks_a_column(texts: Any) -> None:
    pipeline = texts("t.jsonl", ASKED, "tokens", None, CHARACTERS, **PROMPT).pipeline
    with pytest.raises(DataError, match=r"data\.prompt: no column `q`"):
        pipeline.prompts(one_row(p="x"))
    with pytest.raises(DataError, match="no column `q`"):
        pipeline.conform(Frame({}, "new.csv", np.ones(0, np.int64)))
