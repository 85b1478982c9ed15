"""scripts/mutate ROOM…: which small faults the tests of a room notice, and which they do not."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from collections.abc import Sequence

from mutation.mutants import Mutant, Source
from mutation.report import EQUIVALENT, Score, equivalents, total
from mutation.rooms import ROOMS, ROOT, Room
from mutation.survey import HEAVY, Survey, import_quietly, mutants_of


def main(arguments: Sequence[str]) -> int:
    """Prints a line for each mutant that is tried, then scores and survivors."""
    asked = _parser().parse_args(arguments)
    unknown = [name for name in asked.rooms if name not in ROOMS]
    if unknown:
        print(f"mutate: no room {unknown[0]}; there are {', '.join(ROOMS)}")  # noqa: T201
        return 2
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no child is left behind
    rooms = [ROOMS[name] for name in asked.rooms or ROOMS]
    every = {room.name: mutants_of(room) for room in rooms}
    if asked.files:
        every = {n: [p for p in pairs if any(f in p[1].file for f in asked.files)] for n, pairs in every.items()}
    if asked.draw:
        every = drawn(every, asked.draw, asked.seed)
    if asked.list:
        for _, mutant in (pair for pairs in every.values() for pair in pairs):
            print(mutant)  # noqa: T201
        return 0
    import_quietly(HEAVY)
    reasons = equivalents(EQUIVALENT.read_text("utf-8"))
    scores = [_score(room, every[room.name], asked.toothless, reasons) for room in rooms if every[room.name]]
    _print(scores)
    return 0


def drawn(
    every: dict[str, list[tuple[Source, Mutant]]], count: int, seed: int
) -> dict[str, list[tuple[Source, Mutant]]]:
    """`count` of all mutants, each as likely as any other; the rooms keep their order."""
    pairs = [(name, pair) for name, room in every.items() for pair in room]
    chosen = random.Random(seed).sample(pairs, min(count, len(pairs)))
    return {name: [pair for home, pair in chosen if home == name] for name in every}


def _score(
    room: Room, chosen: list[tuple[Source, Mutant]], toothless: bool, reasons: dict[tuple[str, str, str, str], str]
) -> Score:
    print(f"{room.name}: {len(chosen)} mutants", flush=True)  # noqa: T201
    return Score.of(room.name, Survey(room, chosen, toothless).run(), reasons)


def _print(scores: Sequence[Score]) -> None:
    for line in (line for score in scores for line in score.lived):
        print(line)  # noqa: T201
    for score in [*scores, *([total(scores)] if len(scores) > 1 else [])]:
        print(score)  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("scripts/mutate", description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}")
    parser.add_argument("--files", nargs="+", help="only files whose path has one of these in it")
    parser.add_argument("--draw", type=int, help="only so many, drawn over all that is asked for")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--list", action="store_true", help="name them, try none")
    parser.add_argument("--toothless", action="store_true", help="control: ignore all assertions")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
