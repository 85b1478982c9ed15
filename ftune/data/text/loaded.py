"""The tokenizer of a model: of a Hugging Face folder, a GGUF file or a hub name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ftune.data import disk_cache
from ftune.data.text.tokenizer import Tokenizer, library
from ftune.errors import DataError, MissingExtraError, RequestError
from ftune.hub import UNREACHABLE, reachable
from ftune.log_suppression import quiet
from ftune.security.limits import documents
from ftune.security.limits.folders import model_folder
from ftune.security.limits.form import of_form
from ftune.security.limits.gguf import gguf_file
from ftune.security.remote_code import Opened, opened, refusal

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
FILES = (
    "tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt",
    "vocab.json", "vocab.bpe",
)  # fmt: skip
UNLIMITED = 10**6
"""Transformers writes 10**30 where a tokenizer knows no limit."""
PADDED_POSITIONS = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"}
"""Model types whose positions start after the padding id."""


def load(path: str, cached: Path | None = None) -> Tokenizer:
    """Raises DataError where there is no tokenizer, MissingExtraError without the packages.

    cached: the folder to keep what was converted, which takes ten seconds for a GGUF file.
    """
    library()
    source = Path(path)
    if source.is_file() and source.suffix.lower() == ".gguf":
        gguf_file(source)
        return _of_gguf(source, cached)
    if source.is_dir():
        model_folder(source, weights=False)
        with of_form(f"{source}: its tokenizer"):
            return _of_folder(source)
    if source.exists() or source.is_absolute() or path.startswith((".", "~")):
        kind = "no tokenizer: a folder or a .gguf file is needed" if source.exists() else "no such"
        raise DataError(f"{path}: {kind}" + ("" if source.exists() else " folder or file"))
    return _of_hub(path)


def _of_folder(folder: Path) -> Tokenizer:
    if not any((folder / name).is_file() for name in FILES):
        raise DataError(
            f"{folder}: no tokenizer in this folder (tokenizer.json, tokenizer.model, vocab.txt …);"
            " copy it there, or train one: `tokenize: {tokenizer: bpe}`"
        )
    file = folder / "tokenizer.json"
    if not file.is_file():
        return _converted(str(folder), _limit(folder), _stops(folder), local_files_only=True)
    config = _json(folder / "tokenizer_config.json")
    listed = _json(folder / "special_tokens_map.json") | config
    specials = {role: _text(listed.get(f"{role}_token")) for role in ROLES}
    known = {role: text for role, text in specials.items() if text is not None}
    templates = _templates(config.get("chat_template")) | _template_files(folder)
    try:
        text = file.read_text(encoding="utf-8")
        library().Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exception
        raise DataError(f"{file}: not a readable tokenizer: {str(error)[:200]}") from None
    limit, positions = _limit(folder), _positions(folder)
    return Tokenizer(text, known, templates, limit, _stops(folder), positions)


def _of_gguf(file: Path, cached: Path | None) -> Tokenizer:
    about = file.stat()

    def make() -> disk_cache.Content:
        where = {"gguf_file": file.name, "local_files_only": True}
        tokenizer = _converted(str(file.parent), None, (), **where)
        return {"tokenizer": tokenizer.array()}, [json.dumps(tokenizer.to_json())]

    key = disk_cache.key_of([str(file.resolve()), str(about.st_size), str(about.st_mtime_ns)])
    arrays, notes = disk_cache.load_or_make(cached, key, make)
    return Tokenizer.restore(json.loads(notes[0]), arrays["tokenizer"])


def _of_hub(name: str) -> Tokenizer:
    """From the local cache of the hub, else from the hub itself."""
    try:
        return _converted(name, None, (), local_files_only=True)
    except DataError:
        if not reachable(name):
            raise DataError(f"{name}: {UNREACHABLE}") from None
        return _converted(name, None, ())


def _converted(name: str, limit: int | None, stops: tuple[str, ...], **where: Any) -> Tokenizer:
    """What transformers reads, as a tokenizer.json."""
    try:
        source = _read(name, where)
    except ImportError:
        raise MissingExtraError("this tokenizer", "text") from None
    except RequestError:
        raise
    except Exception as error:  # transformers raises all kinds here
        if "trust_remote_code" in str(error):
            raise DataError(f"{name}: its tokenizer {refusal(name)}") from None
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        shown = str(Path(name) / where["gguf_file"]) if "gguf_file" in where else name
        raise DataError(f"{shown}: no tokenizer could be read: {reason}") from None
    if not hasattr(source, "backend_tokenizer"):
        raise DataError(f"{name}: its tokenizer cannot be converted to a tokenizer.json")
    specials = {role: _text(getattr(source, f"{role}_token", None)) for role in ROLES}
    known = {role: text for role, text in specials.items() if text is not None}
    own = source.model_max_length if source.model_max_length < UNLIMITED else None
    limits = [length for length in (limit, own) if length is not None]
    templates = _templates(source.chat_template)
    text = source.backend_tokenizer.to_str()
    return Tokenizer(text, known, templates, min(limits, default=None), stops)


def _read(name: str, where: dict[str, Any]) -> Any:
    """What AutoTokenizer reads; code that a folder brings is run with consent only."""
    source = opened(name) if Path(name).is_dir() else Opened(name)
    with quiet():
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(
            source.place, trust_remote_code=source.trusted, **where
        )


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        content = documents.read(file)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not readable JSON: {error}") from None
    return content if isinstance(content, dict) else {}


def _text(token: Any) -> str | None:
    """A special token is written as its text, or as an object with it."""
    text = token.get("content") if isinstance(token, dict) else token
    return None if text is None else str(text)


def _templates(found: Any) -> dict[str, str]:
    """By name; a single one is `default`."""
    if isinstance(found, str):
        return {"default": found}
    if isinstance(found, dict):
        return {str(name): str(text) for name, text in found.items()}
    named = found if isinstance(found, list) else []
    return {
        template["name"]: template["template"] for template in named if isinstance(template, dict)
    }


def _template_files(folder: Path) -> dict[str, str]:
    """Newer folders keep templates in files of their own."""
    files = {"default": folder / "chat_template.jinja"}
    files |= {file.stem: file for file in folder.glob("additional_chat_templates/*.jinja")}
    return {n: file.read_text(encoding="utf-8") for n, file in files.items() if file.is_file()}


def _positions(folder: Path) -> int | None:
    """Tokens that the model can read."""
    config = _json(folder / "config.json")
    positions = config.get("max_position_embeddings", config.get("n_positions"))
    if not isinstance(positions, int):
        return None
    padded = config.get("model_type") in PADDED_POSITIONS
    return positions - (config.get("pad_token_id") or 1) - 1 if padded else positions


def _limit(folder: Path) -> int | None:
    """Tokens a text: the least of what model, tokenizer and sentence transformer say."""
    limits = [
        _positions(folder),
        _json(folder / "tokenizer_config.json").get("model_max_length"),
        _json(folder / "sentence_bert_config.json").get("max_seq_length"),
    ]
    known = [
        int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < UNLIMITED
    ]
    return min(known, default=None)


def _stops(folder: Path) -> tuple[str, ...]:
    """The tokens that end a turn, where the folder lists them (Llama 3 has two)."""
    ids = _json(folder / "generation_config.json").get("eos_token_id")
    listed = ids if isinstance(ids, list) else [ids]
    file = folder / "tokenizer.json"
    added = _json(file).get("added_tokens", []) if file.is_file() else []
    return tuple(token["content"] for token in added if token.get("id") in listed)
