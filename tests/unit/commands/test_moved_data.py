"""Data that lies elsewhere now: named where it is missed, and taken from there."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.trainings import EVERYTHING, QUIET, assert_same, begin, configuration, trace

from ftune.commands.request import Request
from ftune.commands.rerun import rerun
from ftune.commands.resume import resume
from ftune.commands.train import optimize
from ftune.errors import DataError, RequestError
from ftune.runs.folder import RunFolder
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.training.train import train

HINT = r"no such file.*; where it lies elsewhere now, add data\.path=FILE"


def table(folder: Path) -> RunConfig:
    folder.mkdir()
    rows = [f"{i % 7},{i % 5 / 3},{'yes' if i % 7 > 3 else 'no'}" for i in range(90)]
    (folder / "t.csv").write_text("\n".join(["a,b,label", *rows]) + "\n", encoding="utf-8")
    data = {"source": "csv", "path": str(folder / "t.csv"), "target": "label",
            "split": {"val": 0.2}}  # fmt: skip
    return configuration(plain=EVERYTHING | {"data": data})


def test_a_run_goes_on_with_it_and_keeps_the_place(tmp_path: Path) -> None:
    config = table(tmp_path / "data")
    train(begin(config, tmp_path / "whole"))
    train(begin(config, tmp_path / "run", pause_at=7))
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(DataError, match=HINT):
        resume(RunFolder(tmp_path / "run"), False, QUIET)
    with pytest.raises(DataError, match=HINT):
        optimize(Request(config, "t", tmp_path / "new", QUIET))
    change = f"data.path={tmp_path / 'moved' / 't.csv'}"
    resume(RunFolder(tmp_path / "run"), False, QUIET, [change])
    assert_same(trace(tmp_path / "whole"), trace(tmp_path / "run"))
    kept = LANGUAGE.load(tmp_path / "run" / "config.yaml").data.source.path
    assert kept == str(tmp_path / "moved" / "t.csv")
    whole = RunFolder(tmp_path / "whole")
    with pytest.raises(RequestError, match="no such file"):
        rerun(whole, tmp_path / "again", QUIET)
    with pytest.raises(RequestError, match=r"`seed=1`: .* only data\.path may move"):
        rerun(whole, tmp_path / "again", QUIET, ["seed=1"])
    assert rerun(whole, tmp_path / "again", QUIET, [change])["identical"]
    longer = resume(whole, False, QUIET, [change, "train.epochs=5"], tmp_path / "longer")
    assert longer["steps"] == 20


def test_other_data_is_still_no_continuation(tmp_path: Path) -> None:
    config = table(tmp_path / "data")
    train(begin(config, tmp_path / "run", pause_at=3))
    other = tmp_path / "other.csv"
    other.write_text((tmp_path / "data" / "t.csv").read_text().replace("6,", "5,"), "utf-8")
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    with pytest.raises(RequestError, match="the data has changed"):
        resume(RunFolder(tmp_path / "run"), False, QUIET, [f"data.path={other}"])
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before
