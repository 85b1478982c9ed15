"""The fast form of S3: some of each kind in this process, by what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bombs import CONFIGS, DATA, Bomb
from support.bombs_of_weights import FILES, FOLDERS
from support.bounded import ending, observed

QUICK: dict[str, tuple[dict[str, Bomb], str]] = {
    "aliases that multiply": (CONFIGS, "aliases expand"),
    "flow lists 100,000 deep": (CONFIGS, "nested deeper than 40"),
    "an override 5,000 deep": (CONFIGS, "a key of 5,001 parts"),
    "40,000 unknown keys": (CONFIGS, "more than 20,000 values"),
    "layers of a million": (CONFIGS, "would take more than 4.0 TB"),
    "a billion layers": (CONFIGS, "1,000,000,001 layers; at most 10,000"),
    "JSON lists 500 deep": (DATA, "line 1: nested deeper than 100 levels"),
    "200,000 keys of JSON": (DATA, "200,000 columns, at most 100,000"),
    "a million columns": (DATA, "1,000,001 columns"),
    "a CSV file of 2 TB": (DATA, "would take 250.0 GB of memory"),
    "a text file of 2 TB": (DATA, "would take 4.0 TB of memory"),
    "members of 4 GB in 80 bytes": (DATA, "claims 4.0 GB"),
    "a member packed with LZMA": (DATA, "compressed in a way that is not read"),
    "an image of 60,000 × 60,000": (DATA, "more than the 89,478,485 pixels"),
    "a header of 2^60 bytes": (FILES, "its header claims 1,152,921,504,606,846,976 bytes"),
    "tensors of 2^60 bytes": (FILES, "its tensors claim"),
    "a story 100,000 deep": (FILES, "nested deeper than 100 levels"),
    "a tensor of 4 TB in one number": (FILES, "its tensors claim 4.0 TB"),
    "a packed file": (FILES, "compressed in a way that is not read"),
    "a bytearray of 8 GB": (FILES, "holds a bytearray"),
    "models in models, 300 deep": (FILES, "nested deeper than 100 levels"),
    "a GGUF of 2^60 entries": (FILES, "claims 1,152,921,504,606,846,976 entries"),
    "a GGUF tensor of 2^60 numbers": (FILES, "a tensor claims"),
    "an adapter's pattern that never ends": (FILES, "may take for ever"),
    "a hidden size of 1e9": (FOLDERS, "would take more than"),
    "a billion layers of a library": (FOLDERS, "at most 2,000 are made"),
    "a state of holes": (FOLDERS, "would take 100.0 GB of memory"),
    "a run.json 100,000 deep": (FOLDERS, "nested deeper than 100 levels"),
}


@pytest.mark.parametrize("name", QUICK)
def test_a_bomb_is_answered(name: str, tmp_path: Path) -> None:
    table, words = QUICK[name]
    bomb: Bomb = table[name]
    (tmp_path / "here").mkdir()
    end, said = ending(bomb(tmp_path / "here"))
    assert end == "refused"
    assert words in said


def test_what_is_slow_greedy_or_fatal_is_seen() -> None:
    """The control of the measure itself."""
    import os
    import time

    def slow() -> None:
        start = time.process_time()
        while time.process_time() < start + 2.2:
            pass

    assert observed(slow).faults
    assert "MB" in observed(lambda: bytes(range(256)) * 2_500_000).faults[0]
    assert observed(os.abort).faults == ["died of SIGABRT: "]
    assert observed(lambda: dict[str, int]()["a"]).faults == ["raised KeyError: 'a'"]
    assert observed(lambda: None).faults == []
