"""The trials of a study by what they train; a later trial takes over the result of an equal one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ftune.errors import FtuneError
from ftune.schema.root import RunConfig
from ftune.search.duplicates import configuration_key
from ftune.search.space import configured
from ftune.search.study import Study, Trial


class TrialIndex:
    """Finds the earlier trial that trains the same, also of a sweep that was interrupted."""

    def __init__(self, plain: Mapping[str, Any], study: Study) -> None:
        """plain: the configuration whose settings the trials vary."""
        self.plain, self.study = plain, study
        self.by_configuration: dict[str, int] = {}
        self.by_training = study.trainings()
        for trial in study.trials():
            with suppress(FtuneError):  # raised again when the trial is launched
                key = configuration_key(self.config(trial))
                self.by_configuration.setdefault(key, trial.number)

    def config(self, trial: Trial) -> RunConfig:
        """Return the configuration of a trial. Raises ConfigError for settings that do not fit."""
        return configured(self.plain, trial.params)

    def link_equal_config(self, trial: Trial) -> bool:
        """Link a trial to the first one with an equal configuration; return whether there is one.

        True also for a trial that was linked before.
        """
        if trial.same_as is not None:
            return True
        key = configuration_key(self.config(trial))
        return self._link(trial, self.by_configuration.setdefault(key, trial.number))

    def claim(self, trial: Trial, key: str) -> bool:
        """Store the key of a trial's training; return False where an earlier trial has the key.

        The trial is linked to that one then.
        """
        first = self.by_training.setdefault(key, trial.number)
        if first == trial.number:
            self.study.note_training(trial, key)
        return not self._link(trial, first)

    def _link(self, trial: Trial, first: int) -> bool:
        if first == trial.number:
            return False
        original = self.study.trials()[first].same_as
        self.study.link(trial, first if original is None else original)
        return True
