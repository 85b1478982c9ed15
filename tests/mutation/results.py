"""What came out for each mutant, kept in a file, so that an interrupted run goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mutation.mutants import Mutant
from mutation.rooms import ROOT, Room, content_hash

FOLDER = ROOT / "build" / "mutation"


@dataclass(frozen=True)
class Result:
    """status: killed, timeout, crashed, survived or uncovered. killer: the test that noticed.

    state: hash of the killer's file, or of all the room's tests where none noticed.
    """

    key: str
    status: str
    killer: str
    state: str
    mutant: str

    @property
    def noticed(self) -> bool:
        return self.status in ("killed", "timeout", "crashed")


class Results:
    """Those of a room, the newest for each mutant."""

    def __init__(self, room: Room, variant: str = "") -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._file = FOLDER / f"{room.name}{variant}.jsonl"
        self._room_state = content_hash(room.test_files())
        self._kept: dict[str, Result] = {}
        if self._file.exists():
            for line in self._file.read_text("utf-8").splitlines():
                self._keep(line)

    def _keep(self, line: str) -> None:
        try:
            result = Result(**json.loads(line))
        except (ValueError, TypeError):  # the last line of a run that was killed
            return
        self._kept[result.key] = result

    def of(self, mutant: Mutant) -> Result | None:
        """None where it was never tried, or what tried it has changed since."""
        result = self._kept.get(mutant.key)
        return result if result and result.state == self._state(result.killer) else None

    def last_killer(self, mutant: Mutant) -> str:
        """Of any earlier run: it is asked first."""
        result = self._kept.get(mutant.key)
        return result.killer if result else ""

    def add(self, mutant: Mutant, status: str, killer: str = "") -> Result:
        result = Result(mutant.key, status, killer, self._state(killer), str(mutant))
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(result)) + "\n")
        self._kept[result.key] = result
        return result

    def _state(self, killer: str) -> str:
        file = Path(killer.partition("::")[0])
        if not killer:
            return self._room_state
        return content_hash([str(file)]) if (ROOT / file).exists() else "gone"
