"""Device, threads, precision and determinism: what a setting means on this machine."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ftune.config.load import Language
from ftune.errors import ConfigError, RequestError
from ftune.runtime import threads
from ftune.runtime.device import available, choose
from ftune.runtime.precision import choose_precision
from ftune.runtime.schema import Runtime
from ftune.runtime.seeds import choose_determinism

CPU = torch.device("cpu")
CUDA = torch.device("cuda:0")


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:11", "mps"])
def test_devices_are_read(device: str) -> None:
    assert Language(Runtime).of({"device": device}).device == device


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cpu:0", "CUDA", "auto "])
def test_other_devices_are_refused(device: str) -> None:
    with pytest.raises(ConfigError, match="expected auto, cpu, cuda, cuda:N or mps"):
        Language(Runtime).of({"device": device})


def test_words_and_bounds_of_the_other_settings() -> None:
    read = Language(Runtime).of({"threads": 3, "deterministic": True, "env": ["HOME"]})
    assert (read.threads, read.deterministic, read.env) == (3, True, ["HOME"])
    assert Language(Runtime).of({}) == Runtime(threads="auto", deterministic="auto", env=[])
    wrong: dict[str, Any]
    for wrong in ({"threads": 0}, {"threads": "many"}, {"deterministic": "maybe"}, {"env": 5}):
        with pytest.raises(ConfigError):
            Language(Runtime).of(wrong)


def test_auto_is_the_first_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto") == torch.device(available()[0])
    assert choose("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose("auto") == choose("cuda") == CUDA
    assert choose("cuda:1") == torch.device("cuda:1")


def test_an_absent_device_is_said_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RequestError, match=r"finds no `cuda:7` on this machine; it finds .*cpu"):
        choose("cuda:7")


def test_threads_go_by_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 4)
    works = [0, threads.SHARE, 2 * threads.SHARE - 1, 2 * threads.SHARE, 3 * threads.SHARE, 10**12]
    assert [threads.choose_threads("auto", work) for work in works] == [1, 1, 1, 2, 3, 4]
    assert threads.choose_threads(7, 0) == 7


def test_fp32_has_no_context() -> None:
    precision = choose_precision("auto", CPU)
    assert precision.name == "fp32"
    assert precision.autocast() is precision.autocast()
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32
    assert precision.scaler() is None


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_mixed_precision_trains_on_the_cpu(name: str, dtype: torch.dtype) -> None:
    precision = choose_precision(name, CPU)
    layer = torch.nn.Linear(4, 4)
    with precision.autocast():
        output = layer(torch.ones(2, 4))
        assert output.dtype is dtype
    scaler = precision.scaler()
    assert (scaler is not None) == (name == "fp16") == precision.scales
    loss = output.float().square().mean()
    (scaler.scale(loss) if scaler else loss).backward()
    assert layer.weight.dtype is torch.float32
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("supported", "name"), [(True, "bf16"), (False, "fp32")])
def test_auto_on_cuda(monkeypatch: pytest.MonkeyPatch, supported: bool, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: supported)
    assert choose_precision("auto", CUDA).name == name
    if not supported:
        with pytest.raises(RequestError, match="no bf16; write fp16 or fp32"):
            choose_precision("bf16", CUDA)


@pytest.mark.parametrize(
    ("setting", "device", "on"),
    [("auto", CPU, True), ("auto", CUDA, False), (True, CUDA, True), (False, CPU, False)],
)
def test_determinism(setting: Any, device: torch.device, on: bool) -> None:
    try:
        assert choose_determinism(setting, device) is on
        assert torch.are_deterministic_algorithms_enabled() is on
        warns = on and setting == "auto"
        assert torch.is_deterministic_algorithms_warn_only_enabled() is warns
    finally:
        choose_determinism(False, CPU)
