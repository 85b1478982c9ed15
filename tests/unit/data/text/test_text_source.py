"""A text file as rows that give back the file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftune.data.sources.text import Text, rows_of
from ftune.errors import ConfigError

PLAY = "\n\nROMEO:\n  O me!\n\n \nJULIET:\r\nAy.\r\n\r\nTYBALT:\nend"


def test_a_row_is_a_line_with_its_end() -> None:
    assert rows_of("a\n\nb\r\nc", "lines") == ["a\n", "\n", "b\r\n", "c"]


def test_a_paragraph_ends_with_its_empty_lines() -> None:
    assert rows_of(PLAY, "paragraphs") == [
        "\n\n", "ROMEO:\n  O me!\n\n \n", "JULIET:\r\nAy.\r\n\r\n", "TYBALT:\nend",
    ]  # fmt: skip


@given(st.text(st.sampled_from("ab \n\r\t"), min_size=1))
def test_rows_give_back_the_file(text: str) -> None:
    for unit in ("lines", "paragraphs", "file"):
        rows = rows_of(text, unit)
        assert "".join(rows) == text and all(rows)


def test_a_file_is_read_without_its_byte_order_mark(write: Any) -> None:
    path = write("a.txt", b"\xef\xbb\xbfone\ntwo")
    frame = Text(path, "file").read(path)
    assert frame["text"].tolist() == ["one\ntwo"]


def test_parts_and_numbers_of_rows(write: Any) -> None:
    files = {"train": write("a.txt", "x\ny\n"), "val": write("b.txt", "z\n")}
    parts = Text(files).load()
    assert {part: frame["text"].tolist() for part, frame in parts.items()} == {
        "train": ["x\n", "y\n"], "val": ["z\n"],
    }  # fmt: skip
    assert parts["train"].rows.tolist() == [1, 2]


def test_the_last_rows_judge(read_data: Any, write: Any) -> None:
    from ftune.data.prepare import prepare

    text = "".join(f"{i:03d}\n" for i in range(100))
    data: Any = prepare(
        read_data(source="text", path=write("a.txt", text),
                  transforms=[{"tokenize": "characters", "max_length": 4}]),
        "tokens", 0,
    )  # fmt: skip
    assert data.test is not None and data.val is not None
    assert data.pipeline.decode(data.val.inputs.stream.tolist()) == text[280:320]
    assert data.pipeline.decode(data.test.inputs.stream.tolist()) == text[320:]


def test_settings_that_contradict_are_refused(read_data: Any) -> None:
    for wish, key in (
        ({"stream": True, "packing": True}, "packing"),
        ({"chat": False, "chat_template": "chatml"}, "chat_template"),
        ({"vocabulary": 256}, "vocabulary"),
        ({"max_length": 1}, "max_length"),
    ):
        with pytest.raises(ConfigError, match=f"data.transforms.0.{key}"):
            read_data(source="text", path="a.txt", transforms=[{"tokenize": wish}])
