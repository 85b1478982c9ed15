"""What consent to a file's code must be: asked for, exact, of one command, and nowhere stored."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import ftune
from ftune.errors import FtuneError
from ftune.security import consent
from support import payloads as p
from support.hostile_folders import edit_json, module_text
from support.sandbox import Answer, Sandbox, command

OPTION = "--run-code-from"
FORMS: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "shell": ("m.pt", p.by_shell, "posix.system"),
    "exec": ("m.pth", p.by_exec, "builtins.exec"),
    "eval": ("m.bin", p.by_eval, "builtins.eval"),
    "process": ("m.ckpt", p.by_process, "subprocess.check_call"),
}
NO_HASHES = ("", "sha256:", "sha256:" + "0" * 63, "sha256:" + "g" * 64, "0" * 64, "md5:" + "0" * 32,
             "m.pt", "*", "all", "sha256:*")  # fmt: skip


class Case:
    """A file of weights that fit `c.yaml` and run code, in a place of its own."""

    def __init__(self, sandbox: Sandbox, form: str = "exec", legacy: bool = False) -> None:
        name, payload, self.named = FORMS[form]
        at = sandbox.place / "hostile" / "consent"
        shutil.rmtree(at, ignore_errors=True)
        at.mkdir()
        self.sandbox, self.canary, self.path = sandbox, at / "canary", at / name
        self.tensors = load_file(sandbox.good.exported)
        content = {"model": self.tensors, "extra": payload(self.canary)}
        p.saved(content, self.path, legacy)
        self.out = at / "run"

    @property
    def hash(self) -> str:
        return "sha256:" + hashlib.sha256(self.path.read_bytes()).hexdigest()

    def finetune(self, *more: object) -> Answer:
        shutil.rmtree(self.out, ignore_errors=True)
        self.canary.unlink(missing_ok=True)
        given = ("finetune", "c.yaml", "--base", self.path, "--out", self.out, "--quiet")
        return command(*given, *more)

    def refused(self, *more: object) -> Answer:
        """The command with these words ends with one message, and nothing has run."""
        return self.kept(self.finetune(*more))

    def kept(self, answer: Answer) -> Answer:
        assert answer.code == 2, answer
        assert not answer.fault
        assert not self.canary.exists(), "it has run"
        return answer

    def ran(self, answer: Answer) -> Answer:
        assert answer.code == 0, answer
        assert self.canary.exists(), "it has not run"
        return answer


def message(sandbox: Sandbox, form: str, legacy: bool) -> None:
    """Says which file, what would run, how to avoid it, and the words that allow it."""
    case = Case(sandbox, form, legacy)
    text = " ".join(case.refused().text.split())
    for word in (str(case.path), case.named, "torch.save(model.state_dict(), path)",
                 f"{OPTION} {case.hash}"):  # fmt: skip
        assert word in text, (word, text)


def right_hash(sandbox: Sandbox, form: str, legacy: bool) -> None:
    case = Case(sandbox, form, legacy)
    case.ran(case.finetune(OPTION, case.hash))
    case.ran(case.finetune(OPTION, case.hash.upper().replace("SHA256", "sha256")))


def wrong_hash(sandbox: Sandbox) -> None:
    case = Case(sandbox)
    for place in (0, 31, 63):
        digits = list(case.hash[7:])
        digits[place] = "0" if digits[place] != "0" else "1"
        answer = case.refused(OPTION, f"sha256:{''.join(digits)}")
        assert "another file's hash" in answer.text


def no_hash(sandbox: Sandbox) -> None:
    case = Case(sandbox)
    for word in NO_HASHES:
        assert "is no hash" in case.refused(OPTION, word).text, word


def changed_file(sandbox: Sandbox) -> None:
    """The same code beside other weights, whole and loadable: another file."""
    for legacy in (False, True):
        case = Case(sandbox, legacy=legacy)
        before = case.hash
        tensors = {name: tensor + 1 for name, tensor in case.tensors.items()}
        p.saved({"model": tensors, "extra": p.by_exec(case.canary)}, case.path, legacy)
        assert case.hash != before
        case.refused(OPTION, before)
        case.ran(case.finetune(OPTION, case.hash))


def swapped_file(sandbox: Sandbox, careless: bool = False) -> None:
    """Another writes the file after it was hashed: nothing else than what was hashed is loaded.

    careless: a loader that opens the file again, for the control.
    """
    case = Case(sandbox)
    digest, other = case.hash, case.path.with_name("other.pt")
    marked = case.path.with_name("swapped")
    p.saved({"model": case.tensors, "x": p.by_exec(marked)}, other)
    load, granted = torch.load, consent.granted

    def swap_then_load(file: Any, **more: Any) -> Any:
        if more.get("weights_only") is False:
            shutil.copy(other, case.path)
            file = case.path if careless else file
        return load(file, **more)

    def swap_when_granted(*given: str) -> bool:
        found = granted(*given)
        shutil.copy(other, case.path)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "load", swap_then_load)
        answer = case.finetune(OPTION, digest)
        assert not marked.exists(), "what was not hashed has run"
        case.ran(answer)
    case = Case(sandbox)
    p.saved({"model": case.tensors, "x": p.by_exec(marked)}, other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consent, "granted", swap_when_granted)
        assert "was written to" in case.refused(OPTION, case.hash).text
    assert not marked.exists()


def not_remembered(sandbox: Sandbox) -> None:
    """Neither by the next command, nor by the run: resume asks again where it reads it again."""
    case = Case(sandbox)
    given = case.hash
    case.ran(case.finetune(OPTION, given))
    run, case.out = case.out, case.path.with_name("second")
    noted = {"file": str(case.path), "sha256": given.removeprefix("sha256:")}
    assert json.loads((run / "run.json").read_text())["ran_code_from"] == [noted]
    case.refused()
    shutil.rmtree(run / "checkpoints")
    edit_json(run / "run.json", status="interrupted")
    case.kept(command("resume", run))
    case.ran(command("resume", run, OPTION, given))


def not_from_elsewhere(sandbox: Sandbox) -> None:
    """No variable, no key of a configuration, no override and no file beside it grants it."""
    case = Case(sandbox)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RUN_CODE_FROM", "FTUNE_RUN_CODE_FROM", "FTUNE_FINETUNE_RUN_CODE_FROM"):
            patch.setenv(name, case.hash)
        case.refused()
    file = case.path.with_name("c.yaml")
    text = (sandbox.cwd / "c.yaml").read_text()
    for line in (f"run_code_from: ['{case.hash}']", f"consent: ['{case.hash}']",
                 "trust_remote_code: true", f"base: ['{case.path}', '{case.hash}']"):  # fmt: skip
        file.write_text(f"{text}\n{line}\n")
        case.kept(command("finetune", file, "--base", case.path))
        case.kept(command("finetune", file))
    for word in (f"run_code_from={case.hash}", "trust_remote_code=true", "weights_only=false"):
        case.refused(word)
    case.path.with_name(case.path.name + ".sha256").write_text(case.hash)
    case.refused()


def one_opens_one(sandbox: Sandbox) -> None:
    """The hash of one file does not open the other that the same command reads."""
    case = Case(sandbox)
    given, folder = case.hash, case.path.with_name("adapter")
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2}')
    marked = case.path.with_name("second-canary")
    p.saved({"x": p.by_exec(marked)}, folder / "adapter_model.bin")
    answer = case.finetune("--base", folder, OPTION, given)
    assert answer.code == 2
    assert not marked.exists()
    assert "adapter_model.bin" in answer.text


def unused_is_told(sandbox: Sandbox) -> None:
    case = Case(sandbox)
    words = ("finetune", "c.yaml", "--base", sandbox.good.exported, "--out", case.out, "--quiet")
    answer = command(*words, OPTION, case.hash)
    assert answer.code == 0, answer
    assert "was not needed" in answer.text


def whole_module(sandbox: Sandbox) -> None:
    """A pickled module gives its weights, once it may."""
    case = Case(sandbox)
    p.saved({"model": nn.Sequential(nn.Linear(2, 2))}, case.path)
    assert "torch.nn.modules" in case.finetune().text
    answer = case.finetune(OPTION, case.hash)  # loaded, and judged as any base is
    assert "could run code" not in answer.text
    assert not answer.fault


def library(sandbox: Sandbox) -> None:
    """The same from Python: for one call."""
    case = Case(sandbox)
    config = sandbox.cwd / "c.yaml"
    for number, given in enumerate(((), (case.hash,), ())):
        out = case.path.with_name(f"run{number}")
        case.canary.unlink(missing_ok=True)
        try:
            ftune.run("finetune", config, base=case.path, out=out, run_code_from=given)
        except FtuneError as error:
            assert OPTION in str(error)
        assert case.canary.exists() is bool(given)
    assert not consent.opened()


def folder_with_code(sandbox: Sandbox) -> None:
    """A Hugging Face folder: every Python file counts, and the code runs from a private copy."""
    at = sandbox.place / "hostile" / "code"
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir()
    folder, canary = at / "model", at / "canary"
    shutil.copytree(sandbox.good.model, folder)
    mapped = {"AutoConfig": "modeling.Config", "AutoModel": "modeling.Model"}
    edit_json(folder / "config.json", model_type="zork", architectures=["Model"], auto_map=mapped)
    (folder / "modeling.py").write_text(module_text(canary))
    words = ("optimize", "w.yaml", f"model={{name: hf, path: '{folder}'}}", "--quiet")

    def asked(*more: object) -> tuple[Answer, str]:
        canary.unlink(missing_ok=True)
        answer = command(*words, "--out", at / "run", *more)
        assert not answer.fault, answer
        found = re.search(r"sha256:[0-9a-f]{64}", answer.text)
        return answer, found[0] if found else ""

    answer, digest = asked()
    assert "modeling.py" in answer.text and answer.code == 2 and not canary.exists()
    (folder / "modeling.py").write_text(module_text(canary) + "# changed\n")
    answer, changed = asked(OPTION, digest)
    assert answer.code == 2 and not canary.exists() and changed.strip()
    (folder / "other.py").write_text("")
    answer, _ = asked(OPTION, digest)
    assert answer.code == 2 and not canary.exists()
    (folder / "other.py").unlink()
    (folder / "modeling.py").write_text(module_text(canary))
    answer, _ = asked(OPTION, digest)
    assert answer.code == 0, answer
    assert canary.exists()
    assert digest not in (at / "run" / "config.yaml").read_text()
    answer = command("evaluate", at / "run")
    assert answer.code == 2
    assert "own folder" in answer.text


def checks() -> Iterator[tuple[str, Callable[[Sandbox], None]]]:
    """Every check by its name."""
    for form in FORMS:
        for legacy in (False, True):
            mark = f"{form}, {'legacy' if legacy else 'zip'}"
            yield f"message, {mark}", lambda s, f=form, o=legacy: message(s, f, o)  # type: ignore[misc]
            yield f"right hash, {mark}", lambda s, f=form, o=legacy: right_hash(s, f, o)  # type: ignore[misc]
    for one in (wrong_hash, no_hash, changed_file, swapped_file, not_remembered,
                not_from_elsewhere, one_opens_one, unused_is_told, whole_module, library,
                folder_with_code):  # fmt: skip
        yield one.__name__.replace("_", " "), one


CHECKS = dict(checks())
