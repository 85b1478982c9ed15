"""R1: kill -9 at any instant, any number of times; the same bits as undisturbed.

Compared: float.hex of every logged number, sha256 of every tensor of the last and of the best
state (weights, buffers, optimizer, EMA, random state), and the loop's own numbers. There are no
worker processes: batches are made when asked for, or one step ahead in a thread; both are tried.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.chains import OFTEN, Work, chains
from support.children import preload
from support.forgetful import FORGETFUL, resumed_without
from support.kinds import images, lora, write
from support.ledger import Ledger, full
from support.trainings import configuration, trace, undisturbed

pytestmark = pytest.mark.filterwarnings("ignore")
preload("transformers.models.llama.modeling_llama", "PIL.Image", "kornia.augmentation")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("kinds")
    write(found)
    return found


def killed(
    name: str, work: Work, kills: int, longest: float, folder: Path, ledger: Ledger, part: int
) -> None:
    undisturbed(configuration(*work.changes, plain=work.plain), folder / "whole")
    hits = chains(trace(folder / "whole"), folder, work, kills, longest, 1000 * (1 + part))
    way = "one step ahead" if work.ahead else "when asked for"
    ledger.counted("R1", hits, 0, f"SIGKILLs, {name}, batches made {way}: all bits equal")


@pytest.mark.parametrize("ahead", [False, True])
def test_table(ahead: bool, part: int, tmp_path: Path, ledger: Ledger) -> None:
    killed("table", Work(OFTEN, ahead=ahead), full(100), 0.8, tmp_path, ledger, part)


@pytest.mark.parametrize("ahead", [False, True])
def test_lora(ahead: bool, part: int, place: Path, tmp_path: Path, ledger: Ledger) -> None:
    work = Work(("train.epochs=12",), lora(place, packing=ahead), ahead)
    name = "LoRA, packed texts" if ahead else "LoRA, padded texts"
    killed(name, work, full(20), 1.2, tmp_path, ledger, part)


@pytest.mark.parametrize("ahead", [False, True])
def test_images(ahead: bool, part: int, place: Path, tmp_path: Path, ledger: Ledger) -> None:
    work = Work(("train.epochs=10",), images(place), ahead)
    killed("augmented images", work, full(20), 1.2, tmp_path, ledger, part)


@pytest.mark.parametrize("name", FORGETFUL)
def test_controls(
    name: str, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = resumed_without(name, tmp_path, monkeypatch)
    ledger.control("R1", bool(found), f"a resume without its {name}")
