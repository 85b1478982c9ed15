"""A tokenizer as transformers keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftune.data.text.tokenizer import Tokenizer, library
from ftune.errors import RunFailedError
from ftune.log_suppression import quiet

SAMPLES = (
    "The quick brown fox jumps over the lazy dog.",
    "  Überraschung: 12,345.67 € – naïve café!\n\n\tTabs, CAPITALS & 漢字 🙂",
    "ROMEO:\nWhat is 3 + 4? It's seven.",
    "",
)


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """tokenizer.json and what transformers puts beside it; chat templates too."""
    from transformers import PreTrainedTokenizerFast

    named = {f"{role}_token": text for role, text in tokenizer.specials.items()}
    named.setdefault("pad_token", str(tokenizer.core.id_to_token(tokenizer.pad)))
    limit = {"model_max_length": tokenizer.limit} if tokenizer.limit else {}
    with quiet():
        converted = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=_core(tokenizer),
            clean_up_tokenization_spaces=False,
            model_input_names=["input_ids", "attention_mask"],
            **named,
            **limit,
        )
        templates = tokenizer.templates
        converted.chat_template = (
            templates.get("default") if len(templates) < 2 else dict(templates)
        )
        converted.save_pretrained(folder)


def read_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Raises RunFailedError where AutoTokenizer gives other ids than ours, or another text."""
    from transformers import AutoTokenizer

    with quiet():
        loaded = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        given = loaded(list(SAMPLES))["input_ids"]
    for text, ids in zip(SAMPLES, given, strict=True):
        wanted = tokenizer.core.encode(text).ids
        if ids != wanted or loaded.decode(ids) != tokenizer.decode(ids):
            raise RunFailedError(
                f"{folder.name}: the tokenizer, read back, gives other ids for {text[:20]!r}"
            )


def _core(tokenizer: Tokenizer) -> Any:
    """As it was read, without a length that it may have been stored with."""
    core = library().Tokenizer.from_str(tokenizer.json)
    core.no_padding()
    core.no_truncation()
    return core
