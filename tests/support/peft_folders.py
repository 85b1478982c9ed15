"""Models that carry adapters as PEFT has them, ours and those that PEFT trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ftune.adapt.edits import Edit, replay
from ftune.adapt.lora import LoraAdapter
from ftune.adapt.schema import Lora


class Vision(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, stride=2)
        self.depthwise = nn.Conv2d(6, 6, 3, groups=6)
        self.fc, self.norm = nn.Linear(6, 4), nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(self.fc(self.depthwise(self.conv(x)).mean((2, 3))))
        return found


class Words(nn.Module):
    """Tied embedding and output."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.q_proj = nn.Embedding(12, 8), nn.Linear(8, 8)
        self.lm_head = nn.Linear(8, 12, bias=False)
        self.lm_head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.lm_head(torch.relu(self.q_proj(self.embed(x))))
        return found


def gpt2() -> nn.Module:
    import transformers

    config = transformers.GPT2Config(vocab_size=12, n_embd=8, n_layer=2, n_head=2, n_positions=16)
    return transformers.GPT2LMHeadModel(config)


def llama() -> nn.Module:
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=12, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=8, tie_word_embeddings=True,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def ids() -> Tensor:
    return torch.randint(12, (3, 5))


def images() -> Tensor:
    return torch.randn(2, 3, 9, 9)


ATTENTION = [f"model.layers.{i}.self_attn.{p}_proj" for i in (0, 1) for p in "qv"]
Case = tuple[Callable[[], nn.Module], Callable[[], Tensor], dict[str, dict[str, Any]]]
CASES: dict[str, Case] = {
    "linear": (Words, ids, {"q_proj": {}}),
    "rslora": (llama, ids, {path: {"rslora": True, "rank": 4} for path in ATTENTION}),
    "dora": (llama, ids, {path: {"dora": True} for path in ATTENTION}),
    "ranks": (llama, ids, {p: {"rank": i + 1, "alpha": 3.0} for i, p in enumerate(ATTENTION)}),
    "some rslora": (llama, ids, {p: {"rslora": i > 1, "rank": 3} for i, p in enumerate(ATTENTION)}),
    "embedding": (Words, ids, {"embed": {}, "q_proj": {}}),
    "embedding, dora": (Words, ids, {"embed": {"dora": True}}),
    "conv2d": (Vision, images, {"conv": {}, "fc": {"rank": 3}}),
    "conv2d, dora": (Vision, images, {"conv": {"dora": True}}),
    "transformers' Conv1D": (gpt2, ids, {"transformer.h.0.attn.c_attn": {},
                                         "transformer.h.1.mlp.c_proj": {"rank": 5}}),
    "Conv1D, dora": (gpt2, ids, {"transformer.h.1.attn.c_attn": {"dora": True}}),
}  # fmt: skip


def adapted(case: Case) -> tuple[Any, nn.Module]:
    """(adapted and as if trained, the same base)."""
    torch.manual_seed(0)
    build, _, where = case
    base = build()
    model: Any = copy.deepcopy(base)
    replay(model, [Edit("lora", path, settings=Lora(**{"rank": 2, **own}).settings())
                   for path, own in where.items()])  # fmt: skip
    for module in model.modules():
        if isinstance(module, LoraAdapter):
            for parameter in module.parameters():
                parameter.data += torch.randn_like(parameter) * 0.3
    return model, base


PEFTS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor], dict[str, Any]]] = {
    "linear": (llama, ids, {"target_modules": ["q_proj", "down_proj"], "lora_dropout": 0.1}),
    "patterns": (
        llama, ids,
        {"target_modules": ["q_proj", "v_proj"],
         "rank_pattern": {"v_proj": 3, "layers.1.self_attn.q_proj": 5},
         "alpha_pattern": {"^model.layers.0.self_attn.v_proj": 7}},
    ),
    "rslora and dora": (llama, ids, {"target_modules": "all-linear", "use_rslora": True,
                                     "use_dora": True}),
    "embedding": (Words, ids, {"target_modules": ["embed", "q_proj"]}),
    "conv2d": (Vision, images, {"target_modules": ["conv"], "modules_to_save": ["fc", "norm"]}),
    "conv2d, dora": (Vision, images, {"target_modules": ["conv"], "use_dora": True}),
    "biases": (Vision, images, {"target_modules": ["fc"], "bias": "lora_only"}),
    "all biases": (Vision, images, {"target_modules": ["fc"], "bias": "all"}),
    "Conv1D": (gpt2, ids, {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}),
    "saved output": (llama, ids, {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}),
}  # fmt: skip


def trained_by_peft(name: str, folder: Path) -> tuple[nn.Module, nn.Module, Tensor]:
    """(PEFT's model after three steps, the base, inputs); its folder lies in `folder`."""
    import peft

    torch.manual_seed(0)
    build, data, settings = PEFTS[name]
    base, x = build(), data()
    config = peft.LoraConfig(r=2, lora_alpha=4, **settings)
    model = peft.get_peft_model(copy.deepcopy(base), config)
    moved = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(moved, lr=0.05)
    for _ in range(3):
        found = model(x)
        getattr(found, "logits", found).pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(str(folder))
    return model, base, x
