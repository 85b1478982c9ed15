"""Tokenizers that are made from the training texts: characters, and byte-level BPE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ftune.data.text.tokenizer import Tokenizer, library, with_threads

UNKNOWN, END = "<unk>", "<|endoftext|>"
TURN, TURN_END = "<|im_start|>", "<|im_end|>"
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The turns of ChatML, without a system prompt of its own."""


def characters(texts: Iterable[str], chat: bool) -> Tokenizer:
    """One id a character, those of the training texts in code point order from 0.

    A character that they lack is `<unk>`. `chat` adds the tokens of ChatML.
    """
    known = sorted(set().union(*map(set, texts)))
    vocabulary = {character: i for i, character in enumerate(known)}
    vocabulary.setdefault(UNKNOWN, len(vocabulary))
    lib = library()
    # Without merges, BPE gives each character its id; `<unk>` is no token of the text.
    core = lib.Tokenizer(lib.models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN))
    core.decoder = lib.decoders.Fuse()
    return _finished(core, {"unk": UNKNOWN}, chat)


def bpe(texts: Iterable[str], size: int, chat: bool) -> Tokenizer:
    """Byte-pair encoding of UTF-8 bytes with at most `size` tokens (Sennrich et al. 2016).

    Words are split as in GPT-2; nothing is unknown.
    """
    lib = library()
    with_threads()
    core = lib.Tokenizer(lib.models.BPE())
    core.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = lib.decoders.ByteLevel()
    specials = [END, *([TURN, TURN_END] if chat else [])]
    trainer = lib.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=specials,
        initial_alphabet=sorted(lib.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return _finished(core, {}, chat)


def _finished(core: Any, specials: dict[str, str], chat: bool) -> Tokenizer:
    core.add_special_tokens([END, *([TURN, TURN_END] if chat else [])])
    templates = {"default": CHATML} if chat else {}
    stops = (END, *((TURN_END,) if chat else ()))
    return Tokenizer(core.to_str(), specials | {"eos": END}, templates, None, stops)
