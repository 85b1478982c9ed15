"""No test changes pytest's own process: its limits, signals, umask, working directory, threads.

Twice: by reading the tests – where such a call stands, `only_in_a_child()` stands before it – and
by comparing the process before and after each test (`unchanged_process` in conftest.py).
"""

from __future__ import annotations

import ast
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from support.apart import TESTS, apart, only_in_a_child
from support.process_state import changes, state

TESTS_FOLDER = Path(__file__).parent
# Functions by their module, and methods of pytest's that do the same.
CHANGING = {
    "resource": {"setrlimit", "prlimit"},
    "signal": {"signal", "pthread_sigmask", "setitimer", "alarm", "siginterrupt", "set_wakeup_fd"},
    "os": {"umask", "chdir", "fchdir", "nice", "setpriority", "sched_setaffinity", "putenv",
           "unsetenv", "setuid", "setgid", "seteuid", "setegid", "setsid", "setpgid", "chroot"},
    "contextlib": {"chdir"},
    "torch": {"set_num_threads", "set_num_interop_threads"},
    "faulthandler": {"disable", "enable", "register"},
    "sys": {"setrecursionlimit"},
}  # fmt: skip
METHODS = {"chdir"}
ENVIRONMENT = {"update", "setdefault", "pop", "popitem", "clear"}
# What belongs to no test: set before the first one, or read by setting it twice.
OF_THE_WHOLE_PROCESS = {("conftest.py", "<module>"), ("support/process_state.py", "state")}


def violations(source: str, file: str = "test_x.py") -> list[str]:
    """Calls that change the process, in functions that do not make sure to be in a child."""
    tree = ast.parse(source)
    names = _imported(tree)
    found = []
    for scope, nodes in _scopes(tree):
        if (file, scope) in OF_THE_WHOLE_PROCESS or any(_guards(node) for node in nodes):
            continue
        found += [f"{file}:{node.lineno}: {what}" for node in nodes for what in _what(node, names)]
    return found


def _imported(tree: ast.Module) -> dict[str, str]:
    """Dotted name by the name under which a module, or something of it, is known in a file."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {(a.asname or a.name): a.name for a in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {(a.asname or a.name): f"{node.module}.{a.name}" for a in node.names}
    return names


def _scopes(tree: ast.Module) -> Iterator[tuple[str, list[ast.expr | ast.stmt]]]:
    """Each function with the nodes of its own body, and the module with what is in none."""
    waiting: list[tuple[str, ast.AST]] = [("<module>", tree)]
    while waiting:
        name, owner = waiting.pop()
        own: list[ast.expr | ast.stmt] = []
        nodes = list(ast.iter_child_nodes(owner))
        while nodes:
            node = nodes.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                waiting.append((node.name, node))
                continue
            own += [node] if isinstance(node, ast.expr | ast.stmt) else []
            nodes += ast.iter_child_nodes(node)
        yield name, own


def _guards(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Name) and called.id == only_in_a_child.__name__


def _what(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Assign | ast.Delete | ast.AugAssign):
        targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
        for target in targets:
            if isinstance(target, ast.Subscript) and _dotted(target.value, names) == "os.environ":
                yield "os.environ[…]"
    if not isinstance(node, ast.Call):
        return
    module, _, function = _dotted(node.func, names).rpartition(".")
    if function in CHANGING.get(module, ()) and not _only_asks(function, node):
        yield f"{module}.{function}"
    elif module == "os.environ" and function in ENVIRONMENT:
        yield f"os.environ.{function}"
    elif isinstance(node.func, ast.Attribute) and function in METHODS and module not in CHANGING:
        yield f".{function}"


def _only_asks(function: str, node: ast.Call) -> bool:
    """`prlimit(pid, which)` and `pthread_sigmask(how, [])` change nothing."""
    return function == "prlimit" and len(node.args) < 3


def _dotted(node: ast.AST, names: dict[str, str]) -> str:
    """`signal.signal` for whatever name the file has for it."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names)}.{node.attr}"
    return ""


def test_no_test_changes_the_process() -> None:
    files = sorted(TESTS_FOLDER.rglob("*.py"))
    assert len(files) > 100
    found = [
        line
        for file in files
        if file != Path(__file__)  # its controls change it, in a child
        and file.parent.name != "mutation"  # a tool, in a process of its own
        for line in violations(file.read_text("utf-8"), str(file.relative_to(TESTS_FOLDER)))
    ]
    assert found == []


