"""timm models. The library itself may be absent: then it must say so, and how to get it."""

from __future__ import annotations

import builtins
import sys
from types import ModuleType
from typing import Any

import pytest
from torch import nn

from ftune.config.fields import settings_of
from ftune.config.load import Language
from ftune.errors import MissingExtraError, RequestError
from ftune.models import MODELS
from ftune.models.shapes import Axis, Inputs
from ftune.models.timm import Timm

IMAGE = Inputs((3, 8, 8))


class Library(ModuleType):
    """Answers as timm does; what it was asked for is noted."""

    def __init__(self) -> None:
        super().__init__("timm")
        self.asked: dict[str, Any] = {}

    def create_model(self, name: str, **asked: Any) -> nn.Module:
        self.asked = {"name": name, **asked}
        if name != "small":
            raise RuntimeError(f"Unknown model ({name})")
        model: Any = nn.Sequential(nn.Flatten(), nn.Linear(192, asked["num_classes"]))
        model.get_classifier = lambda: model[1]
        return model  # type: ignore[no-any-return]

    def list_models(self, pattern: str) -> list[str]:
        return ["small", "smaller"] if "sma" in pattern else []


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    found = Library()
    monkeypatch.setitem(sys.modules, "timm", found)
    return found


def test_its_settings_are_read_without_timm() -> None:
    assert list(settings_of(MODELS["timm"])) == ["model", "pretrained", "dropout"]
    assert Language(Timm).of({"model": "resnet18"}) == Timm("resnet18")


def test_its_settings_reach_timm(library: Library) -> None:
    built = Timm("small", pretrained=True, dropout=0.2).build(IMAGE, 5)
    assert library.asked == {"name": "small", "pretrained": True, "num_classes": 5,
                             "in_chans": 3, "drop_rate": 0.2}  # fmt: skip
    assert built.head == "1"
    assert built.axes == dict.fromkeys(("1.weight", "1.bias"), (Axis(0, (), "output"),))


def test_what_timm_does_not_know_is_said(library: Library) -> None:
    with pytest.raises(RequestError, match=r"model=sma: Unknown model \(sma\); timm has small, s"):
        Timm("sma").build(IMAGE, 5)
    with pytest.raises(RequestError, match=r"expects images .* the data are \[7\]"):
        Timm("small").build(Inputs((7,)), 5)
    assert library.asked["name"] == "sma"


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (ModuleNotFoundError("no", name="timm"), MissingExtraError, r"pip install 'ftune\[timm\]'"),
        (ModuleNotFoundError("no", name="torchvision"), RequestError, "timm needs torchvision"),
        (RuntimeError("operator nms\nlong"), RequestError, "does not start: operator nms$"),
    ],
)
def test_a_timm_that_cannot_be_imported(
    fault: Exception, kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = builtins.__import__

    def importing(name: str, *rest: Any) -> Any:
        if name == "timm":
            raise fault
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(kind, match=said):
        Timm("resnet18").build(IMAGE, 5)
