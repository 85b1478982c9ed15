"""Memory that reading 1,000,000 rows takes, and how time grows with the columns of a table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from _figures import Figure, measure
from pyarrow import csv, parquet

CHILD = """\
import json, resource, sys, time
from pathlib import Path
from ftune.assembly.build import read_data
from ftune.schema.root import LANGUAGE

small, large = (LANGUAGE.load(Path(path), []) for path in sys.argv[1:])
read_data(small)  # whatever is imported on the way is imported now
pages = int(Path("/proc/self/statm").read_text().split()[1])
began = time.perf_counter()
data = read_data(large)
parts = data.splits.values()
print(json.dumps({
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "before": pages * resource.getpagesize(),
    "tensor": sum(part.x.nbytes for part in parts),
    "seconds": time.perf_counter() - began,
}))
"""
CONFIG = """\
task: regression
data: {{source: {source}, path: {path}, target: y}}
"""


def main() -> int:
    return measure({"memory": _memory, "columns": _columns}, __doc__)


def _memory(folder: Path) -> list[Figure]:
    """The peak beyond what was there before, in sizes of the final tensors."""
    figures = []
    for source in ("csv", "parquet"):
        small = _config(folder, source, 1_000, 20)
        told = _read(small, _config(folder, source, 1_000_000, 20))
        times = (told["peak"] - told["before"]) / told["tensor"]
        figures.append(Figure(f"{source}, 1M x 20: peak / tensor", 5.0, times, [times], True))
    return figures


def _columns(folder: Path) -> list[Figure]:
    """Four times the columns in at most about four times the seconds; 6,000 took 44 s once."""
    small, quarter = (_config(folder, "csv", 200, n) for n in (10, 1_500))
    whole = _read(small, _config(folder, "csv", 200, 6_000))["seconds"]
    grown = whole / _read(small, quarter)["seconds"]
    return [
        Figure("200 x 6,000: seconds", 15.0, whole, [whole], True),
        Figure("6,000 columns / 1,500: seconds", 5.0, grown, [grown], True),
    ]


def _config(folder: Path, source: str, rows: int, columns: int) -> Path:
    random = np.random.default_rng(0)
    values = {f"c{i}": random.normal(size=rows).round(6) for i in range(columns)}
    table = pa.table(values | {"y": random.normal(size=rows)})
    path = folder / f"{rows}-{columns}.{source}"
    write: Any = csv.write_csv if source == "csv" else parquet.write_table
    write(table, path)
    config = path.with_suffix(f".{source}.yaml")
    config.write_text(CONFIG.format(source=source, path=path))
    return config


def _read(*configs: Path) -> dict[str, float]:
    """In a process of its own: a peak is that of a whole life."""
    command = [sys.executable, "-c", CHILD, *map(str, configs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    told: dict[str, float] = json.loads(done.stdout)
    return told


if __name__ == "__main__":
    sys.exit(main())
