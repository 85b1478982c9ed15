"""A file or folder is replaced as a whole, or stays as it was."""

from pathlib import Path

import pytest

from ftune.runs.files import replacing


def test_what_the_block_wrote_takes_the_place(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("folder", [False, True])
def test_a_block_that_fails_leaves_the_old_and_nothing_beside(
    tmp_path: Path, error: type[BaseException], folder: bool
) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(error), replacing(target) as temporary:
        if folder:
            temporary.mkdir()
        (temporary / "part" if folder else temporary).write_text("new")
        raise error
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
