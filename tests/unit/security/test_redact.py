"""What is hidden, and above all what is not."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ftune.security import redact as module
from ftune.security.redact import (
    left_out,
    notice,
    redact,
    redact_tree,
    redact_words,
    remember,
    stored,
)

SECRET_TEXTS = {
    "url": ("see postgresql://ann:hunter2@db/x now", "see postgresql://***@db/x now"),
    "url without user": ("redis://:hunter2@cache:6379/0", "redis://***@cache:6379/0"),
    "url, odd password": ("https://a:p:w+%40x@h/", "https://***@h/"),
    "hub": ("hf_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0 is it", "*** is it"),
    "provider": ("key sk-proj-9f8e7d6c5b4a39281706AbCd.", "key ***."),
    "forge": ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "***"),
    "forge, new": ("github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuv", "***"),
    "other forge": ("glpat-aBcD1234efGH5678ijKL", "***"),
    "cloud": ("AKIAIOSFODNN7EXAMPLE,eu", "***,eu"),
    "search": ("AIzaSyA1bC2dE3fG4hI5jK6lM7nO8pQ9rS0tU1v", "***"),
    "chat": ("xoxb-123456789012-abcdefGHIJKL", "***"),
    "registry": ("npm_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0gH1jK2", "***"),
    "web": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dozjgNryP4J3jV", "***"),
    "header": ("Authorization: Bearer a1b2c3d4e5f6g7", "Authorization: Bearer ***"),
    "query": ("https://h/x?id=3&token=a1b2c3d4e5&y=1", "https://h/x?id=3&token=***&y=1"),
    "assignment": ("data.password=hunter2 seed=1", "data.password=*** seed=1"),
    "assignment, quoted": ("OSError: api_key='0d9c8b'", "OSError: api_key='***'"),
    "json": ('{"password": "hunter2", "a": 1}', '{"password": "***", "a": 1}'),
    "private key": (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest", "***\nrest"
    ),
    "private key, cut": ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq", "***"),
}  # fmt: skip

INNOCENT_TEXTS = [
    "num_tokens=512 max_tokens=200 tokens: 512",
    "the tokenizer has 32,000 tokens, pad_token <pad>, eos_token </s>, bos_token <s>",
    "token_type_ids, special_tokens_map.json, added_tokens",
    "12,345 real tokens a second",
    "a prompt: what is a good password? A passphrase of five words.",
    "password: ask the administrator",
    "The secret of success: token effort. Bearer of good news, bearer authentication",
    "commit 67e968c1f0d3a5b7c9e2d4f6a8b0c1d3e5f70912",
    "sha256:9c02fd9fc8bba6fcc4e8fb4a17f0922a43fb50d390ad0eb840e3da0b80bc6b1a",
    "/home/ann/runs/optimize-digits-20261126T013220Z-ab12/checkpoints/step-00000024",
    "C:\\Users\\ann\\tokens\\password.txt",
    "https://huggingface.co/HuggingFaceTB/SmolLM2-135M/resolve/main/config.json",
    "http://localhost:8080/@scope/package",
    "git@github.com:owner/name.git, ssh://git@example.org/x",
    "ann@example.org: 3 rows",
    "column `secretary`, column `monkey`, keyword=red, key=value",
    "hf_internal_testing_tiny_random_model and hf_transformers",
    "sk-learn-contrib-classification-report",
    "task-specific skip-connections, desk-based",
    "optimizer.lr=0.01 seed=3 train.batch_size=16",
    "--max-tokens 200 --top-k 5",
    "{'input_ids': [1, 2], 'attention_mask': [1, 1]}",
    "step 3: the gradient of layers.0.self_attn.k_proj.lora.default.a is nan",
    "accuracy 0.7917 (val), loss 0x1.149f64999999fp+0",
    "model.embed_tokens.weight: torch.float32 [32000, 576]",
    "2026-11-26T01:32:20.139+00:00",
    "AKIA is a prefix, xoxb too, eyJ begins JSON",
    "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
    "${oc.env:DATA}/x.csv and ${data.path}",
    "postgresql://${oc.env:USER}:${oc.env:PW}@db/x",
    "wandb, mlflow, tensorboard",
]  # fmt: skip

INNOCENT_KEYS: dict[str, Any] = {
    "num_tokens": 512, "max_tokens": 200, "tokens": 512, "tokenizer": "bpe-with-12345-merges",
    "pad_token": "<pad>", "eos_token": "<|endoftext|>", "bos_token": "<s>", "unk_token": "[UNK]",
    "eos_token_id": 2, "pad_token_id": 50256, "token_type_ids": [0, 1], "special_tokens": ["<a>"],
    "additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "image_token": "<image12345678>",
    "decoder_start_token": "abc123def456", "token": "<pad>", "keyword": "red-1234567890",
    "monkey": "a1b2c3d4e5f6", "secretary": "ann-1234567890", "key": "column-1234567890",
    "primary_key": "id1234567890", "password_column": "pw1234567890", "secret": False,
    "data": "9c02fd9fc8bba6fcc4e8fb4a17f0922a43fb50d390ad0eb840e3da0b80bc6b1a",
    "commit": "67e968c1f0d3a5b7c9e2d4f6a8b0c1d3e5f70912", "password": None,
    "types": {"password": "string", "token": "a1b2c3d4e5f6"}, "names": {"secret": "category"},
    "classes": ["password", "token", "secret"], "target": "password",
    "class_weights": {"secret": 2.0}, "lasttoken": True, "pooling_mode_cls_token": False,
    "bytes_per_token": 4.2, "tokens_per_second": 12345, "access": "key", "path": "/a/token/secret",
}  # fmt: skip

SECRET_KEYS: dict[str, Any] = {
    "password": "swordfish", "db_password": "swordfish", "dbPassword": "swordfish",
    "passphrase": "correct horse", "api_key": "0d9c8b7a", "apiKey": "0d9c8b7a",
    "api-key": "0d9c8b7a", "aws_secret_access_key": "wJalrXUtnFEMI", "client_secret": "abcd",
    "secrets": ["swordfish", "tuna-fish"], "credentials": {"password": "swordfish"},
    "token": "a1b2c3d4e5f6g7", "hub_token": "a1b2c3d4e5f6g7", "access_token": "a1b2c3d4e5f6",
    "private_key": "MIIEpAIBAAKC", "pin_secret": 12345678,
}  # fmt: skip


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_read", {})
    monkeypatch.setattr(module, "_written", set())


@pytest.mark.parametrize("name", SECRET_TEXTS)
def test_hidden_in_text(name: str) -> None:
    text, wanted = SECRET_TEXTS[name]
    assert redact(text) == wanted
    assert redact(wanted) == wanted, "twice is once"


@pytest.mark.parametrize("text", INNOCENT_TEXTS)
def test_text_that_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("key", INNOCENT_KEYS)
def test_keys_that_stay(key: str) -> None:
    plain = {key: INNOCENT_KEYS[key]}
    assert redact_tree(plain) == plain
    assert redact_tree({"model": [plain]}) == {"model": [plain]}


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_hidden_by_key(key: str) -> None:
    found = json.dumps(redact_tree({"a": {key: SECRET_KEYS[key]}}))
    assert "***" in found
    kept = SECRET_KEYS[key]
    leaves = kept.values() if isinstance(kept, dict) else kept if isinstance(kept, list) else [kept]
    assert not any(str(leaf) in found for leaf in leaves)


def test_the_tables_are_as_large_as_promised() -> None:
    assert len(INNOCENT_TEXTS) + len(INNOCENT_KEYS) >= 40
    assert len(SECRET_TEXTS) + len(SECRET_KEYS) >= 12


SECRET_VARIABLES = {"HF_TOKEN": "value-of-it-1", "DB_PASSWORD": "swordfish", "API_KEY": "0d9c8b",
                    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7", "MYSQL_PWD": "tuna99",
                    "GOOGLE_CREDENTIALS": "abc123def"}  # fmt: skip
OTHER_VARIABLES = {"MAX_TOKENS": "4096000", "TOKENIZERS_PARALLELISM": "disabled1",
                   "PWD": "/work/x1", "PASSWORD_FILE": "/run/pw-1234", "KEYBOARD": "german-12",
                   "SECRET": "true", "PAD_TOKEN": "<pad-it>", "TOKEN": "short"}  # fmt: skip


@pytest.mark.parametrize("name", SECRET_VARIABLES)
def test_values_of_such_variables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = SECRET_VARIABLES[name]
    monkeypatch.setenv(name, value)
    assert redact(f"with {value}.") == "with ***."
    if len(value) >= 8:
        assert base64.b64encode(value.encode()).decode() not in redact(
            f"Basic {base64.b64encode(value.encode()).decode()}"
        )


@pytest.mark.parametrize("name", OTHER_VARIABLES)
def test_values_of_other_variables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, OTHER_VARIABLES[name])
    text = f"with {OTHER_VARIABLES[name]}."
    assert redact(text) == text


def test_what_was_read_is_a_reference_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """In what is kept all of it; in sentences neither places nor plain words."""
    values = {"VAULT": "c0ffee-42-vault", "FOLDER": "/mnt/rows", "KIND": "classification",
              "EPOCHS": "3"}  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
        remember(name, value)
    config = {
        "task": "classification", "epochs": 3, "runtime": {"env": list(values)},
        "data": {"path": "/mnt/rows/a.csv", "pin": "c0ffee-42-vault", "other": "/mnt/rowsize"},
        "password": "classification",
    }  # fmt: skip
    assert stored(config) == config | {
        "data": {
            "path": "${oc.env:FOLDER}/a.csv", "pin": "${oc.env:VAULT}", "other": "/mnt/rowsize"
        },
        "password": "${oc.env:KIND}",
    }  # fmt: skip
    assert left_out(config) == []
    said = "classification of /mnt/rows/a.csv with c0ffee-42-vault, 3 epochs"
    assert redact(said) == said.replace("c0ffee-42-vault", "${oc.env:VAULT}")


def test_what_a_file_says_under_a_secret_key_is_hidden_elsewhere() -> None:
    notice("data.password", "swordfish")
    notice("data.note", "an-innocent-note")
    assert redact("swordfish refused, an-innocent-note") == "*** refused, an-innocent-note"
    assert left_out({"data": {"password": "swordfish", "note": "x"}}) == ["data.password"]


def test_command_lines() -> None:
    words = ["ftune", "optimize", "c.yaml", "data.password=abcd", "train.tokens=512", "--json"]
    assert redact_words(words) == [*words[:3], "data.password=***", *words[4:]]
