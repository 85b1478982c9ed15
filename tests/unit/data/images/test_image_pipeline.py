"""From a folder to batches and back: fitted, stored, restored, and the real data sets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ftune.data import TRANSFORMS
from ftune.data import pipeline as pipelines
from ftune.data.dataset import fingerprint
from ftune.data.images import decode
from ftune.data.images import read as reading
from ftune.data.images.pipeline import ImagePipeline
from ftune.data.images.plan import fault_in, planned
from ftune.data.new_rows import new_rows
from ftune.data.prepare import prepare
from ftune.data.schema import Data
from ftune.data.store import RngKey
from ftune.data.transforms.crop import CenterCrop, RandomCrop, RandomResizedCrop
from ftune.data.transforms.resize import Resize
from ftune.errors import CheckpointError, ConfigError, DataError

ReadData = Callable[..., Data]
Picture = Callable[..., bytes]
Folder = Callable[..., Path]
SHARED = Path(__file__).resolve().parents[4] / "../shared/data"
EVERY = torch.arange(5)


@pytest.fixture
def photos(folder: Folder, picture: Picture) -> Path:
    """Twenty images of several sizes, the largest above 64 pixels."""
    return folder(
        {f"{n}/{i}.jpg": picture(i, 70 + 3 * i, 90, "JPEG") for n in "ab" for i in range(10)}
    )


def test_auto_follows_the_size(
    read_data: ReadData, photos: Path, picture: Picture, tmp_path: Path
) -> None:
    def shape(path: Path) -> tuple[int, ...]:
        data = read_data(source="images", path=str(path), cache=False)
        return prepare(data, "classes", 0).pipeline.features.shape

    def small(name: str, *sizes: tuple[int, int]) -> Path:
        for k, size in enumerate(sizes):
            for label in "ab":
                file = tmp_path / name / label / f"{k}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(picture(k, *size))
        return tmp_path / name

    assert shape(photos) == (3, 224, 224)
    assert shape(small("same", *[(64, 48)] * 5)) == (3, 64, 48)
    assert shape(small("several", *[(20 + k, 64) for k in range(5)])) == (3, 24, 24)


def test_auto_stands_for_these(read_data: ReadData, photos: Path) -> None:
    def batch(transforms: Any) -> torch.Tensor:
        data = read_data(source="images", path=str(photos), transforms=transforms, cache=False)
        return prepare(data, "classes", 0).train.inputs.take(EVERY, RngKey(0, 0))["x"]

    assert torch.equal(batch("auto"), batch([{"resize": 256}, {"center_crop": 224}, "normalize"]))
    assert torch.equal(
        batch(["auto", "flip", "erase"]),
        batch([{"resize": 256}, {"center_crop": 224}, "flip", "normalize", "erase"]),
    )


@pytest.mark.parametrize(
    "transforms",
    ["auto", [{"random_resized_crop": 32}, "flip", "normalize", "mixup"],
     [{"resize": [30, 20]}, {"grayscale": 1}, {"normalize": "train"}]],
)  # fmt: skip
def test_it_is_the_same_after_json(read_data: ReadData, photos: Path, transforms: Any) -> None:
    data = read_data(source="images", path=str(photos), transforms=transforms, cache=False)
    made = prepare(data, "classes", 0)
    stored = json.loads(json.dumps(made.pipeline.to_json()))
    again = pipelines.restore(stored, made.pipeline.arrays())
    assert isinstance(again, ImagePipeline) and again == made.pipeline and again.cache is None
    resumed = prepare(data, "classes", 0, fitted=again)
    assert fingerprint(resumed) == fingerprint(made)
    for rng_key in (None, RngKey(1, 2)):
        x, y = (d.train.batch(EVERY, rng_key) for d in (made, resumed))
        assert all(torch.equal(x[name], y[name]) for name in x)
    with pytest.raises(CheckpointError, match="version 9"):
        pipelines.restore(stored | {"version": 9}, {})
    assert str(photos) not in json.dumps(stored)


def test_a_base_keeps_its_normalisation(
    read_data: ReadData, photos: Path, picture: Picture, tmp_path: Path
) -> None:
    def made(prior: Any = None, path: Path = photos, **settings: Any) -> ImagePipeline:
        data = read_data(source="images", path=str(path), cache=False, **settings)
        found = prepare(data, "classes", 0, prior=prior).pipeline
        assert isinstance(found, ImagePipeline)
        return found

    base = made(transforms=[{"random_resized_crop": 40}, {"normalize": "imagenet"}])
    for label in "ab":
        (tmp_path / "new" / label).mkdir(parents=True)
        for i in range(5):
            (tmp_path / "new" / label / f"{i}.png").write_bytes(picture(70 + i, 50, 50))
    new = made(base, tmp_path / "new")
    assert new.scale == base.scale and new.features.shape == base.features.shape == (3, 40, 40)
    assert any("`auto` is what the base does" in note for note in new.notes)
    fitted = made(base, tmp_path / "new", transforms=["normalize"])
    assert fitted.scale != base.scale and fitted.features.shape == (3, 50, 50)
    refit = made(base, tmp_path / "new", statistics="refit")
    assert refit.scale != base.scale and refit.features.shape == (3, 50, 50)
    given = made(base, tmp_path / "new", transforms=[{"normalize": {"mean": [0.5], "std": [0.5]}}])
    assert given.scale == ([0.5], [0.5])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ([{"resize": [20, 20]}, "normalize"], [{"resize": [20, 20]}, "flip", "normalize"], ""),
        ([{"random_resized_crop": 28}, "normalize"],
         [{"resize": 32}, {"center_crop": 28}, "normalize"], ""),
        ([{"resize": [20, 20]}, "normalize"], [{"resize": [10, 10]}, "normalize"],
         "here after resize {size: [10, 10]}, in the base after resize {size: [20, 20]}"),
        ([{"resize": [20, 20]}, {"normalize": "imagenet"}], [{"resize": [20, 20]}, "normalize"],
         "mean train, in the base imagenet"),
        ([{"resize": [20, 20]}], [{"resize": [20, 20]}, "normalize"], "the base has none"),
    ],
)  # fmt: skip
def test_mean_and_std_stay_only_after_the_same_shapes(
    old: Any, new: Any, why: str, read_data: ReadData, photos: Path, picture: Picture,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Augmentation apart, which evaluation does not do. The reference is numpy on the pixels."""
    for label in "ab":
        (tmp_path / "new" / label).mkdir(parents=True)
        for i in range(5):
            (tmp_path / "new" / label / f"{i}.png").write_bytes(picture(70 + i, 64, 48))

    def made(path: Path, transforms: Any, prior: Any = None) -> Any:
        data = read_data(source="images", path=str(path), transforms=transforms, cache=False)
        return prepare(data, "classes", 0, prior=prior)

    base = made(photos, old).pipeline
    tuned = made(tmp_path / "new", new, base)
    if not why:
        assert tuned.pipeline.scale == base.scale
        assert tuned.pipeline.notes == ("statistics of the base kept: `image`.",)
        assert made(tmp_path / "new", new).pipeline.scale != base.scale
        return
    (note,) = tuned.pipeline.notes
    assert note == f"statistics fitted on the new rows: normalize of `image` ({why})."
    plain = tuned.train.inputs.take(torch.arange(len(tuned.train)), None)["x"]
    assert plain.mean((0, 2, 3)).abs().max() < 1e-5
    assert (plain.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5


def test_auto_adds_no_normalisation_that_the_base_lacks(read_data: ReadData, photos: Path) -> None:
    """Else the inputs of the base's weights would be in another unit."""

    def made(transforms: Any, prior: Any = None) -> Any:
        data = read_data(source="images", path=str(photos), transforms=transforms, cache=False)
        return prepare(data, "classes", 0, prior=prior)

    base = made([{"resize": [20, 20]}])
    tuned = made("auto", base.pipeline)
    assert tuned.pipeline.scale is None and tuned.pipeline.features == base.pipeline.features
    (note,) = tuned.pipeline.notes
    assert note == "transforms: `auto` is what the base does: resize {size: [20, 20]}."
    assert made("auto").pipeline.scale is not None


def test_numbers_are_predicted_from_a_table_of_paths(
    read_data: ReadData, photos: Path, tmp_path: Path
) -> None:
    lines = [f"{photos.name}/a/{i}.jpg,{10.0 * i + 3}" for i in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(["file,weight", *lines]))
    data = read_data(
        source="csv", path=str(tmp_path / "t.csv"), image="file", target="weight", cache=False,
        transforms=[{"resize": [16, 20]}, "normalize"], target_transforms=["standardize"],
        split={"val": 2, "test": 0},
    )  # fmt: skip
    made = prepare(data, "numbers", 0)
    assert made.pipeline.columns == {"file": "text"} and made.pipeline.codes == {}
    batch = made.train.batch(torch.arange(8))
    assert batch["x"].shape == (8, 3, 16, 20) and batch["y"].abs().max() < 2
    back = made.pipeline.invert(batch["y"])
    assert torch.allclose(back[:, 0], (made.train.rows - 1) * 10.0 + 3, atol=1e-3)
    again = pipelines.restore(made.pipeline.to_json(), made.pipeline.arrays())
    assert torch.equal(again.invert(batch["y"]), back)
    folder = again.conform(data.source.read(str(tmp_path / "t.csv")))
    assert list(folder.columns) == ["file"]


def test_what_is_predicted_may_be_a_folder_or_a_file(read_data: ReadData, photos: Path) -> None:
    data = read_data(
        source="images", path=str(photos), transforms=[{"resize": [16, 16]}], cache=False
    )
    pipeline = prepare(data, "classes", 0).pipeline
    for path, count in ((photos / "a", 10), (photos / "a" / "1.jpg", 1), (photos, 20)):
        frame = data.source.read(str(path))
        assert len(pipeline.inputs(frame)) == count
    assert len(new_rows(data, photos / "b" / "2.jpg", pipeline).frame) == 1


def test_decoding_happens_once(
    read_data: ReadData, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, count = reading.read, [0]

    def counted(*given: Any) -> Any:
        count[0] += 1
        return read(*given)

    monkeypatch.setattr(decode, "read", counted)
    for cache, expected in ((False, (20, 20)), (str(tmp_path / "kept"), (20, 0))):
        for wanted in expected:
            count[0] = 0
            data = read_data(
                source="images", path=str(photos), transforms=[{"resize": [16, 16]}, "normalize"],
                cache=cache,
            )  # fmt: skip
            made = prepare(data, "classes", 0)
            assert count[0] == wanted
    resumed = prepare(data, "classes", 0, fitted=made.pipeline.cached(data.cache))
    assert count[0] == 0 and fingerprint(resumed) == fingerprint(made)
    assert all(isinstance(part.inputs.pixels.flat, np.memmap) for part in made.splits.values())  # type: ignore[attr-defined]


def names(steps: Any) -> list[str]:
    return [type(step).__name__ for step in steps]


def test_an_order_is_checked_without_heavy_packages() -> None:
    code = "import sys, ftune.data.images.plan; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "PIL"}.intersection(run.stdout.split())
    assert "ftune.data.images.plan" in run.stdout


def test_plans() -> None:
    kinds = TRANSFORMS
    resize, flip, normalize = Resize(32), kinds["flip"](), kinds["normalize"]()
    plan = planned([resize, RandomCrop(28), normalize, flip, kinds["erase"](), kinds["mixup"]()])
    assert plan.decode == (resize,) and plan.plain == (resize, CenterCrop(28))
    assert plan.finish == (CenterCrop(28),) and names(plan.moving) == ["RandomCrop", "Flip"]
    assert (
        plan.normalize is normalize
        and names(plan.erase) == ["Erase"]
        and names(plan.mix) == ["Mixup"]
    )
    plan = planned([RandomResizedCrop(224), flip])
    assert plan.finish is None and plan.plain == (Resize(256), CenterCrop(224))
    assert names(plan.decode) == ["Bounded"] and plan.decode[0].short == 336
    plan = planned([Resize(100), RandomResizedCrop(64)])
    assert plan.decode == (Resize(100),)
    plan = planned([RandomCrop(padding=4), flip])
    assert (plan.decode, plan.plain, plan.finish) == ((), (), ())


def test_what_random_resized_crop_cuts_from_is_bounded() -> None:
    from PIL import Image

    (bounded,) = planned([RandomResizedCrop([20, 10])]).decode
    sizes = {(100, 50): (60, 30), (25, 20): (25, 20), (40, 400): (30, 60), (90, 20): (40, 20)}
    for size, wanted in sizes.items():
        assert bounded.on_image(Image.new("RGB", size)).size == wanted


@pytest.mark.parametrize(
    ("listed", "wrong"),
    [
        (["flip", {"resize": 8}], "`resize` cannot stand after `flip`"),
        (["normalize", "normalize"], "`normalize` cannot stand after `normalize`"),
        (["normalize", "randaugment"], "`randaugment` cannot stand after `normalize`"),
        (["erase", "flip"], "`flip` cannot stand after `erase`"),
        (["mixup", "erase"], "`erase` cannot stand after `mixup`"),
        (["mixup", {"random_crop": 8}], "`random_crop` cannot stand after `mixup`"),
        (["one_hot", "flip", "impute"], "`one_hot` is not for images"),
        (["grayscale", {"color_jitter": {"hue": 0.1}}], "colours that `grayscale` removed"),
        ([{"resize": 8}, "flip", {"center_crop": 8}, "normalize", "erase", "mixup", "cutmix"], ""),
        (["normalize", "flip", {"rotate": 3}, "erase"], ""),
        ([{"grayscale": 3}, {"color_jitter": {"hue": 0.1}}], ""),
        (["grayscale", {"color_jitter": 0.1}], ""),
        (["auto", "flip", "erase"], ""),
    ],
)
def test_orders(read_data: ReadData, listed: list[Any], wrong: str) -> None:
    if wrong:
        with pytest.raises(ConfigError) as caught:
            read_data(source="images", path="x", transforms=listed)
        assert wrong in str(caught.value)
    else:
        assert not fault_in(read_data(source="images", path="x", transforms=listed).steps)


@dataclass(frozen=True)
class Real:
    name: str
    shape: tuple[int, int, int]
    rows: dict[str, int]
    classes: int


@pytest.mark.parametrize(
    "real",
    [
        Real("hymenoptera", (3, 224, 224), {"train": 244, "val": 153}, 2),
        Real("cifar10/test", (3, 32, 32), {"train": 700, "val": 100, "test": 200}, 10),
    ],
)
def test_real_photographs(read_data: ReadData, tmp_path: Path, real: Real) -> None:
    path = SHARED / real.name
    if not path.is_dir():
        pytest.skip(f"{path} is not there")
    made = prepare(read_data(source="images", path=str(path), cache=str(tmp_path)), "classes", 0)
    assert made.pipeline.features.shape == real.shape
    assert {name: len(part) for name, part in made.splits.items()} == real.rows
    assert len(made.pipeline.target.classes) == real.classes
    batch = made.train.batch(torch.arange(0, real.rows["train"], 10), RngKey(0, 0))
    assert abs(float(batch["x"].mean())) < 0.3 and 0.7 < float(batch["x"].std()) < 1.3
    assert len(set(batch["y"].tolist())) == real.classes


def test_sizes_that_do_not_fit_the_model(
    read_data: ReadData, folder: Folder, picture: Picture, tmp_path: Path
) -> None:
    data = read_data(source="images", path=str(folder()), transforms=["normalize"], cache=False)
    pipeline = prepare(data, "classes", 0).pipeline
    (tmp_path / "other.png").write_bytes(picture(0, 20, 40))
    with pytest.raises(DataError, match="40 × 20 pixels, but the model takes 32 × 32"):
        pipeline.inputs(data.source.read(str(tmp_path / "other.png")))
