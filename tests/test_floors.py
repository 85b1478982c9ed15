"""Imports only go down: every import of the package against the floors of the house."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "ftune"

FLOORS = [
    {"registry", "errors", "log_suppression", "hub", "places", "batch"},
    {"security", "record"},
    {"console"},
    {"config"},
    {"data", "models", "adapt", "tasks", "optim", "runtime"},
    {"objectives", "distributed"},
    {"schema", "runs", "extend", "frozen_prefix"},
    {"engine"},
    {"assembly"},
    {"training", "predictor"},
    {"plan"},
    {"search", "exports", "structure"},
    {"report"},
    {"commands"},
    {"cli_options"},
    {"cli_run"},
    {"library", "cli", ""},
    {"__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ONLY_IN_CONFIG = {"omegaconf", "yaml"}
HEAVY = (
    "torch", "numpy", "pyarrow", "sklearn", "optuna", "safetensors", "matplotlib",
    "transformers", "tokenizers", "peft", "kornia", "PIL", "onnx", "torchao", "timm",
)  # fmt: skip


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file, functions and TYPE_CHECKING included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            yield node.module
            if node.module == "ftune":
                yield from (f"ftune.{name.name}" for name in node.names)


def sources(package: Path) -> dict[str, str]:
    """`data/sources/csv.py` -> its text."""
    return {
        str(file.relative_to(package)): file.read_text(encoding="utf-8")
        for file in sorted(package.rglob("*.py"))
    }


def room_of(file: str) -> str:
    """`data/sources/csv.py` -> `data`; `build.py` -> `build`; the package's `__init__` -> ``."""
    room = Path(file).parts[0].removesuffix(".py")
    return "" if room == "__init__" else room


def violations(files: Mapping[str, str]) -> list[str]:
    """In words, every import that does not go down."""
    found = []
    for file, text in files.items():
        room = room_of(file)
        if room not in FLOOR_OF:
            found.append(f"{file}: the room `{room}` has no floor")
            continue
        for name in imports_of(ast.parse(text)):
            found += [f"{file}: imports {name}: {why}" for why in _faults(room, name)]
    return found


def _faults(room: str, name: str) -> Iterator[str]:
    top, *inner = name.split(".")
    if top in ONLY_IN_CONFIG and room != "config":
        yield "only config/ reads YAML"
    if top != "ftune" or not inner or inner[0] == room:
        return
    other = inner[0]
    if other not in FLOOR_OF:
        yield f"the room `{other}` has no floor"
    elif FLOOR_OF[other] > FLOOR_OF[room]:
        yield f"`{other}` is above"
    elif FLOOR_OF[other] == FLOOR_OF[room] and room not in ("", "cli", "library", "schema", "runs"):
        yield f"`{other}` is on the same floor"


def test_imports_only_go_down() -> None:
    assert violations(sources(PACKAGE)) == []


def test_every_room_is_on_a_floor_and_every_floor_is_read() -> None:
    rooms = {room_of(file) for file in sources(PACKAGE)}
    assert rooms <= set(FLOOR_OF)
    assert rooms | {"structure"} == set(FLOOR_OF)


def test_a_house_with_crooked_floors_is_found() -> None:
    crooked = {
        "data/a.py": "from ftune.models import MODELS",
        "models/b.py": "def f():\n    import ftune.schema",
        "optim/c.py": "if TYPE_CHECKING:\n    from ftune import build",
        "config/d.py": "from ftune.console import Console\nimport omegaconf",
        "engine/e.py": "import yaml",
        "registry.py": "from ftune.config.tree import Mark",
        "errors.py": "from ftune.console import Console",
        "attic/f.py": "",
        "commands/g.py": "from ftune.engine.loop import fit",
    }
    found = violations(crooked)
    assert [line.partition(":")[0] for line in found] == [
        "data/a.py", "models/b.py", "optim/c.py", "engine/e.py", "registry.py", "errors.py",
        "attic/f.py",
    ]  # fmt: skip


def circles(files: Mapping[str, str]) -> list[str]:
    """Return the import circles, each as `ftune.a <-> ftune.b`; TYPE_CHECKING counts.

    A package counts as its `__init__`; `from ftune.a import b` goes to `ftune.a.b` where that is a
    module, else to `ftune.a`.
    """
    modules = {_module(file): text for file, text in files.items()}
    ways = {name: set(_modules_named(ast.parse(text), modules)) for name, text in modules.items()}
    reach = {name: _reachable(name, ways) for name in modules}
    groups = {
        tuple(sorted(other for other in reach[name] if name in reach[other]))
        for name in modules
        if name in reach[name]
    }
    return [" <-> ".join(group) for group in sorted(groups)]


