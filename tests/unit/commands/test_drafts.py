"""`ftune init --data`: what is guessed of a table, and that the file runs as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from support.trainings import QUIET

from ftune.commands.drafts.draft import draft
from ftune.commands.drafts.write import target_transforms
from ftune.commands.init import init
from ftune.commands.request import Request
from ftune.commands.train import optimize
from ftune.console import Console
from ftune.errors import DataError, FtuneError, RequestError
from ftune.schema.root import LANGUAGE, RunConfig

Rows = list[dict[str, Any]]
RNG = np.random.default_rng(0)
N = 90


def as_csv(rows: Rows, delimiter: str = ",") -> str:
    def cell(value: Any) -> str:
        text = "" if value is None else str(value)
        return f'"{text}"' if delimiter in text else text

    lines = [delimiter.join(map(cell, row.values())) for row in rows]
    return "\n".join([delimiter.join(map(cell, rows[0])), *lines]) + "\n"


def drafted(tmp_path: Path, rows: Rows, target: str | None = None) -> tuple[str, RunConfig]:
    (tmp_path / "t.csv").write_text(as_csv(rows), encoding="utf-8")
    text = draft(tmp_path / "t.csv", target, tmp_path / "ftune.yaml")
    (tmp_path / "ftune.yaml").write_text(text, encoding="utf-8")
    return text, LANGUAGE.load(tmp_path / "ftune.yaml")


def plain(**more: Any) -> Rows:
    return [
        {"size": round(float(RNG.normal()), 3), "colour": "rgb"[i % 3],
         **{name: make(i) for name, make in more.items()}}
        for i in range(N)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (lambda i: "ab"[i % 2], "Classification"),
        (lambda i: i % 2, "Classification"),
        (lambda i: i % 3 + 1, "Classification"),
        (lambda i: i % 30, "Regression"),
        (lambda i: i % 4 + 0.5, "Regression"),
    ],
)
def test_the_task_follows_the_values(values: Any, task: str, tmp_path: Path) -> None:
    _, config = drafted(tmp_path, plain(last=values))
    assert type(config.task).__name__ == task
    assert config.data.targets == ("last",)
    assert (config.data.target_transforms is not None) is (task == "Regression")


def test_the_target_is_the_one_given_or_named_so_or_the_last(tmp_path: Path) -> None:
    rows = plain(target=lambda i: i % 2, other=lambda i: i % 3)
    assert drafted(tmp_path, rows)[1].data.targets == ("target",)
    assert drafted(tmp_path, rows, "other")[1].data.targets == ("other",)
    assert drafted(tmp_path, plain(x=lambda i: i % 2))[1].data.targets == ("x",)
    with pytest.raises(RequestError, match=r"no column `othr`; did you mean `other`"):
        drafted(tmp_path, rows, "othr")


def test_rows_of_one_patient_stay_together(tmp_path: Path) -> None:
    text, config = drafted(tmp_path, plain(patient_id=lambda i: i // 5, ill=lambda i: i % 2))
    assert config.data.split.group == "patient_id"
    assert "18 of them with 5.0 rows each" in text
    for odd in (
        {"patient_type": lambda i: i // 5},
        {"patient_id": lambda i: i},
        {"household": lambda i: i // 5},
        {"households": lambda i: i // 5},
    ):
        _, config = drafted(tmp_path, plain(**odd, ill=lambda i: i % 2))
        assert config.data.split.group is None


def test_a_date_that_leads_orders_the_split(tmp_path: Path) -> None:
    def day(i: int) -> str:
        return str(np.datetime64("2024-01-01") + i)

    rows = plain(sold=day, ill=lambda i: i % 2)
    assert drafted(tmp_path, rows)[1].data.split.time == "sold"
    mixed = [rows[i] for i in RNG.permutation(N)]
    assert drafted(tmp_path, mixed)[1].data.split.time is None
    first = [{"sold": row["sold"], **row} for row in mixed]
    assert drafted(tmp_path, first)[1].data.split.time == "sold"
    first[3]["sold"] = None
    assert drafted(tmp_path, first)[1].data.split.time is None


def test_what_is_no_input_is_dropped_with_a_reason(tmp_path: Path) -> None:
    rows = plain(
        id=lambda i: i, name=lambda i: f"Mr. {i}", note=lambda i: f"a long remark, {'x' * 40} {i}",
        alive=lambda i: "yn"[i % 2], survived=lambda i: i % 2,
    )  # fmt: skip
    text, config = drafted(tmp_path, rows)
    dropped = [step.columns for step in config.data.steps if type(step).__name__ == "Drop"]
    assert dropped == [["id"], ["name"], ["note"]]
    assert "# - drop: [alive]" in text
    assert "`survived`: is it known when you predict?" in text


ODD = {
    "yes": lambda i: i % 5, "a b": lambda i: i % 7, "x: y": lambda i: "uv"[i % 2],
    "#": lambda i: i % 4, "größe": lambda i: None if i % 9 == 0 else i / 7, "12": lambda i: i % 3,
    "sold": lambda i: f"2024-0{i * 7 % 9 + 1}-11", "still": lambda _: 1,
    'say "x"': lambda i: i % 2 / 3,
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "semicolon", "tsv", "jsonl", "parquet", "npz"])
@pytest.mark.parametrize("target", ["x: y", "size", "12"])
def test_every_draft_runs_as_it_is(suffix: str, target: str, tmp_path: Path) -> None:
    rows = plain(**ODD)
    file = tmp_path / f"t.{'csv' if suffix == 'semicolon' else suffix}"
    if suffix in ("csv", "semicolon", "tsv"):
        delimiter = {"csv": ",", "semicolon": ";", "tsv": "\t"}[suffix]
        plainer = [{k.replace('"', ""): v for k, v in row.items()} for row in rows]
        file.write_text(as_csv(plainer, delimiter), encoding="utf-8")
    elif suffix == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif suffix == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), file)
    else:
        arrays = {k: [row[k] for row in rows] for k in ("yes", "size", "12", "x: y")}
        save: Any = np.savez
        columns = {name: np.array(values) for name, values in arrays.items()}
        save(file, image=RNG.normal(size=(N, 4, 4)), **columns)
    (tmp_path / "sub").mkdir()
    out = tmp_path / "sub" / "c.yaml"
    init(None, out, QUIET, file, target)
    text = out.read_text(encoding="utf-8")
    assert all(len(line) <= 80 for line in text.splitlines() if line.lstrip().startswith("#"))
    config = LANGUAGE.load(out, ["train.epochs=1", "runtime.threads=1"])
    assert optimize(Request(config, "c", tmp_path / "run", QUIET))["status"] == "done"


def test_a_line_is_chosen_where_a_line_is_enough(tmp_path: Path) -> None:
    x = RNG.normal(size=(400, 3))
    names = ("a", "b", "c", "y")
    straight = x @ [1, -2, 0.5] + RNG.normal(size=400) * 0.5
    bent = np.sin(3 * x[:, 0]) * x[:, 1] * 4
    for y, depth in ((straight, 0), (bent, 2)):
        rows = [
            dict(zip(names, map(float, (*a, b)), strict=True)) for a, b in zip(x, y, strict=True)
        ]
        text, config = drafted(tmp_path, rows)
        assert config.model.depth == depth
        assert ("a linear model" in text) is (depth == 0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("t.txt", "--data drafts for tables"),
        ("t.csv", "no such file"),
        ("folder", "is a folder"),
        ("one.csv", "no column to learn from"),
    ],
)
def test_what_is_no_table_is_refused(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "one.csv").write_text("a\n1\n2\n", encoding="utf-8")
    with pytest.raises(FtuneError, match=words):
        draft(tmp_path / name, None, tmp_path / "c.yaml")


def test_words_that_do_not_go_together(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(as_csv(plain()), encoding="utf-8")
    with pytest.raises(RequestError, match="goes with --data"):
        init(None, tmp_path / "c.yaml", QUIET, None, "a")
    with pytest.raises(RequestError, match="not both"):
        init("table", tmp_path / "c.yaml", QUIET, tmp_path / "t.csv", None)
    (tmp_path / "c.yaml").write_text("mine", encoding="utf-8")
    with pytest.raises(RequestError, match="exists already"):
        init(None, tmp_path / "c.yaml", QUIET, tmp_path / "t.csv", None)
    assert (tmp_path / "c.yaml").read_text(encoding="utf-8") == "mine"


def test_a_logarithm_is_for_long_tails_only() -> None:
    dice = np.random.default_rng(0)
    tailed = "\n".join(target_transforms(np.exp(dice.normal(5, 1, 500))))
    even = "\n".join(target_transforms(dice.uniform(1, 100, 500)))
    assert "- log" in tailed and "- log" not in even and "- standardize" in even


def written(tmp_path: Path, text: str, target: str = "y") -> tuple[str, RunConfig]:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    drafted_text = draft(tmp_path / "t.csv", target, tmp_path / "ftune.yaml")
    (tmp_path / "ftune.yaml").write_text(drafted_text, encoding="utf-8")
    return drafted_text, LANGUAGE.load(tmp_path / "ftune.yaml")


def lines(*makers: Any, head: str = "a,b,y", delimiter: str = ",") -> str:
    rows = (delimiter.join(str(make(i)) for make in makers) for i in range(N))
    return "\n".join([head.replace(",", delimiter), *rows, ""])


def two(i: int) -> str:
    return "uv"[i % 2]


NOTATIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "decimal comma": (
        lines(lambda i: f"{i},25", lambda i: i % 7, two, delimiter=";"),
        {"decimal": ",", "delimiter": ";"}, {"a": 1.25}),
    "a file's comma decides for what alone has two readings": (
        lines(lambda i: f"{i},2", lambda i: f"{i % 9},125", two, delimiter=";"),
        {"decimal": ",", "delimiter": ";"}, {"a": 1.2, "b": 1.125}),
    "both separators": (
        lines(lambda i: f"1.{i + 100},5", lambda i: i % 7, two, delimiter="\t"),
        {"decimal": ",", "thousands": ".", "delimiter": "\t"}, {"a": 1101.5}),
    "a share and a currency": (
        lines(lambda i: f"{i}%", lambda i: f"$ {i % 7}.5", two),
        {"types": {"a": {"number": "%"}, "b": {"number": "$"}}}, {"a": 1, "b": 1.5}),
    "days first": (
        lines(lambda i: f"{i % 28 + 1:02}.{i % 12 + 1:02}.2024", lambda i: i % 7, two),
        {"types": {"a": {"date": "%d.%m.%Y"}}}, {"a": np.datetime64("2024-02-02")}),
    "lines above the header": (
        "# by me\n\n" + lines(lambda i: i / 2, lambda i: i % 7, two), {"skip": 2}, {"a": 0.5}),
    "a word for a gap": (
        lines(lambda i: "-" if i % 30 == 0 else i / 2, lambda i: i % 7, two), {}, {"a": 0.5}),
    "nothing": (lines(lambda i: i / 2, lambda i: i % 7, two), {}, {"a": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTATIONS)
def test_a_draft_has_the_settings_that_the_file_needs(name: str, tmp_path: Path) -> None:
    content, settings, row = NOTATIONS[name]
    text, config = written(tmp_path, content)
    source = config.data.source
    for key in ("decimal", "thousands", "types", "delimiter", "skip"):
        usual = {"types": {}, "skip": 0}.get(key)
        assert getattr(source, key) == settings.get(key, usual), text
    frame = source.load()["all"]
    assert {column: frame[column][1] for column in row} == row
    assert ("-" in source.missing) is (name == "a word for a gap")
    assert optimize(Request(replaced(config), "c", tmp_path / "run", QUIET))["status"] == "done"


def replaced(config: RunConfig) -> RunConfig:
    return replace(config, train=replace(config.train, epochs=1))


def test_of_two_readings_none_is_written(tmp_path: Path) -> None:
    text, config = written(
        tmp_path, lines(lambda i: f"{i % 9 + 1};{i % 9},125".replace(";", ""), two,
                        head="a,y", delimiter=";"))  # fmt: skip
    assert "TO CHOOSE: column `a`" in text
    assert "thousands" in text and (config.data.source.decimal, config.data.source.thousands) == (
        None, None,
    )  # fmt: skip
    with pytest.raises(DataError, match="the one that is meant"):
        config.data.source.load()
    out = tmp_path / "c.yaml"
    assert "choose what its lines" in said(out, tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text(lines(lambda i: i / 2, lambda i: i % 7, two))
    assert "choose what its lines" not in said(tmp_path / "d.yaml", tmp_path / "t.csv"), "control"


def said(out: Path, file: Path) -> str:
    heard: list[str] = []

    class Heard(Console):
        def info(self, text: str = "") -> None:
            heard.append(text)

    init(None, out, Heard(quiet=True), file, "y")
    return "\n".join(heard)


def test_two_notations_in_one_file_are_refused(tmp_path: Path) -> None:
    content = lines(lambda i: f"{i},{i % 7}", lambda i: f"{i}.{i % 7}", two, delimiter=";")
    with pytest.raises(DataError, match=r'some columns need `decimal: ","`, others `decimal: "."`'):
        written(tmp_path, content)


def test_rows_without_a_target_are_left_out(tmp_path: Path) -> None:
    content = lines(lambda i: i / 3, lambda i: i % 7, lambda i: "" if i % 9 == 0 else i / 4)
    text, config = written(tmp_path, content)
    assert "# 10 rows have no `y`" in text and config.data.drop_missing_target
    content = lines(lambda i: i / 3, lambda i: i % 7, lambda i: ("NA", "u", "v")[i % 3])
    text, config = written(tmp_path, content)
    assert "30 rows have no `y`; `missing` lists `NA`" in text
    assert optimize(Request(replaced(config), "c", tmp_path / "run", QUIET))["status"] == "done"
    _, config = written(tmp_path, lines(lambda i: i / 3, lambda i: i % 7, two))
    assert not config.data.drop_missing_target


def test_free_text_alone_is_for_the_template_of_texts(tmp_path: Path) -> None:
    content = lines(lambda i: f"a long remark of many words, said {i} times".replace(",", ""), two,
                    head="note,y")  # fmt: skip
    with pytest.raises(DataError, match="`ftune init text`"):
        written(tmp_path, content)


@pytest.mark.parametrize("trending", [False, True])
def test_a_year_is_an_input_where_it_tells_of_later_rows(trending: bool, tmp_path: Path) -> None:
    dice = np.random.default_rng(0)

    def price(i: int) -> float:
        return float(round((i / 40 if trending else 0) + dice.normal(), 3))

    def day(i: int) -> str:
        return str(np.datetime64("2015-01-01") + 7 * i)

    rows = [{"sold": day(i), "size": i % 7, "y": price(i)} for i in range(400)]
    _, config = drafted(tmp_path, rows)
    assert config.data.split.time == "sold"
    (step,) = [step for step in config.data.steps if type(step).__name__ == "Date"]
    assert step.parts == (None if trending else ["month", "day", "weekday"])


@pytest.mark.parametrize("tailed", [False, True])
def test_long_tails_that_a_line_goes_by_are_not_drawn_in(tailed: bool, tmp_path: Path) -> None:
    dice = np.random.default_rng(1)
    income, age = dice.lognormal(8, 1, 300), dice.normal(50, 10, 300)
    income = income if tailed else np.append(dice.normal(3_000, 500, 299), 1e6)
    price = 0.3 * (income if tailed else np.append(income[:-1], 3_000)) + 5 * age
    rows = [
        {"income": round(i, 2), "age": round(a, 2), "price": round(p, 2)}
        for i, a, p in zip(income.tolist(), age.tolist(), price.tolist(), strict=True)
    ]
    text, config = drafted(tmp_path, rows)
    (robust,) = [step for step in config.data.steps if type(step).__name__ == "Robust"]
    assert robust.bound > 3 if tailed else robust.bound == 3, text
    assert f"draws in values beyond {2 * robust.bound:g} deviations" in " ".join(text.split())
    if tailed:
        done = optimize(Request(config, "c", tmp_path / "run", QUIET))
        assert done["metrics"]["test"]["r2"] > 0.98


def test_a_comma_elsewhere_decides_for_points_between_thousands(tmp_path: Path) -> None:
    amounts = lines(lambda i: f"{i % 9 + 1}.{i * 7 % 900 + 100}", lambda i: f"{i % 7},5", two,
                    delimiter=";")  # fmt: skip
    text, config = written(tmp_path, amounts)
    assert (config.data.source.decimal, config.data.source.thousands) == (",", ".")
    assert "`a`: 1.100 is 1100, as other columns need" in " ".join(text.split())
    assert config.data.source.load()["all"]["a"][0] == 1100
    points = lines(lambda i: f"{i % 9 + 1}.{i * 7 % 900 + 100}", lambda i: f"{i % 7}.5", two,
                   delimiter=";")  # fmt: skip
    _, config = written(tmp_path, points)
    assert config.data.source.thousands is None, "control"
    assert config.data.source.load()["all"]["a"][0] == 1.1


def tags(i: int, separator: str = ";") -> str:
    return separator.join("hot new old"[4 * k : 4 * k + 3] for k in range(3) if i >> k & 1)


@pytest.mark.parametrize("separator", [";", "|"])
def test_sets_of_tags_are_several_labels(separator: str, tmp_path: Path) -> None:
    content = lines(lambda i: i / 2, lambda i: i % 7, lambda i: tags(i, separator))
    text, config = written(tmp_path, content)
    assert config.task.multi_label and config.data.separator == separator
    assert "rows have several tags in `y`" in text and not config.data.drop_missing_target
    assert optimize(Request(replaced(config), "c", tmp_path / "run", QUIET))["status"] == "done"


@pytest.mark.parametrize(
    "value",
    [
        lambda i: f"{'ab'[i % 2]};{'cd'[i // 2 % 2]}",
        lambda i: f"Street {i % 40};Town {i % 40}" if i % 3 else "none",
        two,
    ],
)
def test_texts_with_a_separator_that_are_no_sets_are_classes(value: Any, tmp_path: Path) -> None:
    _, config = written(tmp_path, lines(lambda i: i / 2, lambda i: i % 7, value))
    assert not config.task.multi_label and config.data.separator is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda _: "DE", "is DE in all 90 rows; there is nothing to learn"),
        (lambda _: 7, "is 7 in all 90 rows; there is nothing to learn"),
        (lambda _: "", "is empty"),
        (lambda i: f"K{i}", "90 different texts in 90 rows"),
    ],
)
def test_targets_that_cannot_be_learnt_are_refused(value: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        written(tmp_path, lines(lambda i: i / 2, lambda i: i % 7, value))


def test_numbers_of_rows_are_no_target_but_amounts_are(tmp_path: Path) -> None:
    rows = plain(id=lambda i: 1000 + i, amount=lambda i: 1000 + i * 3)
    with pytest.raises(DataError, match="90 different numbers in 90 rows"):
        drafted(tmp_path, rows, "id")
    assert type(drafted(tmp_path, rows, "amount")[1].task).__name__ == "Regression"


@pytest.mark.parametrize("delimiter", [";", ","])
def test_lines_above_the_header_are_skipped_though_filled_up(
    delimiter: str, tmp_path: Path
) -> None:
    above = "Report of sales,,\nExported 2024,,\n\n".replace(",", delimiter)
    content = above + lines(lambda i: i / 2, two, two, delimiter=delimiter)
    _, config = written(tmp_path, content)
    assert config.data.source.skip == 3
    assert config.data.source.load()["all"].columns.keys() == {"a", "b", "y"}
    texts = lines(lambda i: f"k{i % 4}", lambda i: f"m{i % 9}" if i else "", two,
                  delimiter=delimiter)  # fmt: skip
    assert written(tmp_path, texts)[1].data.source.skip == 0, "control"


TURNS = json.dumps([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}])
SHARED = json.dumps([{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}])
ASKED: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "openai": ({"messages": TURNS}, {"messages": "messages"}),
    "sharegpt": ({"conversations": SHARED}, {"messages": "conversations"}),
    "alpaca": (
        {"instruction": "do", "input": "", "output": "done"},
        {"prompt": "{instruction}{input:\n\nInput: {}}", "response": "{output}"},
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_conversations_get_the_template_of_a_language_model(name: str, tmp_path: Path) -> None:
    row, settings = ASKED[name]
    file = tmp_path / "t.jsonl"
    parts = [f'"{k}": {v if v.startswith("[") else json.dumps(v)}' for k, v in row.items()]
    file.write_text(f"{{{', '.join(parts)}}}\n" * 3, encoding="utf-8")
    text = draft(file, None, tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    config = LANGUAGE.load(tmp_path / "c.yaml")
    assert type(config.task).__name__ == "CausalLm" and "TO CHOOSE" in text
    messages = config.data.messages
    given = {"messages": messages.column if messages else None, "prompt": config.data.prompt,
             "response": config.data.response}  # fmt: skip
    assert {k: v for k, v in given.items() if v is not None} == settings


def test_questions_with_a_few_answers_are_a_table(tmp_path: Path) -> None:
    rows = [{"question": f"which of {i}", "size": i / 2, "answer": "yn"[i % 2]} for i in range(N)]
    assert type(drafted(tmp_path, rows)[1].task).__name__ == "Classification"


def test_free_text_beside_numbers_is_named_with_the_way_to_use_it(tmp_path: Path) -> None:
    def note(i: int) -> str:
        return f"it was no good at {i}"

    content = lines(note, lambda i: i % 7, two, head="note,b,y")
    assert "alone by `text: note`" in " ".join(written(tmp_path, content)[0].split()).replace(
        "# ", ""
    )
    assert "`data.text: note`" in said(tmp_path / "c.yaml", tmp_path / "t.csv")
    written(tmp_path, lines(lambda i: f"K{i}", lambda i: i % 7, two))
    assert "data.text" not in said(tmp_path / "d.yaml", tmp_path / "t.csv"), "control"


def test_dates_in_several_notations_are_called_so(tmp_path: Path) -> None:
    def day(i: int) -> str:
        return (f"2024-01-{i % 28 + 1:02}", f"{i % 28 + 1:02}.02.2024")[i % 2]

    text, config = written(tmp_path, lines(day, lambda i: i % 7, two))
    assert "dates in different notations (0" in " ".join(text.split())
    assert config.data.steps[0].columns == ["a"]
    text, _ = written(tmp_path, lines(lambda i: f"K{i}", lambda i: i % 7, two))
    assert "dates in" not in text, "control"


def test_one_row_is_no_rows(tmp_path: Path) -> None:
    content = lines(lambda i: i / 3, lambda i: i % 7, lambda i: "" if i == 4 else i / 4)
    assert "# 1 row has no `y`" in written(tmp_path, content)[0]
