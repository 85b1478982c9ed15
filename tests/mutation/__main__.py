"""Which small faults the tests of a room notice, and which they do not."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mutation.mutants import Mutant, Source
from mutation.report import EQUIVALENT, Score, equivalents, total
from mutation.rooms import ROOMS, ROOT, Room
from mutation.survey import HEAVY, Survey, import_quietly, mutants_of

Chosen = list[tuple[Source, Mutant]]


def main(arguments: Sequence[str]) -> int:
    """Prints a line for each mutant that is tried, then scores and survivors."""
    asked = _parser().parse_args(arguments)
    unknown = [name for name in asked.rooms if name not in ROOMS]
    if unknown:
        print(f"mutate: no room {unknown[0]}; there are {', '.join(ROOMS)}")  # noqa: T201
        return 2
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no child is left behind
    chosen = _chosen(asked)
    if asked.list:
        for _, mutant in (pair for room in chosen.values() for pair in room):
            print(mutant)  # noqa: T201
        return 0
    import_quietly(HEAVY)
    scores = [_score(ROOMS[n], pairs, asked.toothless) for n, pairs in chosen.items() if pairs]
    for line in total(scores).lived:
        print(line)  # noqa: T201
    for score in [*scores, total(scores)] if len(scores) > 1 else scores:
        print(score)  # noqa: T201
    if asked.summary:
        asked.summary.write_text(json.dumps(asdict(total(scores))), "utf-8")
    return 0


def _chosen(asked: argparse.Namespace) -> dict[str, Chosen]:
    every = {name: mutants_of(ROOMS[name]) for name in asked.rooms or ROOMS}
    parts = asked.files or [""]
    every = {
        name: [pair for pair in room if any(part in pair[1].file for part in parts)]
        for name, room in every.items()
    }
    return drawn(every, asked.draw, asked.seed) if asked.draw else every


def drawn(every: dict[str, Chosen], count: int, seed: int) -> dict[str, Chosen]:
    """`count` of all mutants, each as likely as any other; the rooms keep their order."""
    pairs = [(name, pair) for name, room in every.items() for pair in room]
    chosen = random.Random(seed).sample(pairs, min(count, len(pairs)))
    return {name: [pair for home, pair in chosen if home == name] for name in every}


def _score(room: Room, chosen: Chosen, toothless: bool) -> Score:
    print(f"{room.name}: {len(chosen)} mutants", flush=True)  # noqa: T201
    reasons = equivalents(EQUIVALENT.read_text("utf-8"))
    return Score.of(room.name, Survey(room, chosen, toothless).run(), reasons)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("scripts/mutate", description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}")
    parser.add_argument("--files", nargs="+", help="only files whose path has one of these in it")
    parser.add_argument("--draw", type=int, help="only so many, drawn over all that is asked for")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--list", action="store_true", help="name them, try none")
    parser.add_argument("--toothless", action="store_true", help="control: ignore all assertions")
    parser.add_argument("--summary", type=Path, help="a file for the score of all, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
