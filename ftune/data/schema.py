"""The `data:` block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ftune.config.fields import block, blocks, group, setting
from ftune.config.read import SettingError
from ftune.data import SOURCES, TRANSFORMS
from ftune.data.kind import Kind


@dataclass(frozen=True)
class Split:
    """Which rows are kept back for validation and test.

    A number below 1 is a share of the rows, from 1 on a count of rows; 0: none. Where there are
    several files, only a missing validation file is replaced by rows of the training file; `group`
    and `time` are checked across them.
    """

    val: int | float = setting(0.1, at_least=0)
    """Rows that choose: the best checkpoint, early stopping, sweeps."""
    test: int | float = setting(0.2, at_least=0)
    """Rows that judge, used once at the end."""
    stratify: bool | None = setting(None)
    """Whether all parts get the same mix of classes; null: for classification, where possible."""
    group: str | None = setting(None)
    """A column whose rows of one value stay on one side (patient, customer); it is not an input."""
    time: str | None = setting(None)
    """A column to order by: the latest rows are test, those before them validation."""

    def __post_init__(self) -> None:
        for name in ("val", "test"):
            value = getattr(self, name)
            if value >= 1 and value != int(value):
                raise SettingError(
                    name, f"{value:g}: expected a share below 1 or a whole number of rows"
                )
        if self.val < 1 and self.test < 1 and self.val + self.test >= 1:
            raise SettingError(
                "test", f"val {self.val:g} and test {self.test:g} leave no rows to train on"
            )
        if self.group and self.time:
            raise SettingError(
                "time", "goes not with `group`: rows cannot keep both orders; choose one"
            )
        if self.stratify and (self.group or self.time):
            raise SettingError(
                "stratify", "goes not with `group` or `time`, which decide the sides"
            )


@dataclass(frozen=True)
class Messages:
    """Conversations: lists of turns `{role, content}` (OpenAI) or `{from, value}` (ShareGPT)."""

    column: str = setting()
    """The column of the lists, or of the same as JSON text."""
    role: str | None = setting(None)
    """The key of a turn's role; null: `role` or `from`, whichever a turn has."""
    content: str | None = setting(None)
    """The key of what is said; null: `content` or `value`, beside it."""
    roles: dict[str, str] = setting({}, open=True)
    """What the rows call a role -> system, user, assistant or tool; human and gpt are known."""
    tools: str | None = setting(None)
    """The column of the tools that may be called; null: `tools`, where there is one."""
    system: str | None = setting(None)
    """A column whose text, where there is one, becomes a system turn before the others."""

    def __post_init__(self) -> None:
        from ftune.data.text.turns import ROLES

        for name, role in self.roles.items():
            if role not in ROLES:
                raise SettingError("roles", f"`{name}` is `{role}`; expected {', '.join(ROLES)}")


_TRANSFORMS: Mapping[str, Any] = TRANSFORMS
_SPOKEN = {"table": "tables", "text": "texts", "images": "images"}


