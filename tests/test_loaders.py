"""No file of the package loads in a way that can run what is loaded, outside a short list."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.loaders import risky

PACKAGE = Path(__file__).resolve().parents[1] / "ftune"

ALLOWED = {
    ("security/untrusted_files.py", "import pickle"):
        "the error class that torch's weights-only loader raises",
    ("security/untrusted_files.py", "torch.load"):
        "weights only; or, with consent, the bytes that were hashed",
    ("registry.py", "importlib.import_module"): "names from tables of the package itself",
    ("commands/dispatch.py", "importlib.import_module"): "names from the table of commands",
    ("exports/export.py", "importlib.import_module"): "names from the table of formats",
    ("config/fields.py", "eval"): "annotations of the package's own schemas",
    ("extend/__init__.py", "importlib.util.spec_from_file_location"): "--code, the user's own",
    ("extend/__init__.py", "spec.loader.exec_module"): "--code, the user's own",
    ("exports/program.py", "torch.export.load"): "reads back the file that was just written",
    ("exports/peft.py", "peft.PeftModel.from_pretrained(no trust_remote_code)"):
        "reads back adapters that were just written; it takes no such argument",
    ("exports/hf.py", "transformers.GenerationConfig.from_pretrained(no trust_remote_code)"):
        "reads JSON; it takes no such argument",
}  # fmt: skip

RISKY = [
    "import torch\ntorch.load(p)",
    "import torch\ntorch.load(p, weights_only=True)",
    "from torch import load as l\nl(p)",
    "import torch as t\nt.load(p)",
    "from torch.serialization import load\nload(p)",
    "import torch\nread = torch.load\nread(p)",
    "import torch\ngetattr(torch, 'load')(p)",
    "import torch\nmap(torch.load, files)",
    "import torch\ntorch.jit.load(p)",
    "from torch import jit\njit.load(p)",
    "import torch\ntorch.hub.load(r, m)",
    "from torch import hub as h\nh.load(r, m)",
    "import torch.package",
    "from torch.package import PackageImporter",
    "import torch.distributed.checkpoint as dcp\ndcp.load(state)",
    "from torch.distributed import checkpoint\ncheckpoint.load(state)",
    "import pickle",
    "import pickle as json",
    "from pickle import loads",
    "import dill",
    "import cloudpickle",
    "from joblib import load",
    "import marshal",
    "import shelve",
    "import numpy as np\nnp.load(p)",
    "import numpy as np\nnp.load(p, allow_pickle=True)",
    "from numpy import load\nload(p, allow_pickle=flag)",
    "import yaml\nyaml.load(t, Loader=yaml.UnsafeLoader)",
    "import yaml\nyaml.unsafe_load(t)",
    "from yaml import full_load as f\nf(t)",
    "eval(text)",
    "exec(text)",
    "compile(text, 'x', 'exec')",
    "__import__(name)",
    "import importlib\nimportlib.import_module(name)",
    "from importlib import import_module as take\ntake(name)",
    "import subprocess\nsubprocess.run(c, shell=True)",
    "from subprocess import run\nrun(c, shell=flag)",
    "import os\nos.system(c)",
    "from os import popen\npopen(c)",
    "import tarfile\ntarfile.open(p).extractall(d)",
    "import zipfile\nwith zipfile.ZipFile(p) as z:\n    z.extract(n)",
    "import shutil\nshutil.unpack_archive(p)",
    "from transformers import AutoModel\nAutoModel.from_pretrained(p)",
    "from transformers import AutoModel\nAutoModel.from_pretrained(p, trust_remote_code=True)",
    "from transformers import AutoModel\nAutoModel.from_pretrained(p, **settings)",
    "factory.from_config(c, trust_remote_code=config.trust)",
    "import tempfile\ntempfile.mktemp()",
    "import runpy\nrunpy.run_path(p)",
    "import ctypes\nctypes.CDLL(p)",
]

HARMLESS = [
    "import numpy as np\nnp.load(p, allow_pickle=False)",
    "import yaml\nyaml.compose(t, Loader=yaml.SafeLoader)",
    "import json\njson.load(f)",
    "import re\nre.compile(p)",
    "import torch\ntorch.compile(m)",
    "import importlib\nimportlib.import_module('torch')",
    "model.eval()",
    "import subprocess\nsubprocess.run(['git'], shell=False)",
    "from transformers import AutoModel\nAutoModel.from_pretrained(p, trust_remote_code=False)",
    "predictor = ftune.load(run)",
]


def found() -> set[tuple[str, str]]:
    return {
        (file.relative_to(PACKAGE).as_posix(), call)
        for file in sorted(PACKAGE.rglob("*.py"))
        for _, call in risky(file.read_text(encoding="utf-8"))
    }


def test_nothing_loads_unsafely_outside_the_list() -> None:
    assert sorted(found() - set(ALLOWED)) == []


def test_the_list_names_nothing_that_is_gone() -> None:
    assert sorted(set(ALLOWED) - found()) == []


def test_torch_files_are_loaded_in_one_place() -> None:
    text = (PACKAGE / "security" / "untrusted_files.py").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "torch.load(" in line]
    assert ["weights_only=True" in line for line in lines] == [True, False]
    assert text.count("_run(") == 2  # where it is defined, and after this:
    body = text.partition("def _with_consent")[2].partition("\ndef ")[0]
    assert body.index("if not consent.granted(") < body.index("return _run(path, content)")


@pytest.mark.parametrize("snippet", RISKY)
def test_a_risky_line_is_found(snippet: str) -> None:
    assert list(risky(snippet))


@pytest.mark.parametrize("snippet", HARMLESS)
def test_a_harmless_line_is_not(snippet: str) -> None:
    assert not list(risky(snippet))
