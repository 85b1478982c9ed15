"""Calls that may run what a file says, found in the syntax tree under whatever name."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve",
           "jsonpickle", "pickle5", "torch.package", "pty", "code"}  # fmt: skip
"""What is not even imported: their only use is to run what they read."""
CALLS = {
    "torch.load", "torch.serialization.load", "torch.jit.load", "torch.hub.load",
    "torch.hub.load_state_dict_from_url", "torch.export.load",
    "torch.distributed.checkpoint.load", "torch.distributed.checkpoint.load_state_dict",
    "torch.distributed.checkpoint.format_utils.dcp_to_torch_save", "torch.classes.load_library",
    "torch.ops.load_library", "ctypes.CDLL", "ctypes.cdll.LoadLibrary",
    "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all",
    "yaml.full_load_all", "eval", "exec", "compile", "builtins.eval", "builtins.exec",
    "os.system", "os.popen", "os.execv", "os.execvp", "os.spawnl", "os.startfile",
    "runpy.run_path", "runpy.run_module", "importlib.util.spec_from_file_location",
    "importlib.machinery.SourceFileLoader", "tempfile.mktemp", "shutil.unpack_archive",
    "pandas.read_pickle", "pandas.eval", "code.interact", "logging.config.dictConfig",
}  # fmt: skip
"""Never, by whatever name they are imported."""
METHODS = {"extractall", "extract", "exec_module", "load_module", "load_pickle", "read_pickle"}
"""Of any object: archives that are unpacked where they say, loaders that run modules."""


def risky(text: str) -> Iterator[tuple[int, str]]:
    """(line, call) of everything in a file that might run, or write, what another file says."""
    tree = ast.parse(text)
    names = dict(_imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node.lineno, f"import {name}") for name in _forbidden(node))
        elif isinstance(node, ast.Call):
            found = _judged(node, _dotted(node.func, names), names)
            if found:
                yield node.lineno, found
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            dotted = _dotted(node, names)
            if dotted in CALLS and dotted not in ("compile", "eval", "exec"):
                yield node.lineno, dotted


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each local name and the full one behind it; `x = torch.load` counts as one too."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                local = one.asname or one.name.partition(".")[0]
                names[local] = one.name if one.asname else local
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    yield from names.items()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name | ast.Attribute):
            behind = _dotted(node.value, names)
            if behind in CALLS:
                yield from ((x.id, behind) for x in node.targets if isinstance(x, ast.Name))


def _forbidden(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        asked = [one.name for one in node.names]
    else:
        asked = [f"{node.module}.{one.name}" for one in node.names]
    for name in asked:
        yield from (m for m in MODULES if name == m or name.startswith(f"{m}."))


def _dotted(node: ast.AST, names: Mapping[str, str]) -> str:
    """`t.load` after `import torch as t` is `torch.load`; "" for what is no plain name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value, names)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def _judged(call: ast.Call, dotted: str, names: Mapping[str, str]) -> str | None:
    """The call's name where it is risky as it is written."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else dotted.rpartition(".")[2]
    given = {word.arg: word.value for word in call.keywords}
    if dotted in CALLS or method in METHODS or _by_text(call, dotted, names):
        return dotted or method
    if dotted in ("numpy.load", "numpy.lib.npyio.load"):
        return None if _is(given.get("allow_pickle"), False) else dotted
    if dotted in ("importlib.import_module", "__import__", "builtins.__import__"):
        return None if call.args and isinstance(call.args[0], ast.Constant) else dotted
    if method in ("from_pretrained", "from_config"):
        return _trusting(given, dotted or method)
    if "shell" in given and not _is(given["shell"], False):
        return f"{dotted}(shell)"
    return None


def _trusting(given: Mapping[str | None, ast.expr], name: str) -> str | None:
    """`trust_remote_code` is False, or what consent says; `**arguments` are looked at by name."""
    value = given.get("trust_remote_code")
    if value is None and None in given:
        told = ast.unparse(given[None])
        return None if told == "source.arguments" else f"{name}(**{told})"
    if value is None:
        return f"{name}(no trust_remote_code)"
    if _is(value, False) or ast.unparse(value) in CONSENTED:
        return None
    return f"{name}(trust_remote_code={ast.unparse(value)})"


CONSENTED = {"source.trusted", "found.trusted", "trusted"}
"""Expressions that hold the answer of ftune.security.remote_code.opened."""


def _by_text(call: ast.Call, dotted: str, names: Mapping[str, str]) -> bool:
    """`getattr(torch, "load")` and `vars(torch)["load"]` are the same by another spelling."""
    if dotted != "getattr" or len(call.args) < 2:
        return False
    name = call.args[1]
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        return False
    return f"{_dotted(call.args[0], names)}.{name.value}" in CALLS


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
