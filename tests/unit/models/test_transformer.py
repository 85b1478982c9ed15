"""Texts through `sequential`: blocks, masks and places from segments, pooling, language models."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ftune.config.load import Language
from ftune.errors import RequestError
from ftune.models.blocks import TransformerBlock, rotated
from ftune.models.mlp import Mlp
from ftune.models.sequential import Sequential
from ftune.models.shapes import Built, Inputs
from ftune.models.tokens import places, pool, same_sample

TIME, VOCABULARY = 12, 17
LANGUAGE = Inputs((TIME,), vocabulary=VOCABULARY, positions=True)
TEXT = Inputs((TIME,), vocabulary=VOCABULARY)
# Two samples and padding; one sample and padding; one sample.
SEGMENTS = torch.tensor([[1] * 5 + [2] * 4 + [0] * 3, [1] * 7 + [0] * 5, [1] * TIME])
GPT: tuple[Any, ...] = (
    {"embedding": 16, "positions": "learned", "init": "normal"},
    {"dropout": 0.1},
    {"repeat": 2, "layers": [{"transformer": 4, "causal": True, "dropout": 0.1}]},
    "layernorm",
    {"linear": "out", "bias": False, "init": "normal"},
)


def build(*layers: Any, inputs: Inputs = LANGUAGE, outputs: int = VOCABULARY) -> Built:
    torch.manual_seed(0)
    model = Language(Sequential).of({"layers": list(layers)})
    return model.build(inputs, outputs)


def louder(model: nn.Module) -> nn.Module:
    """Weights large enough that every dependence shows."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def ids(rows: int = len(SEGMENTS)) -> Tensor:
    return torch.randint(0, VOCABULARY, (rows, TIME), generator=torch.Generator().manual_seed(1))


def alone(model: nn.Module, x: Tensor, segments: Tensor) -> Tensor:
    """Each sample by itself, its outputs laid where they belong; zeros at padding."""
    out = torch.zeros(*x.shape, VOCABULARY)
    for row in range(len(x)):
        for sample in range(1, int(segments[row].max()) + 1):
            mine = segments[row] == sample
            out[row, mine] = model(x[row, mine][None])[0]
    return out


