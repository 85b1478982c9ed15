"""Promise B3: broken data sets are answered before the first step; what a large file costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.large import grown_by, surveyed, write_csv
from support.ledger import SHARE, Ledger

GIGABYTE = 10**9
MOST = 300_000_000
"""Bytes that a check may take beyond a bare Python, whatever the size of the file."""
UNITS = Path(__file__).resolve().parents[1] / "unit" / "data"
TABLES = {
    "tables": UNITS / "test_broken_data.py",
    "texts": UNITS / "text" / "test_broken_text.py",
    "images": UNITS / "images" / "test_broken_images.py",
}


class _Count:
    """Counts what a run of pytest inside of this one reports."""

    def __init__(self) -> None:
        self.passed, self.failed = 0, list[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.passed += report.when == "call" and report.passed
        if report.failed:
            self.failed.append(report.nodeid.rpartition("::")[2])


@pytest.mark.parametrize("kind", TABLES)
def test_each_broken_data_set_is_answered(kind: str, ledger: Ledger) -> None:
    count = _Count()
    pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", str(TABLES[kind])], [count])
    what = f"{kind}: {', '.join(count.failed) or 'all answered'}"
    ledger.counted("B3", count.passed + len(count.failed), len(count.failed), what)
    assert count.passed >= 30


def test_a_gigabyte_of_csv(tmp_path: Path, ledger: Ledger) -> None:
    """Plain `ftune check` reads no data; reading takes what the columns take, and a little."""
    size = max(10**7, round(GIGABYTE * SHARE))
    file = write_csv(tmp_path / "large.csv", size)
    checked, read, columns = grown_by(file)
    faults = (checked > MOST) + (read > 2 * columns + 400_000_000)
    ledger.counted(
        "B3", 2, faults,
        f"{size / 1e9:.2f} GB of CSV: check {checked / 1e6:.0f} MB, reading {read / 1e6:.0f} MB,"
        f" its columns {columns / 1e6:.0f} MB",
    )  # fmt: skip


def test_a_check_of_a_gigabyte_holds_one_block(tmp_path: Path, ledger: Ledger) -> None:
    """Of the good file, and of one whose last rows are wrong in three ways."""
    file = write_csv(tmp_path / "large.csv", max(10**7, round(GIGABYTE * SHARE)))
    code, good, _ = surveyed(file)
    rows = sum(chunk.count(b"\n") for chunk in _chunks(file)) - 1
    with file.open("ab") as more:
        more.write(b"1,2,3,4,5,6,\n1,2,3\nold,2,3,4,5,6,abc\n")
    failed, broken, said = surveyed(file)
    file.unlink()
    expected = [f"`y` is missing in row {rows + 1}", f"row {rows + 2} with another number of",
                f"row {rows + 3}: 'old'"]  # fmt: skip
    faults = (code != 0) + (failed != 2) + (good > MOST) + (broken > MOST)
    faults += sum(text not in said for text in expected)
    ledger.counted(
        "B3", 2, faults,
        f"check --data: {good / 1e6:.0f} MB for the good file, {broken / 1e6:.0f} MB broken",
    )  # fmt: skip


def test_a_check_that_holds_the_file_is_over_the_limit(tmp_path: Path, ledger: Ledger) -> None:
    file = write_csv(tmp_path / "large.csv", max(600_000_000, round(GIGABYTE * SHARE)))
    code, grown, said = surveyed(file, whole=True)
    file.unlink()
    assert code == 0, said
    ledger.control("B3", grown > MOST, f"a reader that holds the file: {grown / 1e6:.0f} MB")


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        yield from iter(lambda: source.read(2**20), b"")


def test_an_answer_that_is_missing_is_counted(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftune.data.sources import written

    monkeypatch.setattr(written, "text_faults", lambda *_, **__: [])
    count = _Count()
    pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", str(TABLES["tables"])], [count])
    ledger.control("B3", bool(count.failed), "mixed columns are not looked at")