@dataclass(frozen=True)
class Data:
    """Rows: where they come from, which are used, and how they become inputs and targets."""

    source: Any = block(SOURCES, key="source", inline=True)
    """Where the rows come from; its own settings stand beside the ones below."""
    target: str | list[str] | None = setting(None)
    """The column to predict, or several; null: the source's own, where it has one."""
    separator: str | None = setting(None)
    """What stands between the tags of a row where one column holds them all (`hot;new`), with
    `multi_label: true`; null: each target is a column of 0 and 1."""
    classes: list[str | int | float | bool] | None = setting(None)
    """Only rows of these classes, which keep this order; null: all, sorted."""
    drop_missing_target: bool = setting(False)
    """Whether rows without a known target are left out; else they are refused."""
    limit: int | None = setting(None, at_least=1)
    """At most so many training rows, drawn at random; smaller limits are subsets of larger ones."""
    per_class: int | None = setting(None, at_least=1)
    """At most so many training rows of each class, drawn at random (few-shot studies)."""
    split: Split = group(Split)
    """Which rows are kept back for validation and test."""
    text: str | None = setting(None)
    """The column of texts: the input of a classification, or what a language model learns."""
    prompt: str | None = setting(None)
    """What a language model is given: a template over columns, as `Question: {question}`. Text for
    rows that have a value: `{instruction}{input:\n\nInput: {}}`."""
    response: str | None = setting(None)
    """What it should answer, a template too; only this counts in the loss."""
    messages: Messages | None = group(Messages, short="column", default=None)
    """Conversations, of which the assistant's turns count; a bare name is the column."""
    image: str | None = setting(None)
    """The column of paths of images, relative to the table's file."""
    cache: bool | str = setting(True, exact=False, fact="cost")
    """Whether what is tokenised and decoded is kept on disk for the next run; or a folder for it.
    true: `ftune` in the user's cache folder."""
    transforms: Any = blocks(TRANSFORMS, words=("auto",), default="auto")
    """What happens to the inputs, in order; fitted on the training rows. auto: what most need."""
    target_transforms: Any = blocks(TRANSFORMS, default=None)
    """What happens to numbers to predict (log, standardize …); undone in predictions. The loss is
    of what the model sees, every other metric of the file's own values. null: when fine-tuning
    those of the base, else none; []: none."""
    statistics: Literal["base", "keep", "refit"] = setting("base")
    """When fine-tuning. base: a column keeps the base's statistics where the same transforms with
    the same settings stand before it and they tell most of the new values apart; keep: where they
    do not, too; refit: all are fitted on the new rows."""

    def __post_init__(self) -> None:
        self._check_texts()
        if self.target == []:
            raise SettingError("target", "names no column")
        if self.separator == "":
            raise SettingError("separator", "is empty; write what stands between two tags")
        if self.separator and len(self.targets) > 1:
            raise SettingError("separator", "is for one column of tags; `target` names several")
        self._check_transforms()
        for step in self.target_transforms or ():
            if not step.invertible:
                name = TRANSFORMS.name_of(type(step))
                able = ", ".join(n for n, schema in _TRANSFORMS.items() if schema.invertible)
                raise SettingError(
                    "target_transforms", f"{name} cannot be undone; those that can: {able}"
                )

    def _check_transforms(self) -> None:
        """Each kind of data has transforms of its own."""
        for step in self.steps:
            if self.kind not in step.kinds:
                name = TRANSFORMS.name_of(type(step))
                able = ", ".join(
                    n for n, schema in _TRANSFORMS.items() if self.kind in schema.kinds
                )
                raise SettingError(
                    "transforms",
                    f"`{name}` is not for {_SPOKEN[self.kind]}; those that are: {able}",
                )
        if self.kind == "images":
            from ftune.data.images.plan import fault_in

            fault = fault_in(self.steps)
            if fault:
                raise SettingError("transforms", fault)

    def _check_texts(self) -> None:
        """Texts come from one place: a column, a prompt with its response, or conversations."""
        if (self.prompt is None) != (self.response is None):
            lacks = "response" if self.response is None else "prompt"
            raise SettingError(lacks, "is required: `prompt` and `response` go together")
        for name in ("text", "prompt", "response"):
            if getattr(self, name) is not None:
                self._check_template(name)
        given = [n for n in ("text", "prompt", "messages", "image") if getattr(self, n) is not None]
        if len(given) > 1:
            raise SettingError(given[1], f"goes not with `{given[0]}`; choose one")

    def _check_template(self, name: str) -> None:
        from ftune.data.text.braces import faults

        fault = faults(getattr(self, name))
        if fault:
            raise SettingError(name, fault)

    @property
    def kind(self) -> Kind:
        """What the inputs are made of."""
        if self.image is not None:
            return "images"
        if self.text is not None or self.prompt is not None or self.messages is not None:
            return "text"
        kind: Kind = self.source.kind
        return kind

    @property
    def picture(self) -> str:
        """The column of images, where that is the input."""
        return self.image or str(self.source.image)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict; none where a text itself is predicted."""
        target = self.source.default_target if self.target is None else self.target
        return (target,) if isinstance(target, str) else tuple(target or ())

    @property
    def steps(self) -> tuple[Any, ...]:
        """The transforms of the inputs, `auto` as the one transform it is."""
        return (TRANSFORMS["auto"](),) if self.transforms == "auto" else tuple(self.transforms)
