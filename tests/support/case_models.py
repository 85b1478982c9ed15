"""The tiny models of transformers that the cases of ../shared/cases name as MODEL/…."""

from __future__ import annotations

from pathlib import Path

import torch

from ftune.data.text.trained import CHATML
from ftune.log_suppression import quiet

WORDS = ("the cat sat on the mat", "where is the dog", "a bird flew over the house", "be kind")
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def save_chat_models(place: Path) -> dict[str, Path]:
    """Folders `chat`, `added` (two tokens without rows) and `nosys` under `place`, by name."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(WORDS, trainer)
    for name, template, more in (
        ("chat", CHATML, []), ("added", CHATML, ["<|new_a|>", "<|new_b|>"]),
        ("nosys", NO_SYSTEM, []),
    ):  # fmt: skip
        fast = transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>"
        )
        fast.chat_template = template
        rows = len(fast)
        if more:
            fast.add_special_tokens({"additional_special_tokens": more})
        config = transformers.LlamaConfig(
            vocab_size=rows, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
            eos_token_id=2, pad_token_id=0, bos_token_id=None, tie_word_embeddings=False,
        )  # fmt: skip
        torch.manual_seed(0)
        with quiet():
            transformers.LlamaForCausalLM(config).save_pretrained(place / name)
            fast.save_pretrained(place / name)
    return {name: place / name for name in ("chat", "added", "nosys")}
