"""Secrets planted wherever a user can put one, every command, and a look at what was written."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import textwrap
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from ftune.cli import app
from ftune.runs.folder import RunFolder
from ftune.security import redact
from support.tiny_hf import save_models

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
BODY = "MIIEpAIBAAKCAQEAx7yN3oPq9kZrT2vWm8sJd4hLfB6uGc1Q"
SECRETS = {
    "token of the hub": "hf_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0",
    "token of a provider, by the environment": "sk-proj-9f8e7d6c5b4a39281706AbCdEfGh",
    "token of a forge": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "cloud key": "AKIAIOSFODNN7EXAMPLE",
    "chat token": "xoxb-123456789012-abcdefGHIJKL",
    "web token": JWT,
    "private key": BODY,
    "password in a URL": "tr0ub4dor-and-3",
    "password by its key": "swordfish-tuna",
    "api key by its key": "0d9c8b7a6f5e",
    "read from the environment": "c0ffee-42-vault",
    "password with spaces, from the environment": "pa$$ w0rd & more",
}
ENVIRONMENT = {
    "PROVIDER_API_KEY": SECRETS["token of a provider, by the environment"],
    "VAULT_CODE": SECRETS["read from the environment"],
    "DB_PASSWORD": SECRETS["password with spaces, from the environment"],
    "FOLDER_OF_ROWS": "/data/rows",  # a place is no secret
}
CODE = """\
import os
import numpy as np
import ftune

@ftune.source("vault")
def vault(url: str, password: str, api_key: str, pin: str, login: str, folder: str,
          note: str = "", key: str = "", fail: bool = False):
    if fail:
        raise OSError(f"refused {url} {password=} {api_key=} {pin} {login} {note} {key} "
                      + os.environ["PROVIDER_API_KEY"])
    assert login == os.environ["DB_PASSWORD"] and pin == os.environ["VAULT_CODE"]
    assert folder == "/data/rows/today"
    dice = np.random.default_rng(0)
    x = dice.normal(size=(80, 2))
    words = ["the cat sat on the mat", "a dog ran far away"]
    return {"a": x[:, 0], "b": x[:, 1], "text": [words[i % 2] for i in range(80)],
            "label": ["yes" if i % 2 else "no" for i in range(80)]}

@ftune.loss("leaky")
def leaky(outputs, y):
    raise ValueError("the service said no to " + os.environ["PROVIDER_API_KEY"])
"""
NOTE = " ".join(SECRETS[name] for name in ("cloud key", "chat token", "web token"))
CONFIG = f"""\
task: {{name: classification}}
data:
  source: vault
  url: postgresql://ann:{SECRETS["password in a URL"]}@db.example.org/rows
  password: {SECRETS["password by its key"]}
  api_key: {SECRETS["api key by its key"]}
  pin: "${{oc.env:VAULT_CODE}}"
  login: "${{oc.env:DB_PASSWORD}}"
  folder: "${{oc.env:FOLDER_OF_ROWS}}/today"
  note: {NOTE} {SECRETS["token of the hub"]}
  key: |
    -----BEGIN RSA PRIVATE KEY-----
    {BODY}
    -----END RSA PRIVATE KEY-----
  target: label
  transforms: [{{select: [a, b]}}]
  split: {{val: 20, test: 10}}
model: {{name: mlp, width: 4, depth: 1}}
optimizer: {{name: adamw, lr: 0.01}}
train: {{steps: 4, batch_size: 16}}
eval: {{metric: loss}}
lr_find: {{low: 0.001, high: 0.1, refine: 3}}
runtime: {{threads: 1, device: cpu, env: [VAULT_CODE, DB_PASSWORD, FOLDER_OF_ROWS]}}
sweep:
  question: which rate, asked with {SECRETS["token of the hub"]}
  scientific: {{optimizer.lr: [0.01, 0.1]}}
"""
TEXTS = ("task=causal-lm", "~data.target", "~data.transforms", "data.text=text", "model.name=hf",
         "adapt=[{match: '*_proj', lora: {rank: 2}}]", "~sweep", "data.split.test=0")  # fmt: skip


@dataclass
class Session:
    """A folder with the user's own files in `own`; everything else in it was written by ftune."""

    place: Path
    said: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.own = self.place / "own"
        self.own.mkdir(parents=True)
        (self.own / "code.py").write_text(CODE, encoding="utf-8")
        base, mark, rest = CONFIG.partition("optimizer:")  # secrets in both files
        (self.own / "base.yaml").write_text(base, encoding="utf-8")
        (self.own / "c.yaml").write_text(f"extends: base.yaml\n{mark}{rest}", encoding="utf-8")
        (self.own / "new.csv").write_text("a,b,label\n1,2,yes\n3,4,no\n", encoding="utf-8")

    def call(self, *words: str, code: int = 0, run_code: bool = True) -> None:
        """One command in this process; what it prints is kept."""
        own = ["--code", str(self.own / "code.py")] if run_code else []
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                app([*words, *own])
                found = 0
            except SystemExit as ended:
                found = int(ended.code or 0)
        name = f"{len(self.said)} {' '.join(words[:1])}"
        self.said[name], self.codes[name] = out.getvalue(), found
        assert found == code, (words, found, out.getvalue())

    def path(self, name: str) -> str:
        return str(self.place / name)


