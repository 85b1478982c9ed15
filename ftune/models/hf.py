"""Models of the transformers library: from a folder, a GGUF file, or the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.errors import RequestError
from ftune.models.hf_card import HfCard, Kind, rebuilding
from ftune.models.shapes import Built, Inputs, Loading, Pooling, head_axes
from ftune.security.limits.form import of_form

if TYPE_CHECKING:
    from ftune.models.hf_modules import CausalLm, Encoder, Native
    from ftune.models.hf_source import Source


@dataclass(frozen=True)
class Hf:
    """A model of Hugging Face transformers with its tokenizer: language models, encoders and
    classifiers. Weights are kept in 32 bits; code from a model's folder is never run."""

    path: str | None = setting(None, path=True, exact=False, fact="trial")
    """Its folder, or a .gguf file; null: the `hub`, or when fine-tuning the base."""
    hub: str | None = setting(None, exact=False, fact="trial")
    """Its name on the Hugging Face hub, as `org/model`, instead of a path."""
    kind: Literal["auto", "causal-lm", "encoder", "sequence", "token"] = setting("auto")
    """causal-lm: predicts the next token. token: a head at each token. encoder: pooling and a new
    head. sequence: the classifier that the architecture has. auto: by the task, and the classifier
    that the files bring."""
    pooling: Literal["auto", "mean", "cls", "last", "max"] = setting("auto")
    """For `encoder`: how one vector comes of all tokens. auto: as sentence-transformers noted in
    the folder, else the mean, of language models the last."""
    normalize: bool = setting(False)
    """For `encoder`: whether that vector is brought to length 1."""
    dropout: float = setting(0.1, at_least=0, below=1)
    """Share zeroed before the head while training; a language model's head has none."""
    attention: Literal["auto", "sdpa", "eager"] = setting("auto")
    """How attention is computed; auto: sdpa (torch's fused kernels) where the model has it."""
    weights: Literal["pretrained", "random"] = setting("pretrained")
    """random: the structure only, freshly initialised."""

    def __post_init__(self) -> None:
        if self.path and self.hub:
            raise SettingError("hub", "is instead of `path`; leave one of the two out")

    @property
    def source(self) -> str | None:
        """What weights and tokenizer are read from: a path, or a name on the hub."""
        return self.path or self.hub

    def build(self, inputs: Inputs, outputs: int) -> Built:
        """Raises RequestError for files that are not there, cannot be read, or do not fit."""
        from ftune.models.hf_files import find, load, read_config
        from ftune.models.hf_modules import CausalLm

        if self.source is None:
            raise RequestError(
                "model.path: is required: a folder or .gguf file; or `hub: org/name`"
            )
        source = find(self.path, self.hub)
        config = read_config(source)
        with of_form(f"model.path: {source}: its config.json"):
            kind = self._kind(config, inputs, outputs)
            self._check(source, config, inputs)
            asked = self._asked(kind, config, outputs)
        inner, report = load(source, config, asked, self.weights, inputs.vocabulary)
        if report and kind == "encoder":
            report = replace(report, missing=(*report.missing, "head.weight", "head.bias"))
        pooling = self._pooling(source, config)
        wrapper = self._wrapped(inner, kind, pooling, outputs)
        if isinstance(wrapper, CausalLm):
            wrapper.prove()
        code = source.opened.digest if source.opened else None
        return self._built(wrapper, kind, pooling, outputs, report, code)

    def restore(
        self,
        inputs: Inputs,  # noqa: ARG002
        outputs: int,
        stored: Mapping[str, Any],
        fresh: bool = False,
    ) -> Built:
        """The structure alone, from the card in a checkpoint.

        fresh: weights are initialised; else they have no meaning until all are loaded.
        Raises CheckpointError for a card that describes no model.
        """
        from ftune.models.hf_files import bare, config_of, own_config_of
        from ftune.models.hf_modules import CausalLm

        card = HfCard.parse(stored)
        with rebuilding():
            config = (
                own_config_of(card.config, self.path, card.code)
                if card.code
                else config_of(card.config)
            )
            asked = self._asked(card.kind, config, outputs)
            module = bare(config, asked, fresh, trusted=bool(card.code))
        wrapper = self._wrapped(module, card.kind, card.pooling, outputs)
        if isinstance(wrapper, CausalLm):
            wrapper.splits, wrapper.packs = card.splits, card.packs
        return self._built(wrapper, card.kind, card.pooling, outputs, None, card.code)

    def _kind(self, config: Any, inputs: Inputs, outputs: int) -> Kind:
        """Raises RequestError where a chosen kind does not give what the task needs."""
        if not inputs.vocabulary:
            raise RequestError(
                "model.name=hf: reads texts, the data are numbers; name the column in `data.text`"
            )
        positions: Kind = "causal-lm" if outputs == inputs.vocabulary else "token"
        native = any(name.endswith("ForSequenceClassification") for name in _architectures(config))
        rows: Kind = "sequence" if native else "encoder"
        if self.kind == "auto":
            return positions if inputs.positions else rows
        fits = {"causal-lm", "token"} if inputs.positions else {"encoder", "sequence"}
        if self.kind not in fits:
            each = "an output at each token" if inputs.positions else "one output for each text"
            raise RequestError(
                f"model.kind={self.kind}: the task needs {each}; write "
                f"{' or '.join(sorted(fits))}, or leave `kind` out"
            )
        return self.kind

    def _check(self, source: Source, config: Any, inputs: Inputs) -> None:
        from ftune.models.hf_grow import brings

        text = config.get_text_config()
        limit = getattr(text, "max_position_embeddings", None)
        if getattr(config, "is_encoder_decoder", False):
            raise RequestError(
                f"model: {source} is an encoder-decoder ({config.model_type}), which ftune does "
                "not train; take an encoder or a causal language model"
            )
        if inputs.vocabulary > text.vocab_size and not brings(source, inputs.vocabulary):
            raise RequestError(
                f"model: the data's tokenizer has {inputs.vocabulary:,} ids, {source} knows "
                f"{text.vocab_size:,}; tokenize with the model's own"
            )
        if limit and inputs.shape[0] > limit:
            raise RequestError(
                f"model: texts have up to {inputs.shape[0]:,} tokens, {source} reads at most "
                f"{limit:,}; write `tokenize: {{max_length: {limit}}}` in data.transforms"
            )

    def _asked(self, kind: Kind, config: Any, outputs: int) -> dict[str, Any]:
        """Arguments of transformers' factories, and the settings of a native head in `config`."""
        if kind in ("sequence", "token"):
            config.num_labels = outputs
            for name in ("classifier_dropout", "seq_classif_dropout"):
                if hasattr(config, name):
                    setattr(config, name, self.dropout)
        chosen = {} if self.attention == "auto" else {"attn_implementation": self.attention}
        return {"kind": kind, **chosen}

    def _pooling(self, source: Source, config: Any) -> Pooling:
        if self.pooling != "auto":
            return self.pooling
        noted = source.noted_pooling()
        decoder = any(name.endswith("ForCausalLM") for name in _architectures(config))
        return noted or ("last" if decoder or source.gguf else "mean")

    def _wrapped(
        self, found: Any, kind: Kind, pooling: Pooling, outputs: int
    ) -> CausalLm | Encoder | Native:
        from ftune.models.hf_modules import CausalLm, Encoder, Native

        if kind == "causal-lm":
            return CausalLm(found)
        if kind == "encoder":
            return Encoder(found, outputs, pooling, self.normalize, self.dropout)
        return Native(found)

    def _built(
        self,
        wrapper: CausalLm | Encoder | Native,
        kind: Kind,
        pooling: Pooling,
        outputs: int,
        report: Loading | None,
        code: str | None,
    ) -> Built:
        from ftune.models.hf_files import plain
        from ftune.models.hf_modules import CausalLm

        head = wrapper.head_name(outputs)
        card = HfCard(kind, pooling, plain(wrapper.config), code)
        if isinstance(wrapper, CausalLm):
            card = replace(card, splits=wrapper.splits, packs=wrapper.packs)
            return Built(wrapper, head, {}, card.to_json(), report)
        return Built(wrapper, head, head_axes(wrapper, head), card.to_json(), report)


def is_hf(path: str | Path) -> bool:
    """Whether a model of transformers lies there: a folder with its config.json, or a GGUF file."""
    from ftune.models.hf_files import described

    path = Path(path)
    return path.suffix == ".gguf" if path.is_file() else "model_type" in described(path)


def _architectures(config: Any) -> list[str]:
    names = getattr(config, "architectures", None)
    return [str(name) for name in names] if isinstance(names, list | tuple) else []
