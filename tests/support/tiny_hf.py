"""Models of transformers with random weights, and a tokenizer trained on a few sentences."""

from __future__ import annotations

from pathlib import Path

import torch

from ftune.log_suppression import quiet

SENTENCES = ("the cat sat on the mat", "a dog ran far away", "the bird flew over the house",
             "fish swim in the deep blue sea")  # fmt: skip


def save_models(place: Path) -> dict[str, Path]:
    """Folders as save_pretrained writes them: language models and an encoder, by architecture."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<eos>", "<pad>"]
    core.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=300, special_tokens=specials, initial_alphabet=alphabet),
    )
    fast = transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core, eos_token="<eos>", pad_token="<pad>"
    )
    llama = transformers.LlamaConfig(
        vocab_size=len(fast), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, eos_token_id=0,
        pad_token_id=1, bos_token_id=None, tie_word_embeddings=True, initializer_range=0.3,
    )  # fmt: skip
    bert = transformers.BertConfig(
        vocab_size=len(fast), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, pad_token_id=1, initializer_range=0.3,
    )  # fmt: skip
    gpt2 = transformers.GPT2Config(
        vocab_size=len(fast), n_embd=32, n_layer=2, n_head=4, n_positions=64, eos_token_id=0,
        bos_token_id=None, initializer_range=0.3,
    )  # fmt: skip
    made = {"llama": transformers.LlamaForCausalLM, "bert": transformers.BertModel,
            "gpt2": transformers.GPT2LMHeadModel}  # fmt: skip
    for name, config in {"llama": llama, "bert": bert, "gpt2": gpt2}.items():
        torch.manual_seed(0)
        with quiet():
            made[name](config).save_pretrained(place / name)
            fast.save_pretrained(place / name)
    return {name: place / name for name in made}
