"""A row becomes what seed, epoch and its number say, whatever else is in the batch."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ftune.data.images import uniform
from ftune.data.prepare import prepare
from ftune.data.schema import Data
from ftune.data.store import RngKey, Store

ReadData = Callable[..., Data]
Picture = Callable[..., bytes]
Folder = Callable[..., Path]

RANDOM: dict[str, list[Any]] = {
    "flip": ["flip"],
    "flip both": [{"flip": "both"}],
    "random_crop": [{"random_crop": {"padding": 4}}],
    "random_crop of any size": [{"random_crop": 24}],
    "random_resized_crop": [{"random_resized_crop": 24}],
    "rotate": [{"rotate": 30}],
    "rotate, then the middle": [{"rotate": 30}, {"center_crop": 20}],
    "affine": [{"affine": {"degrees": 20, "translate": 0.2, "scale": [0.7, 1.4], "shear": 9}}],
    "color_jitter": [
        {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.2}}
    ],
    "randaugment": [{"randaugment": {"ops": 3, "magnitude": 15}}],
    "erase": [{"erase": 0.9}],
    "erase with noise": [{"erase": {"probability": 0.9, "fill": "noise"}}],
    "all": [
        {"random_crop": {"padding": 3}}, "flip", {"color_jitter": {"hue": 0.3, "contrast": 0.5}},
        {"rotate": {"degrees": 20, "fill": 90}}, {"affine": {"translate": 0.1, "fill": 30}},
        "randaugment", "normalize", "erase",
    ],
}  # fmt: skip


@pytest.fixture
def train(read_data: ReadData, folder: Folder) -> Callable[..., Store]:
    """`train(transforms)` -> the training images, the first 20 by default."""

    def make(transforms: Any, **settings: Any) -> Store:
        path = settings.pop("path", None) or str(folder())
        split = {"val": 0, "test": 0}
        data = read_data(
            source="images", path=path, transforms=transforms, split=split, cache=False, **settings
        )
        return prepare(data, "classes", 0).train.inputs

    return make


def rows(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers)


def depends_on_the_batch(store: Store) -> bool:
    """Whether any row differs by a bit between batches of other sizes and orders."""
    whole = store.take(torch.arange(20), RngKey(3, 1))["x"]
    batches = [rows(5), rows(7, 5, 6), rows(*range(19, -1, -1)), rows(*range(0, 20, 3)), rows(5, 5)]
    return any(
        not torch.equal(store.take(batch, RngKey(3, 1))["x"], whole[batch]) for batch in batches
    )


@pytest.mark.parametrize("case", RANDOM)
def test_a_row_is_the_same_in_every_batch(train: Callable[..., Store], case: str) -> None:
    assert not depends_on_the_batch(train(RANDOM[case]))


@pytest.mark.parametrize("case", RANDOM)
def test_epochs_and_seeds_differ(train: Callable[..., Store], case: str) -> None:
    store, every = train(RANDOM[case]), torch.arange(20)
    first = store.take(every, RngKey(3, 1))["x"]
    assert torch.equal(first, store.take(every, RngKey(3, 1))["x"])
    for other in (RngKey(3, 2), RngKey(4, 1)):
        changed = (store.take(every, other)["x"] != first).flatten(1).any(1)
        assert changed.float().mean() > 0.2, other


@pytest.mark.parametrize("case", RANDOM)
def test_rows_do_not_share_their_randomness(
    train: Callable[..., Store], case: str, folder: Folder, picture: Picture
) -> None:
    same = folder({f"{n}/{i}.png": picture(0) for n in "ab" for i in range(10)})
    x = train(RANDOM[case], path=str(same)).take(torch.arange(20), RngKey(0, 0))["x"]
    different = {"flip": 2, "flip both": 4}.get(case, 11)
    assert len({tuple(image.flatten().tolist()) for image in x}) >= different


def test_transforms_do_not_share_their_randomness(train: Callable[..., Any]) -> None:
    store = train(["flip", "normalize", {"erase": {"probability": 0.5, "area": [0.3, 0.3]}}])
    streams = [stream for stream, _ in (*store.moving, *store.erase)]
    assert len(streams) == len(set(streams)) == 2


def test_randomness_of_the_batch_would_be_seen(
    train: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = uniform.uniforms

    def by_place(rng_key: RngKey, rows: Any, stream: int, count: int) -> Any:
        return real(rng_key, np.arange(len(rows)), stream, count)

    monkeypatch.setattr(uniform, "uniforms", by_place)
    assert depends_on_the_batch(train(RANDOM["rotate"]))


def test_images_of_several_sizes_do_not_disturb_one_another(
    train: Callable[..., Store], folder: Folder, picture: Picture
) -> None:
    mixed = folder({
        f"{n}/{i}.png": picture(i, 30 + 3 * i, 50 - i) for n in "ab" for i in range(10)
    })  # fmt: skip
    for transforms in (
        [{"resize": 32}, {"random_crop": 24}, "flip"],
        [{"resize": 32}, {"rotate": 20}, {"center_crop": 20}, {"color_jitter": {"contrast": 0.5}}],
        [{"random_resized_crop": 24}, "randaugment"],
        ["flip", {"affine": {"shear": 10}}, {"random_crop": 20}],
    ):
        assert not depends_on_the_batch(train(transforms, path=str(mixed)))


def test_evaluation_is_the_same_for_training_rows(
    read_data: ReadData, folder: Folder, picture: Picture
) -> None:
    files = {f"{n}/{i}.png": picture(i, 30 + i, 52 - i) for n in "ab" for i in range(10)}
    path = str(folder(files))
    for transforms in (
        [{"resize": 32}, {"random_crop": 24}, "flip", "normalize"],
        [{"random_resized_crop": 24}, "normalize"],
        [{"resize": 28}, {"rotate": 20}, {"center_crop": 20}, {"color_jitter": 0.4}, "erase"],
        [{"resize": [24, 20]}, {"pad": 30}, {"random_crop": {"size": 26, "padding": 2}}, "mixup"],
        "auto",
    ):
        split = {"val": 0, "test": 0}
        data = read_data(
            source="images", path=path, transforms=transforms, split=split, cache=False
        )
        made = prepare(data, "classes", 0)
        frame = data.source.load()["all"]
        alone = made.pipeline.inputs(frame)
        found, wanted = (store.take(torch.arange(20)) for store in (made.train.inputs, alone))
        assert set(found) == {"x"} and torch.equal(found["x"], wanted["x"])
        assert tuple(found["x"].shape[1:]) == made.pipeline.features.shape
        drawn = made.train.inputs.take(torch.arange(20), RngKey(0, 0))["x"]
        assert drawn.shape == found["x"].shape


def test_a_crop_shrinks_as_evaluation_does(train: Callable[..., Store], folder: Folder) -> None:
    """The whole image as the crop: what Pillow's resize makes of the file."""
    fine = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(fine).save(file, "PNG")
    path = str(folder({f"{n}/{i}.png": file.getvalue() for n in "ab" for i in range(3)}))
    cut = {"random_resized_crop": {"size": 20, "area": [1.0, 1.0], "ratio": [1.0, 1.0]}}
    made = train([{"resize": 60}, cut], path=path).take(rows(0, 4), RngKey(0, 0))["x"] * 255
    wanted = np.asarray(Image.fromarray(fine).resize((20, 20), Image.Resampling.BILINEAR))
    assert (made - torch.from_numpy(wanted.copy()).permute(2, 0, 1)).abs().max() <= 1.01
    by_scale = [{"resize": 60}, {"affine": {"scale": [1 / 3, 1 / 3]}}, {"center_crop": 20}]
    made = train(by_scale, path=path).take(rows(0, 4), RngKey(0, 0))["x"] * 255
    assert (made - torch.from_numpy(wanted.copy()).permute(2, 0, 1)).abs().max() <= 1.01