def _modules_named(tree: ast.AST, modules: Container[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in modules)
        elif isinstance(node, ast.ImportFrom):
            whole = [f"{node.module}.{name.name}" for name in node.names]
            paths = [path if path in modules else str(node.module) for path in whole]
            yield from (path for path in paths if path in modules)


def _module(file: str) -> str:
    return ".".join(["ftune", *Path(file).with_suffix("").parts]).removesuffix(".__init__")


def _reachable(start: str, ways: Mapping[str, set[str]]) -> set[str]:
    reached, waiting = set[str](), list(ways[start])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += ways[name]
    return reached


def test_no_modules_import_one_another() -> None:
    assert circles(sources(PACKAGE)) == []


def test_a_circle_is_found() -> None:
    crooked = {
        "__init__.py": "",
        "a/__init__.py": "TABLE = {}",
        "a/b.py": "from ftune.a import TABLE\nfrom ftune.a.c import f",
        "a/c.py": "if TYPE_CHECKING:\n    from ftune.d import g",
        "d.py": "def g():\n    from ftune.a import b",
        "e.py": "from ftune import d\nfrom ftune.a.b import f",
    }
    assert circles(crooked) == ["ftune.a.b <-> ftune.a.c <-> ftune.d"]
    assert circles(crooked | {"d.py": ""}) == []


def reads_of_config(files: Mapping[str, str]) -> list[str]:
    """Return every read of `config` of a `Parts` above assembly, by whatever name it goes."""
    reads = []
    for file, text in files.items():
        tree, above = ast.parse(text), FLOOR_OF[room_of(file)] > FLOOR_OF["assembly"]
        names = {"parts", *_names_of_parts(tree)}
        reads += [
            f"{file}:{node.lineno}: {ast.unparse(node)}"
            for node in ast.walk(tree)
            if above and isinstance(node, ast.Attribute) and node.attr == "config"
            if ast.unparse(node.value).rpartition(".")[2] in names or _makes_parts(node.value)
        ]
    return reads


def _names_of_parts(tree: ast.AST) -> Iterator[str]:
    """Yield what is declared as `Parts`, or assigned from what makes or holds them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
            if "Parts" in ast.unparse(node.annotation):
                yield name
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = zip(_each(target), _each(node.value), strict=False)
                yield from (ast.unparse(name) for name, value in pairs if _makes_parts(value))


def _each(value: ast.expr) -> list[ast.expr]:
    return value.elts if isinstance(value, ast.Tuple) else [value]


def _makes_parts(value: ast.expr) -> bool:
    text = ast.unparse(value.func if isinstance(value, ast.Call) else value)
    return text == "build" if isinstance(value, ast.Call) else text.rpartition(".")[2] == "parts"


def test_nothing_above_assembly_reads_the_configuration_of_parts() -> None:
    assert reads_of_config(sources(PACKAGE)) == []


def test_a_read_by_another_name_is_found() -> None:
    crooked = {
        "training/a.py": "def f(parts):\n    config = parts.config",
        "search/b.py": "def f(run):\n    return run.parts.config.train",
        "commands/c.py": "def f(p: Parts):\n    return p.config",
        "search/d.py": "def f(run):\n    one, built = 1, run.parts\n    return built.config",
        "commands/e.py": "def f():\n    return build(c, d).config",
        "training/f.py": "def f(run, config):\n    return run.config, config.train",
        "assembly/g.py": "def f(parts):\n    return parts.config",
    }
    reads = reads_of_config(crooked)
    assert [line.partition(":")[0] for line in reads] == [
        "training/a.py", "search/b.py", "commands/c.py", "search/d.py", "commands/e.py",
    ]  # fmt: skip


LOAD_EVERY_VARIANT = """
import sys
import ftune.schema.root
from ftune.config.document import json_schema
from ftune.config.explain import key_homes
json_schema(ftune.schema.root.RunConfig)
assert key_homes(ftune.schema.root.RunConfig)
from ftune.data import SOURCES, TRANSFORMS
from ftune.models import LAYERS, MODELS
from ftune.optim import OPTIMIZERS, SCHEDULES
from ftune.tasks import TASKS
for table in (SOURCES, TRANSFORMS, LAYERS, MODELS, OPTIMIZERS, SCHEDULES, TASKS):
    assert [table[name] for name in table]
{extra}
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def _modules_after(extra: str = "") -> set[str]:
    code = LOAD_EVERY_VARIANT.format(extra=extra)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_every_schema_is_read_without_heavy_packages() -> None:
    loaded = _modules_after()
    assert "omegaconf" in loaded
    assert not loaded.intersection(HEAVY)


def test_a_heavy_import_would_be_seen() -> None:
    assert _modules_after("import ftune.data.tables").intersection(HEAVY)
