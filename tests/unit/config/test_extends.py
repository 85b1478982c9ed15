"""`extends: base.yaml`: what is merged, replaced and dropped, and where each value was written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.apart import apart
from support.bad_answers import check

from ftune.config.dump import dump, to_yaml
from ftune.config.extends import MAX_CHAIN, MAX_FILES, MAX_VALUES, compose
from ftune.errors import ConfigError
from ftune.schema.root import LANGUAGE, RunConfig

BASE = """\
task: classification
data: {source: csv, path: rows/t.csv, target: y, types: {name: text, b: number}}
model: {name: mlp, width: 4}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
train: {epochs: 2, batch_size: 16}
"""


def written(folder: Path, **texts: str) -> Path:
    """Files `sub/base.yaml` (double underscores are strokes); the path of the last."""
    for name, text in texts.items():
        file = folder / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return file


def plain(file: Path) -> dict[str, object]:
    return dict(compose(file, RunConfig).root.plain())


def refusal(file: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        LANGUAGE.load(file)
    return str(caught.value)


def test_mappings_merge_lists_and_values_are_replaced_later_files_win(tmp_path: Path) -> None:
    file = written(
        tmp_path, a="x: {p: 1, q: 2, r: [1, 2]}\ny: 1", b="x: {q: 3, r: [4]}\ny: {z: 1}",
        c="extends: [a.yaml, b.yaml]\nx: {p: null}",
    )  # fmt: skip
    assert plain(file) == {"x": {"p": None, "q": 3, "r": [4]}, "y": {"z": 1}}
    file.write_text("extends: [b.yaml, a.yaml]", encoding="utf-8")
    assert plain(file) == {"x": {"p": 1, "q": 2, "r": [1, 2]}, "y": 1}


def test_values_that_omegaconf_would_read_stay_as_they_are(tmp_path: Path) -> None:
    texts = {"a": "{k: '${k', m: '???'}", "b": "extends: a.yaml\nl: '${oc.env:HOME}'\n'???': 1"}
    assert plain(written(tmp_path, **texts)) == {
        "k": "${k", "m": "???", "l": "${oc.env:HOME}", "???": 1,
    }  # fmt: skip


def test_a_fault_is_named_with_the_file_and_line_that_it_stands_at(tmp_path: Path) -> None:
    child = "extends: sub/base.yaml\ntrain:\n  epochs: {}\n"
    file = written(tmp_path, sub__base=BASE.replace("batch_size: 16", "batch_size: 0"), c=child)
    file.write_text(child.format(3), encoding="utf-8")
    code, said = check(str(file))
    parent = f"{tmp_path}/sub/base.yaml:5:32: train.batch_size: `0`"
    assert (code, parent in said) == (2, True), said
    written(tmp_path, sub__base=BASE)
    assert check(str(file))[0] == 0  # the control: without the fault nothing is said
    file.write_text(child.format(-3), encoding="utf-8")
    code, said = check(str(file))
    assert (code, f"{file}:3:11: train.epochs" in said, "base.yaml" in said) == (2, True, False)


def test_syntax_in_a_parent_is_named_there(tmp_path: Path) -> None:
    file = written(tmp_path, base="a: 1\nb: [", c="extends: base.yaml")
    assert f"{tmp_path}/base.yaml:2:" in refusal(file)
    file = written(tmp_path, base="- 1", c="extends: base.yaml")
    assert f"{tmp_path}/base.yaml:1:1: extends: a configuration is a mapping" in refusal(file)


def test_paths_start_from_the_file_that_they_were_written_in(tmp_path: Path) -> None:
    file = written(tmp_path, sub__base=BASE, c="extends: sub/base.yaml\nbase: m.pt")
    config = LANGUAGE.load(file)
    assert config.data.source.path == str(tmp_path / "sub/rows/t.csv")
    assert config.base == str(tmp_path / "m.pt")
    assert LANGUAGE.load(file, ["base=m.pt"]).base == str(Path.cwd() / "m.pt")


def test_a_file_that_is_a_link_stands_where_it_points_to(tmp_path: Path) -> None:
    written(tmp_path, real__base=BASE, real__c="extends: base.yaml")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real/c.yaml")
    config = LANGUAGE.load(tmp_path / "link.yaml")
    assert config.data.source.path == str(tmp_path / "real/rows/t.csv")


@pytest.mark.parametrize("block", ["optimizer: adamw", "optimizer: {name: adamw}"])
def test_another_variant_drops_the_settings_of_the_old_one(tmp_path: Path, block: str) -> None:
    file = written(tmp_path, base=BASE, c=f"extends: base.yaml\n{block}")
    notes: list[str] = []
    assert LANGUAGE.load(file, (), notes.append).optimizer.lr == 1e-3
    keys = ["optimizer.lr", "optimizer.momentum"]
    assert [note.partition(" ")[0] for note in notes] == keys
    assert f"({tmp_path}/base.yaml:4:33) is dropped: {file}:2:" in notes[1]


@pytest.mark.parametrize(
    "block", ["optimizer: sgd", "optimizer: {name: sgd}", "optimizer: {nesterov: true}"]
)
def test_the_same_variant_keeps_them(tmp_path: Path, block: str) -> None:
    file = written(tmp_path, base=BASE, c=f"extends: base.yaml\n{block}")
    notes: list[str] = []
    optimizer = LANGUAGE.load(file, (), notes.append).optimizer
    assert (type(optimizer).__name__, optimizer.lr, optimizer.momentum) == ("Sgd", 0.1, 0.9)
    assert notes == []


def test_a_bare_name_below_keeps_its_variant(tmp_path: Path) -> None:
    file = written(tmp_path, base=BASE, c="extends: base.yaml\nmodel: {depth: 3}")
    assert LANGUAGE.load(file).model.width == 4
    bare = BASE.replace("{name: sgd, lr: 0.1, momentum: 0.9}", "sgd")
    file = written(tmp_path, base=bare, c="extends: base.yaml\noptimizer: {lr: 0.3}")
    assert type(LANGUAGE.load(file).optimizer).__name__ == "Sgd"


def test_the_default_variant_is_one_too(tmp_path: Path) -> None:
    base = BASE.replace("name: sgd, lr: 0.1, momentum: 0.9", "lr: 0.1")
    file = written(tmp_path, base=base, c="extends: base.yaml\noptimizer: {name: adamw}")
    assert LANGUAGE.load(file).optimizer.lr == 0.1
    file = written(tmp_path, base=base, c="extends: base.yaml\noptimizer: {name: sgd, lr: 0.5}")
    notes: list[str] = []
    assert LANGUAGE.load(file, (), notes.append).optimizer.lr == 0.5
    assert len(notes) == 1


def test_another_source_drops_what_the_old_one_was_told_and_keeps_the_rest(tmp_path: Path) -> None:
    file = written(tmp_path, base=BASE, c="extends: base.yaml\ndata: {source: sklearn, name: iris}")
    notes: list[str] = []
    config = LANGUAGE.load(file, (), notes.append)
    assert list(config.data.targets) == ["y"]
    assert [note.partition(" ")[0] for note in notes] == ["data.path", "data.types"]


def test_a_column_called_name_is_no_variant(tmp_path: Path) -> None:
    file = written(tmp_path, base=BASE, c="extends: base.yaml\ndata: {types: {name: number}}")
    assert LANGUAGE.load(file).data.source.types == {"name": "number", "b": "number"}


def test_references_see_the_composed_tree_and_changes_come_after(tmp_path: Path) -> None:
    base = BASE.replace("epochs: 2", "epochs: '${seed}'")
    file = written(tmp_path, base=base, c="extends: base.yaml\nseed: 5")
    assert LANGUAGE.load(file).train.epochs == 5
    assert LANGUAGE.load(file, ["seed=7"]).train.epochs == 7


def test_a_resolver_is_refused_by_its_name(tmp_path: Path) -> None:
    base = BASE.replace("epochs: 2", "epochs: '${now:x}'")
    said = refusal(written(tmp_path, base=base, c="extends: base.yaml"))
    assert f"{tmp_path}/base.yaml:5:17: train.epochs" in said
    assert "the resolver `now` is not accepted" in said


def test_what_a_run_keeps_is_whole(tmp_path: Path) -> None:
    config = LANGUAGE.load(written(tmp_path, base=BASE, c="extends: base.yaml\nseed: 3"))
    text = to_yaml(dump(config))
    assert "extends" not in text
    again = written(tmp_path / "elsewhere", config=text)
    assert LANGUAGE.load(again) == config


def test_it_stands_in_a_file_only(tmp_path: Path) -> None:
    file = written(tmp_path, base=BASE)
    loads: list[Callable[[], object]] = [
        lambda: LANGUAGE.load(file, ["extends=c.yaml"]),
        lambda: LANGUAGE.of({**plain(file), "extends": "c.yaml"}),
    ]
    for load in loads:
        with pytest.raises(ConfigError, match="stands at the top of a file"):
            load()


def test_circles_are_refused_with_their_chain(tmp_path: Path) -> None:
    file = written(tmp_path, b="extends: c.yaml", c="extends: b.yaml", a="extends: b.yaml")
    names = " → ".join(str(tmp_path / f"{name}.yaml") for name in "bcb")
    assert f"{tmp_path}/c.yaml:1:10: extends: the files extend each other: {file} → {names}" in (
        refusal(file)
    )
    (tmp_path / "link.yaml").symlink_to(tmp_path / "own.yaml")
    assert "extend each other" in refusal(written(tmp_path, own="extends: link.yaml"))


def test_depth_number_and_values_are_bounded(tmp_path: Path) -> None:
    chain = {f"f{i}": f"extends: f{i - 1}.yaml" if i else "seed: 1" for i in range(MAX_CHAIN + 1)}
    assert "too many files" in refusal(written(tmp_path, **chain))
    last = f"f{MAX_CHAIN - 1}"
    assert plain(tmp_path / f"{last}.yaml") == {"seed": 1}
    laughs = {f"l{i}": f"extends: [{', '.join([f'l{i - 1}.yaml'] * 9)}]" for i in range(1, 6)}
    assert f"{MAX_FILES} in all" in refusal(written(tmp_path, l0="seed: 1", **laughs))
    many = "\n".join(f"k{i}: 1" for i in range(MAX_VALUES // 2))
    file = written(tmp_path, a=many, b=many, c="extends: [a.yaml, b.yaml]")
    assert f"more than {MAX_VALUES:,} values" in refusal(file)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nothing.yaml", "nothing.yaml: no such file"),
        ("folder", "folder: is not a regular file"),
        ("fifo", "fifo: is not a regular file"),
        ("loop", "loop: is not a regular file"),
        ("/dev/zero", "/dev/zero: is not a regular file"),
        ("bytes", "bytes: not UTF-8 at byte 0"),
        ("https://example.org/a.yaml", "is a URL"),
        ("x" * 5000, "no such file"),
        ('"a\\0b"', "has no NUL"),
        ("${oc.env:HOME}", "cannot be named so"),
        ("[1]", "expected the name of a file"),
        ("{a: b}", "expected the name of a file"),
    ],
)
def test_what_cannot_be_extended_is_said_where_it_was_named(
    tmp_path: Path, value: str, said: str
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    message = refusal(written(tmp_path, c=f"extends: {value}"))
    assert said in message
    assert f"{tmp_path}/c.yaml:1:1" in message


def test_resolved_shows_each_value_with_its_line(tmp_path: Path) -> None:
    child = "extends: base.yaml\noptimizer: adamw\nseed: 5\ndata: {target: 'y # z'}\nadapt: []\n"
    written(tmp_path, base=BASE, c=child)

    def use() -> None:
        from typer.testing import CliRunner

        from ftune.cli import app

        result = CliRunner().invoke(app, ["check", "c.yaml", "--resolved", "train.epochs=3"])
        lines = result.stdout.splitlines()
        for line in (
            "  path: rows/t.csv  # base.yaml:2:27",
            "seed: 5  # c.yaml:3:7",
            "  epochs: 3  # command line `train.epochs=3`",
            "adapt: []  # c.yaml:5:8",
            "  target: 'y # z'  # c.yaml:4:16",
            "  name: adamw  # c.yaml:2:12",
        ):
            assert line in lines, (line, result.output)
        (note,) = [line for line in lines if line.startswith("note: optimizer.momentum")]
        assert "(base.yaml:4:33) is dropped: c.yaml:2:12 chooses" in note

    apart(use, tmp_path)


def test_the_resolved_text_reads_as_the_same_configuration(tmp_path: Path) -> None:
    from ftune.config.dump import annotated

    long = "word " * 60 + "\n\nlines: '#' and \"quotes\""
    rates = "scientific: {optimizer.lr: [0.1, 1e-4]}"
    text = BASE + f"sweep: {{question: {json.dumps(long)}, {rates}}}\n"
    file = written(tmp_path, base=text, c="extends: base.yaml\nseed: 5")
    again = written(tmp_path, again=annotated(LANGUAGE.composed(file)))
    assert LANGUAGE.load(again) == LANGUAGE.load(file)