def test_pixels_are_those_of_the_file(
    train: Callable[..., Store], pixels: Callable[..., Any]
) -> None:
    x = train([]).take(rows(3, 0, 12))["x"]
    for image, seed in zip(x, (3, 0, 12), strict=True):
        wanted = torch.from_numpy(pixels(seed)).permute(2, 0, 1) / 255
        assert torch.equal(image, wanted)
    assert x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last)


def test_normalising_is_of_the_training_images(train: Callable[..., Store]) -> None:
    plain = train([]).take(torch.arange(20))["x"]
    fitted = train(["normalize"]).take(torch.arange(20))["x"]
    assert fitted.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (fitted.std(dim=(0, 2, 3), correction=0) - 1).abs().max() < 1e-5
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = (plain - mean[:, None, None]) / std[:, None, None]
    assert torch.allclose(
        train([{"normalize": "imagenet"}]).take(torch.arange(20))["x"], wanted, atol=1e-5
    )
    given = train([{"normalize": {"mean": [0.5] * 3, "std": [0.25] * 3}}]).take(rows(0))["x"]
    assert torch.allclose(given, (plain[:1] - 0.5) / 0.25, atol=1e-6)


def test_mixing_brings_partners_and_shares(train: Callable[..., Store]) -> None:
    found = train(["flip", "mixup", "cutmix"]).take(torch.arange(8), RngKey(0, 0))
    assert found["partner"].dtype == torch.int64 and found["share"].dtype == torch.float32
    assert found["share"].shape == (8,) and found["x"].is_contiguous(
        memory_format=torch.channels_last
    )


def test_digests_follow_the_content(
    train: Callable[..., Store], folder: Folder, picture: Picture
) -> None:
    def digest(store: Store) -> list[bytes]:
        parts: list[bytes] = []
        store.digest(parts.append)
        return parts

    first = digest(train(["flip", "normalize"]))
    assert digest(train(["flip", "normalize"])) == first
    assert digest(train(["normalize"])) != first
    (folder() / "a" / "3.png").write_bytes(picture(99))
    other = train(["flip", "normalize"], path=str(folder({})))
    assert digest(other) != first


def test_a_store_stays_where_it_is_on_a_cpu(train: Callable[..., Store]) -> None:
    store = train(["flip"])
    moved = store.to(torch.device("cpu"))
    assert torch.equal(moved.take(rows(1, 2))["x"], store.take(rows(1, 2))["x"])
    assert len(moved) == 20 and moved.lengths is None and moved.notes == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_store_on_a_device(train: Callable[..., Store]) -> None:
    for transforms in RANDOM.values():
        store = train(transforms)
        moved = store.to(torch.device("cuda"))
        x = moved.take(torch.arange(20), RngKey(0, 0))["x"]
        assert x.device.type == "cuda" and not depends_on_the_batch(moved)
        assert (x.cpu() - store.take(torch.arange(20), RngKey(0, 0))["x"]).abs().mean() < 0.01
