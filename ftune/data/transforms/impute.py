"""Values for what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ftune.config.fields import setting
from ftune.data.transforms.each import ColumnTransform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, Kind, State


@dataclass(frozen=True)
class Impute(ColumnTransform):
    """Fills missing values with one learnt from the training rows."""

    of: ClassVar[tuple[Kind, ...]] = ("number", "text", "array")

    strategy: Literal["median", "mean", "most_frequent", "constant"] = setting("median")
    """What fills a number; `most_frequent` holds for texts too. Ties: the smallest."""
    value: float = setting(0.0)
    """The number that `constant` fills in."""
    text: str = setting("missing")
    """The category that unknown texts become, except with `most_frequent`."""
    indicator: bool = setting(False)
    """Whether columns with gaps in the training rows get a flag `<column>=missing`; texts have it
    as a category, except with `most_frequent`."""
    columns: list[str] | None = setting(None)
    """Which columns; null: all numbers, texts and arrays."""

    @property
    def learns(self) -> bool:
        return self.strategy != "constant" or self.indicator

    def makes(self, name: str, column: dict[str, Any]) -> list[str]:
        """The flag beside a column with gaps."""
        return [f"{name}=missing"] if column["flag"] else []

    def unlisted(self, frame: Frame, known: State) -> list[str]:
        """Gaps that get no flag, as the rows which `known` was fitted on had none."""
        from ftune.data.transforms.choose import sentence

        gaps = {n: int(frame.missing(n).sum()) for n in known if self._flagged(frame, n)}
        rows = [f"`{n}` ({gaps[n]:,})" for n in gaps if gaps[n] and not known[n]["flag"]]
        intro = "impute: columns with gaps that the base's rows did not have get no flag"
        return sentence(intro, rows, "; `data.statistics: refit` makes it.")

    def _flagged(self, frame: Frame, name: str) -> bool:
        """Whether gaps get a flag; the category that unknown texts become tells of them already."""
        kind = frame.kind(name)
        apart = kind == "number" or (kind == "text" and self.strategy == "most_frequent")
        return self.indicator and apart

    def learnt(self, frame: Frame, name: str) -> dict[str, Any]:
        text = frame.kind(name) == "text"
        value = self._text(frame, name) if text else self._number(frame, name)
        return {
            "value": value,
            "flag": self._flagged(frame, name) and bool(frame.missing(name).any()),
        }

    def _number(self, frame: Frame, name: str) -> float:
        import numpy as np

        from ftune.data.transforms.choose import known
        from ftune.data.transforms.exact import mean_of

        if self.strategy == "constant":
            return self.value
        values = known(frame, name)
        if self.strategy == "most_frequent":
            return float(_most_frequent(values))
        return float(np.median(values)) if self.strategy == "median" else mean_of(values)[0]

    def _text(self, frame: Frame, name: str) -> str:
        from ftune.data.transforms.choose import nothing_known

        if self.strategy != "most_frequent":
            return self.text
        values = frame[name][~frame.missing(name)]
        if not len(values):
            raise nothing_known(frame, name)
        return str(_most_frequent(values.astype(str)))

    def apply(self, frame: Frame, state: State) -> Frame:
        return frame.replaced({n: _filled(frame, n, c, self.makes(n, c)) for n, c in state.items()})


def _most_frequent(values: Array) -> Any:
    import numpy as np

    distinct, counts = np.unique(values, return_counts=True)
    return distinct[counts.argmax()]


def _filled(frame: Frame, name: str, column: dict[str, Any], flags: list[str]) -> dict[str, Array]:
    import numpy as np

    from ftune.data.transforms.choose import numbers

    gaps = frame.missing(name)
    if not gaps.any():  # the column itself, not its copy
        numbers(frame, name) if frame.kind(name) != "text" else None
        result = {name: frame[name]}
    elif frame.kind(name) == "text":
        result = {name: np.where(gaps, column["value"], frame[name])}
    else:
        values = numbers(frame, name)
        result = {name: np.where(np.isnan(values), column["value"], values).astype(values.dtype)}
    return result | dict.fromkeys(flags, gaps.astype(np.uint8))
