"""The user's own parts: decorators that register them, and `--code`, which runs the file.

    @ftune.model("tiny")
    def tiny(outputs, width: int = 32) -> nn.Module: ...

Parameters with a default or an annotation become settings of the configuration (`model: {name:
tiny, width: 64}`); `inputs` and `outputs` are given by ftune. Importing this loads nothing heavy.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TypeVar

from ftune.config.explain import key_homes
from ftune.data import SOURCES, TRANSFORMS
from ftune.errors import RequestError
from ftune.extend.losses import own_loss
from ftune.extend.metrics import own_metric
from ftune.extend.modules import own_layer, own_model
from ftune.extend.objectives import own_objective
from ftune.extend.signature import faults_of, place
from ftune.extend.sources import own_source
from ftune.extend.tables import own_transform
from ftune.models import LAYERS, MODELS
from ftune.registry import Table
from ftune.tasks import LOSSES, METRICS, OBJECTIVES
from ftune.tasks.protocol import DIRECTIONS

__all__ = ["layer", "load_code", "loss", "metric", "model", "objective", "source", "transform"]

Made = TypeVar("Made", bound=Callable[..., Any])

_BUILT_IN_LOSSES = ("cross_entropy", "mse", "mae", "huber")
_loaded: dict[Path, str] = {}
_registered: list[str] = []


def model(name: str, head: str | None = None) -> Callable[[Made], Made]:
    """Registers a class or function that gives an `nn.Module`: `model: {name: …, settings}`.

    It may take `inputs` (ftune.models.shapes.Inputs: shape, names, vocabulary, …) and `outputs`,
    the size that its output must have. head: the dotted name of the output layer; by default
    `head`, `classifier`, `fc` or the last linear layer. Texts call `forward(x, segments)`.
    """
    return _decorator("model", name, lambda made: own_model(made, head), MODELS)


def layer(name: str) -> Callable[[Made], Made]:
    """Registers a class or function that gives an `nn.Module`, as a layer of `sequential`.

    It may take `inputs` (what reaches it; `inputs.shape` is without the batch) and `outputs`.
    """
    return _decorator("layer", name, own_layer, LAYERS)


def transform(name: str) -> Callable[[Made], Made]:
    """Registers a transform of columns of numbers, under `data.transforms`.

    A function takes the values, an array [rows] or [rows, …], and gives as many. A class may have
    `fit(values) -> dict` (JSON), `apply(values, state)` and `invert(values, state)`.
    """
    return _decorator("transform", name, own_transform, TRANSFORMS)


def source(name: str, kinds: Mapping[str, str] | None = None) -> Callable[[Made], Made]:
    """Registers a function that gives rows, under `data.source`.

    A mapping of columns (lists or arrays), or one of such mappings by part: train, val, test.
    kinds: columns that are a `sequence` (each row [steps] or [steps, features]) or an `image`
    (uint8 [height, width, channels], or a path). A parameter `path` lets it read new rows.
    """
    return _decorator("source", name, lambda made: own_source(name, made, kinds or {}), SOURCES)


def loss(name: str) -> Callable[[Made], Made]:
    """Registers a loss, `task: {loss: …}`: (outputs, y) -> the loss of each row, [rows]."""
    return _decorator("loss", name, lambda made: own_loss(name, made))


def metric(name: str, *, greater_is_better: bool) -> Callable[[Made], Made]:
    """Registers a metric, `eval: {metrics: [name]}` or `eval: {metric: name}`.

    A function of `predictions` and `targets` (or scikit-learn's `y_true` and `y_pred`), arrays of
    all rows of a split, and if it likes `probabilities` and `classes`; it gives one number. Or a
    class with `update` of the same, a batch at a time, and `compute()`.
    """

    def schema(made: Callable[..., Any]) -> type:
        if name in DIRECTIONS or name == "auto":
            raise RequestError(f"{place(made)}: a metric `{name}` exists already; choose another")
        return own_metric(name, made, greater_is_better)

    return _decorator("metric", name, schema, METRICS)


def objective(name: str) -> Callable[[Made], Made]:
    """Registers what a step minimises, `train: {objective: name}`: (forward, batch) -> the loss.

    `outputs, batch = forward(batch)` is a forward pass; there may be several, on changed batches.
    It returns the sum of the losses (no mean), their weight (as the number of rows), and if it
    likes a mapping of named parts of that sum, which metrics.jsonl then shows. Evaluations go by
    the metrics of the task.
    """
    return _decorator("objective", name, lambda made: own_objective(name, made), OBJECTIVES)


def _decorator(
    kind: str, name: Any, own: Callable[[Any], Any], table: Table | None = None
) -> Callable[[Made], Made]:
    """Return the decorator that lists `own(made)` by name: in a table, or among the losses."""
    if not isinstance(name, str):  # without brackets it would register nothing, and silently
        where = f"{place(name)}: " if callable(name) else ""
        raise RequestError(f"{where}write @ftune.{kind}('name'), with the name it shall have")

    def register(made: Made) -> Made:
        listed = own(made)
        if table is None:
            _check_name(name, kind, [*_BUILT_IN_LOSSES, *LOSSES], made)
            LOSSES[name] = listed
        else:
            _check_name(name, table.block, list(table), made)
            table.add(name, listed)
        key_homes.cache_clear()  # which keys there are, for messages
        _registered.append(name)
        return made

    return register


def _check_name(name: str, block: str, taken: list[str], made: Callable[..., Any]) -> None:
    if not re.fullmatch(r"[A-Za-z]\w*(-\w+)*", name, re.ASCII):
        raise RequestError(
            f"{place(made)}: `{name}` is no name for a {block}; it has letters, digits, _ and -"
        )
    if name in taken:
        raise RequestError(f"{place(made)}: a {block} `{name}` exists already; choose another name")


def load_code(path: str | Path) -> None:
    """Runs a file of the user's, which registers parts. The same file twice is run once.

    Its folder can be imported from. Raises RequestError with file, line and what went wrong.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise RequestError(f"--code {path}: no such file")
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    known = _loaded.setdefault(file, digest)
    if known != digest:
        raise RequestError(f"--code {path}: has changed since it was run; start a new process")
    name = f"_ftune_code_{digest[:12]}"
    if name in sys.modules:
        return
    before = len(_registered)
    try:
        _run(file, name)
        if len(_registered) == before:
            raise RequestError(
                f"--code {path}: registers nothing; write @ftune.model('name') above a class or "
                "function, for example"
            )
    except BaseException:
        sys.modules.pop(name, None)
        del _loaded[file]
        raise


def loaded_code() -> list[dict[str, str]]:
    """The files that `--code` has run in this process, for the run's record."""
    return [{"file": str(file), "sha256": digest} for file, digest in _loaded.items()]


def _run(file: Path, name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise RequestError(f"--code {file}: is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    modules: MutableMapping[str, Any] = sys.modules
    modules[name] = module
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    with faults_of(str(file)):
        try:
            spec.loader.exec_module(module)
        except SystemExit as error:
            raise RequestError(f"{file}: ends the program ({error})") from None