BAD = {
    "a limit": "import resource\ndef test_x():\n    resource.setrlimit(1, (1, 1))",
    "another name": "from resource import setrlimit as s\ndef test_x():\n    s(1, (1, 1))",
    "a handler": "import signal\ndef test_x():\n    signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "an alarm": "import signal as s\ndef test_x():\n    s.alarm(5)",
    "a mask": "from signal import pthread_sigmask\ndef test_x():\n    pthread_sigmask(0, {2})",
    "umask": "import os\nclass A:\n    def f(self):\n        os.umask(0)",
    "at import": "import os\nos.chdir('/')",
    "chdir": "import os\ndef test_x():\n    os.chdir('/')",
    "pytest's chdir": "def test_x(monkeypatch):\n    monkeypatch.chdir('/')",
    "contextlib's chdir": "import contextlib\ndef test_x():\n    with contextlib.chdir('/'): pass",
    "threads": "import torch\nf = lambda: torch.set_num_threads(2)",
    "environment": "import os\ndef test_x():\n    os.environ['A'] = '1'",
    "environment at once": "from os import environ\ndef test_x():\n    environ.update(a='1')",
    "environment less": "import os\ndef test_x():\n    del os.environ['A']",
    "guard of another": "import os\nfrom support.apart import only_in_a_child\ndef f():\n"
                        "    only_in_a_child()\ndef g():\n    os.umask(0)",
    "guard outside": "import os\nfrom support.apart import only_in_a_child\ndef f():\n"
                     "    only_in_a_child()\n    def g():\n        os.umask(0)\n    return g",
}  # fmt: skip
GOOD = {
    "in a child": "import os\nfrom support.apart import only_in_a_child\ndef f():\n"
                  "    only_in_a_child()\n    os.umask(0)",
    "asked": "import resource, signal, os\ndef f():\n    resource.getrlimit(1)\n"
             "    signal.getsignal(2)\n    os.getcwd()\n    return os.environ['A']",
    "restored by pytest": "def test_x(monkeypatch):\n    monkeypatch.setenv('A', '1')",
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_control_a_change_is_seen(kind: str) -> None:
    assert len(violations(BAD[kind])) == 1


@pytest.mark.parametrize("kind", GOOD)
def test_control_what_changes_nothing_passes(kind: str) -> None:
    assert violations(GOOD[kind]) == []


LEAKS: dict[str, tuple[Callable[[], object], str]] = {
    "limit": (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10**9,) * 2), "RLIMIT_FSIZE"),
    "umask": (lambda: os.umask(0o123), "umask"),
    "handler": (lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN), "handler of SIGUSR1"),
    "mask": (lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2}), "blocked signals"),
    "timer": (lambda: signal.setitimer(signal.ITIMER_REAL, 1000), "timer"),
    "working directory": (lambda: os.chdir("/"), "working directory"),
    "environment": (lambda: os.environ.update(LEAKED="secret"), "variable LEAKED"),
    "threads": (lambda: torch.set_num_threads(3), "threads of torch"),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_control_what_a_test_leaves_is_seen(kind: str) -> None:
    leak, name = LEAKS[kind]

    def leaked() -> list[str]:
        only_in_a_child()
        signal.alarm(0)  # of `apart`
        before = state()
        leak()
        return changes(before, state())

    found = apart(leaked)
    assert len(found) == 1 and found[0].startswith(name)
    assert "secret" not in found[0]


LEAKING = "import os\ndef test_good():\n    pass\ndef test_bad():\n    os.umask(0o123)\n"


def test_control_the_test_that_leaks_fails(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """The fixture of conftest.py itself, over a file of its own."""
    plugin = pytestconfig.pluginmanager.get_plugin(str(TESTS_FOLDER / "conftest.py"))
    (tmp_path / "test_leaking.py").write_text(LEAKING)
    words = [str(tmp_path), f"--rootdir={tmp_path}", "-c", os.devnull, "-p", "no:cacheprovider"]
    report = tmp_path / "report.xml"

    def run() -> int:
        return int(pytest.main([*words, f"--junitxml={report}"], plugins=[plugin]))

    assert apart(run) == pytest.ExitCode.TESTS_FAILED
    assert "changed in pytest's own process: umask: " in report.read_text()
    assert 'tests="2"' in report.read_text() and 'errors="1"' in report.read_text()


def test_control_the_guard_refuses_pytests_own_process() -> None:
    assert os.environ[TESTS] == str(os.getpid())
    with pytest.raises(AssertionError, match="must run in a child"):
        only_in_a_child()
    apart(only_in_a_child)


def test_a_child_gives_its_result_or_says_what_went_wrong() -> None:
    assert apart(lambda: {"a": os.getpid()})["a"] != os.getpid()
    with pytest.raises(AssertionError, match="KeyError: 'no'"):
        apart(lambda: dict[str, int]()["no"])
    with pytest.raises(AssertionError, match="the child ended with -9"):
        apart(lambda: os.kill(os.getpid(), signal.SIGKILL))