MODELS: dict[str, list[Any]] = {
    "learned": list(GPT),
    "rotary": [
        {"embedding": 16},
        {"repeat": 2, "layers": [{"transformer": 2, "causal": True, "positions": "rotary",
                                  "norm": "rmsnorm", "activation": "swiglu", "bias": False}]},
        {"linear": "out"},
    ],
    "sinusoidal, both directions": [
        {"embedding": 16, "positions": "sinusoidal"},
        {"transformer": 4, "pre_norm": False},
        {"residual": [{"transformer": 4}]},
        {"linear": "out"},
    ],
    "lstm": [{"embedding": 16}, {"lstm": 8, "output": "all"}, {"linear": "out"}],
    "gru, both directions": [
        {"embedding": 16}, {"gru": 8, "layers": 2, "bidirectional": True, "output": "all"},
        {"linear": "out"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_packed_samples_are_as_each_alone(name: str) -> None:
    tags = Inputs((TIME,), vocabulary=VOCABULARY + 1, positions=True)
    model = louder(build(*MODELS[name], inputs=tags).module)
    x, real = ids(), SEGMENTS > 0
    expected = alone(model, x, SEGMENTS)
    torch.testing.assert_close(model(x, SEGMENTS)[real], expected[real], atol=1e-5, rtol=1e-5)
    # The control: without segments the second sample of a row sees the first.
    second = SEGMENTS == 2
    assert (model(x)[second] - expected[second]).abs().max() > 1e-2


@pytest.mark.parametrize("name", MODELS)
def test_causal_models_do_not_see_later_tokens(name: str) -> None:
    tags = Inputs((TIME,), vocabulary=VOCABULARY + 1, positions=True)
    model = louder(build(*MODELS[name], inputs=tags).module)
    x = ids()
    changed = x.clone()
    changed[:, 8] = (changed[:, 8] + 1) % VOCABULARY
    difference = (model(x) - model(changed)).abs().amax((0, 2))
    assert difference[8] > 1e-3
    assert (difference[:8] < 1e-6).all() == ("both" not in name)


def test_a_language_model_that_sees_later_tokens_is_refused() -> None:
    for layers in (
        [{"embedding": 16}, {"transformer": 4}, {"linear": "out"}],
        [{"embedding": 16}, {"lstm": 8, "bidirectional": True, "output": "all"}, {"linear": "out"}],
    ):
        with pytest.raises(RequestError, match="`causal: true`"):
            build(*layers)


def test_the_block_is_that_of_torch() -> None:
    """nn.TransformerEncoderLayer, written by others, with the same weights."""
    for pre_norm, activation in ((True, "gelu"), (False, "relu")):
        torch.manual_seed(0)
        settings = {"pre_norm": pre_norm, "activation": activation}
        block = louder(TransformerBlock(16, 4, **settings))  # type: ignore[arg-type]
        assert isinstance(block, TransformerBlock)
        reference = nn.TransformerEncoderLayer(
            16, 4, 64, 0.0, activation, batch_first=True, norm_first=pre_norm
        ).eval()
        attention = block.attention
        parts = (attention.query, attention.key, attention.value)
        named = {
            "self_attn.in_proj_weight": torch.cat([part.weight for part in parts]),
            "self_attn.in_proj_bias": torch.cat([part.bias for part in parts]),
        }
        for ours, theirs in (("attention.out", "self_attn.out_proj"), ("norm1", "norm1"),
                             ("norm2", "norm2"), ("feedforward.up", "linear1"),
                             ("feedforward.down", "linear2")):  # fmt: skip
            for tensor in ("weight", "bias"):
                named[f"{theirs}.{tensor}"] = block.state_dict()[f"{ours}.{tensor}"]
        reference.load_state_dict(named)
        x = torch.randn(3, TIME, 16)
        mask = nn.Transformer.generate_square_subsequent_mask(TIME)
        causal = TransformerBlock(16, 4, causal=True, **settings).eval()  # type: ignore[arg-type]
        causal.load_state_dict(block.state_dict())
        torch.testing.assert_close(block(x), reference(x), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(causal(x), reference(x, mask), atol=1e-5, rtol=1e-5)


def test_swiglu_and_rmsnorm_follow_their_formulas() -> None:
    block = louder(TransformerBlock(12, 2, activation="swiglu", norm="rmsnorm", bias=False))
    assert isinstance(block, TransformerBlock)
    assert block.feedforward.up.weight.shape == (32, 12)
    x = torch.randn(2, 3, 12)
    ff = block.feedforward
    by_hand = (F.silu(x @ ff.gate.weight.T) * (x @ ff.up.weight.T)) @ ff.down.weight.T
    torch.testing.assert_close(ff(x), by_hand)
    assert isinstance(block.norm1, nn.RMSNorm)


def test_rotary_products_depend_on_the_distance_only() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 8)
    near, far = torch.tensor([3]), torch.tensor([10])
    there = (rotated(q, near) * rotated(k, near + 2)).sum()
    torch.testing.assert_close((rotated(q, far) * rotated(k, far + 2)).sum(), there)
    assert abs(float((rotated(q, far) * rotated(k, far + 3)).sum() - there)) > 1e-3
    pair = torch.tensor([[[[1.0, 0.0]]]])
    turned = rotated(pair, torch.tensor([1]))
    torch.testing.assert_close(turned.flatten(), torch.tensor([math.cos(1), math.sin(1)]))


def test_rotary_angles_are_exact_in_half_precision() -> None:
    x, far = torch.ones(1, 1, 1, 8), torch.tensor([1001])
    half = rotated(x.bfloat16(), far)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), rotated(x, far), atol=0.02, rtol=0)


def test_rotary_is_that_of_transformers() -> None:
    llama = pytest.importorskip("transformers.models.llama.modeling_llama", exc_type=ImportError)
    config = llama.LlamaConfig(hidden_size=16, num_attention_heads=2, head_dim=8)
    at = torch.arange(5)
    q = torch.randn(1, 2, 5, 8)
    cosine, sine = llama.LlamaRotaryEmbedding(config)(q, at[None])
    expected, _ = llama.apply_rotary_pos_emb(q, q, cosine, sine)
    torch.testing.assert_close(rotated(q, at), expected)


def test_places_and_masks_follow_from_segments() -> None:
    segments = torch.tensor([[1, 1, 2, 2, 2, 0], [1, 2, 3, 3, 0, 0]])
    x = torch.zeros(2, 6)
    assert places(x, segments).tolist() == [[0, 1, 0, 1, 2, 0], [0, 0, 0, 1, 0, 1]]
    assert places(x, None).tolist() == [0, 1, 2, 3, 4, 5]
    seen = same_sample(segments, causal=True)[0, 0]
    assert seen.int().tolist() == [
        [1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1],
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["avg", "max", "first", "last"])
def test_pooling_reads_real_positions_only(kind: str) -> None:
    x = torch.randn(3, TIME, 4)
    segments = (SEGMENTS > 0).long()
    by_hand: Any = {
        "avg": lambda row: row.mean(0), "max": lambda row: row.amax(0),
        "first": lambda row: row[0], "last": lambda row: row[-1],
    }[kind]  # fmt: skip
    expected = torch.stack([by_hand(x[i, segments[i] > 0]) for i in range(3)])
    torch.testing.assert_close(pool(x, segments, kind), expected)
    torch.testing.assert_close(pool(x, None, kind)[2], expected[2])
    assert torch.equal(pool(x, None, kind)[1], expected[1]) == (kind == "first")


TEXT_MODELS: list[list[Any]] = [
    [{"embedding": 8}, {"transformer": 2}, "globalpool", {"linear": "out"}],
    [{"embedding": 8}, {"lstm": 4, "bidirectional": True}, {"linear": "out"}],
    [{"embedding": 8}, {"gru": 4}, {"linear": "out"}],
]


@pytest.mark.parametrize("layers", TEXT_MODELS, ids=str)
def test_padding_changes_nothing(layers: list[Any]) -> None:
    model = louder(build(*layers, inputs=TEXT, outputs=3).module)
    segments = (SEGMENTS > 0).long()
    x, y = ids(), model(ids(), segments)
    for row in range(3):
        real = segments[row] > 0
        torch.testing.assert_close(y[row], model(x[row, real][None])[0], atol=1e-5, rtol=1e-5)
    assert (model(x)[1] - y[1]).abs().max() > 1e-3  # the control: padding is read as words


def test_an_mlp_reads_the_mean_of_its_words() -> None:
    built = Mlp(width=8, depth=1).build(TEXT, 3)
    model, segments = built.module.eval(), (SEGMENTS > 0).long()
    table = model.get_parameter("embedding1.weight")
    mean = torch.stack([table[ids()[i, segments[i] > 0]].mean(0) for i in range(3)])
    hidden = model.get_submodule("layer1")(mean).relu()
    torch.testing.assert_close(model(ids(), segments), model.get_submodule("head")(hidden))


def test_ids_are_not_read_as_numbers() -> None:
    for layers in (
        [{"linear": "out"}],
        ["relu", {"embedding": 4}, "globalpool", {"linear": "out"}],
    ):
        with pytest.raises(RequestError, match="the ids of tokens; begin with `embedding: 128`"):
            build(*layers, inputs=TEXT, outputs=2)


def test_a_language_model_gives_outputs_at_each_position() -> None:
    built = build(*GPT)
    assert built.module(ids()).shape == (3, TIME, VOCABULARY)
    with pytest.raises(RequestError, match=r"the task needs \[12, 17\].*nothing may pool"):
        build({"embedding": 4}, "globalpool", {"linear": "out"})
    with pytest.raises(
        RequestError, match=r"gives \[12, 2\] for each sample, the task needs \[2\]"
    ):
        build({"embedding": 4}, {"linear": "out"}, inputs=TEXT, outputs=2)


def test_every_weight_of_a_small_gpt_learns() -> None:
    model = build(*GPT).module.train()
    x = ids()
    torch.autograd.backward(F.cross_entropy(model(x, SEGMENTS)[SEGMENTS > 0], x[SEGMENTS > 0]))
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_hidden_then_project_is_the_whole_model() -> None:
    model: Any = louder(build(*GPT).module)
    x = ids()
    torch.testing.assert_close(
        model.output_layer(model.hidden(x, SEGMENTS)), model(x, SEGMENTS), rtol=0, atol=0
    )
    named: Any = build(*GPT[:3], {"linear": 8, "as": "hidden"}, {"linear": "out"}).module
    assert isinstance(named.hidden, nn.Linear)
    assert not hasattr(named, "project")


def test_it_starts_as_gpt2_does() -> None:
    """Normal 0.02, biases 0, what is added to the stream by 1/√(2 · blocks) smaller."""
    wide = [{"embedding": 256, "init": "normal"},
            {"repeat": 4, "layers": [{"transformer": 4, "causal": True}]},
            {"linear": "out", "init": "normal"}]  # fmt: skip
    state = build(*wide).module.state_dict()
    for name, tensor in state.items():
        if name.endswith("bias"):
            assert not tensor.any(), name
        elif "norm" not in name:
            added = name.endswith(("out.weight", "down.weight"))
            expected = 0.02 / math.sqrt(8) if added else 0.02
            assert float(tensor.std()) == pytest.approx(expected, rel=0.05), name
    wide[1] = {"repeat": 4, "layers": [{"transformer": 4, "causal": True, "init": "default"}]}
    weight = build(*wide).module.get_parameter("repeat1.1.transformer1.attention.out.weight")
    assert float(weight.detach().std()) == pytest.approx(1 / math.sqrt(3 * 256), rel=0.05)


def test_a_tied_head_shares_the_embedding() -> None:
    built = build(*GPT[:-1], {"linear": "out", "bias": False, "tied": True})
    model = built.module
    assert model.get_parameter("head.weight") is model.get_parameter("embedding1.weight")
    untied = build(*GPT).module
    assert sum(p.numel() for p in untied.parameters()) - 16 * VOCABULARY == sum(
        p.numel() for p in model.parameters()
    )
    with pytest.raises(RequestError, match=r"`tied` needs one embedding of tokens \[17, 4\]"):
        build({"embedding": 8}, {"linear": 4}, {"linear": "out", "tied": True})


def test_dropout_is_for_training() -> None:
    model = build(*GPT).module
    x = ids()
    assert torch.equal(model.eval()(x), model(x))
    assert not torch.equal(model.train()(x), model(x))
