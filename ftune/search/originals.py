"""The first trial of each settings: later ones with the same take over its result."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ftune.build import Parts
from ftune.errors import FtuneError
from ftune.search.duplicates import configuration_key, training_key
from ftune.search.space import configured
from ftune.search.study import Study, Trial


class Originals:
    """Looks trials up by what they train, those of an interrupted sweep included."""

    def __init__(self, plain: Mapping[str, Any], study: Study) -> None:
        self.plain, self.study = plain, study
        self.by_configuration: dict[str, int] = {}
        self.by_training = study.trainings()
        for trial in study.trials():
            with suppress(FtuneError):  # its own training will say why
                self.by_configuration.setdefault(self._key(trial), trial.number)

    def links(self, trial: Trial, parts: Parts | None = None) -> bool:
        """Whether an earlier trial trains the same; if so, the study has the link afterwards.

        Without `parts` by the configuration, with them by what was built from it.
        """
        if trial.same_as is not None:
            return True
        if parts is None:
            first = self.by_configuration.setdefault(self._key(trial), trial.number)
        else:
            key = training_key(parts)
            first = self.by_training.setdefault(key, trial.number)
            if first == trial.number:
                self.study.note_training(trial, key)
        if first == trial.number:
            return False
        original = self.study.trials()[first].same_as
        self.study.link(trial, first if original is None else original)
        return True

    def _key(self, trial: Trial) -> str:
        return configuration_key(configured(self.plain, trial.params))
