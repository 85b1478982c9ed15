"""Texts as the ids of their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.transforms.transform import Transform


@dataclass(frozen=True)
class Tokenize(Transform):
    """Cuts texts into tokens: as the model does, into characters, or by a BPE learnt here.

    Conversations and prompts are marked, so that only answers count in the loss.
    """

    kinds = ("text",)

    tokenizer: Literal["auto", "model", "characters", "bpe"] = setting("auto")
    """Whose tokens: those of the model or of the base, single characters, or byte-level BPE trained
    on the training rows. auto: of the base, else of the model, else bpe."""
    vocabulary: int = setting(8000, at_least=257)
    """bpe: how many tokens there are at most; 256 are the bytes."""
    max_length: int | None = setting(None, at_least=2)
    """Most tokens in a row; what is longer is cut on the right and counted. null: what the model
    can take, at most 512, for language modelling at most 1024."""
    stream: bool | None = setting(None)
    """causal-lm: whether all texts are one stream, cut into blocks of max_length without padding;
    the cut moves from epoch to epoch. null: for plain text files."""
    packing: bool = setting(False)
    """causal-lm: whether several samples share a training row of max_length tokens; they do not see
    each other."""
    add_eos: bool | None = setting(None)
    """causal-lm: whether a text or response is followed by the token that ends it, which is learnt
    too. null: yes, but not for the rows of a plain text file. Chat templates end turns themselves.
    """
    chat: bool | None = setting(None)
    """Whether prompt and response become turns of the chat template. null: where the tokenizer has
    one. `messages` always do."""
    chat_template: str | None = setting(None)
    """The template in place of the tokenizer's own: the name of one that it has, or Jinja. Where a
    tokenizer is trained here: ChatML."""
    mask_prompt: bool = setting(True)
    """Whether only responses, or the turns of the assistant, count in the loss."""

    def __post_init__(self) -> None:
        if self.stream and self.packing:
            raise SettingError("packing", "goes not with `stream`, whose rows are full already")
        if self.chat_template is not None and self.chat is False:
            raise SettingError("chat_template", "goes not with `chat: false`")