def every_command(session: Session) -> None:
    """Every command that writes or prints something of a run."""
    s, config = session, str(session.own / "c.yaml")
    forge = SECRETS["token of a forge"]
    s.call("optimize", config, "--out", s.path("r/a"), "--json", f"data.note={NOTE} {forge}")
    s.call("optimize", config, "--out", s.path("r/b"))
    s.call("lr-find", config, "--out", s.path("r/lr"), "--json")
    s.call("sweep", config, "--out", s.path("r/sweep"))
    s.call("sweep", config, "--out", s.path("r/bad"), "task.loss=leaky", code=1)
    RunFolder(s.place / "r" / "b").describe(status="interrupted")
    s.call("resume", s.path("r/b"))
    s.call("rerun", s.path("r/b"), "--out", s.path("r/again"))
    s.call("evaluate", s.path("r/a"), f"data.path={s.own / 'new.csv'}", run_code=False)
    s.call("predict", s.path("r/a"), "--input", str(s.own / "new.csv"),
           "--output", s.path("p.csv"))  # fmt: skip
    for form, name in (("safetensors", "e.safetensors"), ("pt", "e.pt"), ("onnx", "e.onnx"),
                       ("torch-export", "e.pt2")):  # fmt: skip
        s.call("export", s.path("r/a"), "--format", form, "--out", s.path(name))
    s.call("finetune", config, "--base", s.path("r/a"), "--out", s.path("r/fine"))
    s.call("compare", s.path("r/a"), s.path("r/b"), "--json", run_code=False)
    s.call("runs", s.path("r"), run_code=False)
    s.call("check", config, "--resolved")
    _texts(session)
    _refused(session)


def a_few_commands(session: Session) -> None:
    """The shortest way past every guard: a run, its export, and a fault."""
    s, config = session, str(session.own / "c.yaml")
    s.call("optimize", config, "--out", s.path("r/a"), "--json")
    s.call("export", s.path("r/a"), "--format", "safetensors", "--out", s.path("e.safetensors"))
    s.call("optimize", config, "data.fail=true", code=2)


def _texts(session: Session) -> None:
    """An adapter on a model of transformers, as PEFT and its library take it."""
    s = session
    model = f"model.path={save_models(s.own)['llama']}"
    s.call("finetune", str(s.own / "c.yaml"), *TEXTS, model, "--out", s.path("r/lora"))
    s.call("export", s.path("r/lora"), "--format", "peft", "--out", s.path("peft"))
    s.call("export", s.path("r/lora"), "--format", "hf", "--out", s.path("hf"))
    s.call("predict", s.path("r/lora"), "--prompt", "the cat", "--max-tokens", "4")


def _refused(session: Session) -> None:
    """Messages of faults, each of which quotes a secret."""
    s, config, hub = session, str(session.own / "c.yaml"), SECRETS["token of the hub"]
    s.call("optimize", config, "data.fail=true", code=2)
    s.call("check", config, f"train.epochs={hub * 3}", code=2)
    s.call("check", config, f"model.name={hub}", code=2)
    s.call("check", config, f"data.api_key=[{SECRETS['api key by its key']}]", code=2)
    url = f"https://ann:{SECRETS['password in a URL']}@example.org/{'long/' * 20}"
    s.call("check", config, f"seed={url}", code=2)
    s.call("evaluate", f"/nowhere/{hub}", code=2)


def found_in(session: Session) -> list[str]:
    """Each secret in each file or output that has it: as it is, or as it travels."""
    found = []
    for where, content in {**_said(session), **_written(session)}.items():
        for name, secret in SECRETS.items():
            if any(form in content for form in _forms(secret)):
                found.append(f"{where}: {name}")
    return found


def _said(session: Session) -> Mapping[str, bytes]:
    return {f"said by {name}": text.encode() for name, text in session.said.items()}


def _written(session: Session) -> Mapping[str, bytes]:
    files = [file for file in session.place.rglob("*") if file.is_file()]
    return {
        f"{file.relative_to(session.place)}{inside}": content
        for file in files
        if session.own not in file.parents
        for inside, content in _contents(file)
    }


def _contents(file: Path) -> Iterator[tuple[str, bytes]]:
    yield "", file.read_bytes()
    yield " (name)", file.name.encode()
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                yield f"/{name}", archive.read(name)


def _forms(secret: str) -> set[bytes]:
    plain = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1],
             base64.b64encode(secret.encode()).decode(), *_folded(secret)}  # fmt: skip
    return {form.encode() for form in plain}


def _folded(secret: str) -> list[str]:
    """The halves of a long one, as a cut or folded line would keep them."""
    return [part for part in textwrap.wrap(secret, 24) if len(part) == 24]


def planted(place: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session whose environment holds the secrets; nothing of an earlier one is remembered."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(redact, "_read", {})
    monkeypatch.setattr(redact, "_written", set())
    return Session(place)
