"""A tokenizer as transformers keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftune.errors import RunFailedError
from ftune.exports.graph import still

SAMPLES = (
    "The quick brown fox jumps over the lazy dog.",
    "  Überraschung: 12,345.67 € – naïve café!\n\n\tTabs, CAPITALS & 漢字 🙂",
    "ROMEO:\nWhat is 3 + 4? It's seven.",
    "",
)


def write_tokenizer(tokenizer: Any, folder: Path) -> None:
    """tokenizer.json and what transformers puts beside it; chat templates too."""
    from transformers import PreTrainedTokenizerFast

    named = {f"{role}_token": text for role, text in tokenizer.specials.items()}
    named.setdefault("pad_token", tokenizer.core.id_to_token(tokenizer.pad))
    limit = {"model_max_length": tokenizer.limit} if tokenizer.limit else {}
    with still():
        made = PreTrainedTokenizerFast(
            tokenizer_object=_as_stored(tokenizer),
            clean_up_tokenization_spaces=False,
            model_input_names=["input_ids", "attention_mask"],
            **named,
            **limit,
        )
        templates = tokenizer.templates
        made.chat_template = templates.get("default") if len(templates) < 2 else dict(templates)
        made.save_pretrained(folder)


def read_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Raises RunFailedError where AutoTokenizer gives other ids than ours, or another text."""
    from transformers import AutoTokenizer

    with still():
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    for text in SAMPLES:
        wanted = tokenizer.core.encode(text).ids
        ids = found(text)["input_ids"]
        if ids != wanted or found.decode(ids) != tokenizer.decode(ids):
            raise RunFailedError(
                f"{folder.name}: the tokenizer, read back, gives other ids for {text[:20]!r}"
            )


def _as_stored(tokenizer: Any) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(tokenizer.json)
