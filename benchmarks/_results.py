"""What benchmarks found, a JSON file for each machine, and docs/benchmarks.md made of them."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
PAGE = ROOT / "docs/benchmarks.md"
PEERS = ("torch", "transformers", "accelerate", "peft", "lightning")
BUSY = 0.1  # cores that other work used meanwhile

HEAD = """\
# Benchmarks

`./scripts/bench NAME` measures and writes `benchmarks/results/<machine>.json` and this page, which
`./scripts/bench page` makes of those files. Each run is a process of its own; the sides run in
turn, round after round. A figure is the median of the rounds; a ratio is taken within a round and
shown as median (least – largest). Memory is the peak of the process (VmHWM) beyond what it was
after the imports. Sides that lose stay in the tables. Of a machine that was not idle it is said:
then ratios mean little and speeds nothing.
"""
NOTHING = "\nNo results are recorded yet.\n"


def machine() -> str:
    """The processor's model and the number of cores, as a name of a file."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2]
            break
    return slug(f"{model} {_cores()} cores")


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def record(name: str, result: Mapping[str, Any], where: str) -> None:
    """Put the result of one benchmark in the place of the last one, and write the page anew."""
    file = RESULTS / f"{where}.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    results[name] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": _versions(),
        **result,
    }
    RESULTS.mkdir(exist_ok=True)
    file.write_text(json.dumps(dict(sorted(results.items())), indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page())


def _versions() -> dict[str, str]:
    versions = {}
    for name in PEERS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def page() -> str:
    """The text of docs/benchmarks.md."""
    files = sorted(RESULTS.glob("*.json"))
    parts = [HEAD]
    for file in files:
        parts.append(f"\n## {file.stem}\n")
        parts += [section(name, one) for name, one in json.loads(file.read_text()).items()]
    return "".join(parts if files else [HEAD, NOTHING])


def section(name: str, result: Mapping[str, Any]) -> str:
    """What is said of one benchmark."""
    settings = ", ".join(f"{k} {v}" for k, v in result["settings"].items())
    versions = ", ".join(f"{k} {v}" for k, v in result.get("versions", {}).items())
    facts = "; ".join(part for part in (result.get("date"), settings, versions) if part)
    lines = [f"\n### {name}", "", result["about"], "", f"{facts}."]
    if result["other_work"] > BUSY:
        lines.append(f"**The machine was busy**: other work used {result['other_work']} cores.")
    for table in result["tables"]:
        lines += ["", markdown(table)]
    if result["notes"]:
        lines += ["", *(f"- {note}" for note in result["notes"])]
    return "\n".join(lines) + "\n"


def markdown(table: Mapping[str, Any]) -> str:
    """A table and its ladder."""
    columns = list(dict.fromkeys(name for row in table["rows"] for name in row if name != "side"))
    lines = [
        f"| {table['name']} | " + " | ".join(_heading(name) for name in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for row in table["rows"]:
        cells = [_cell(name, row[name]) if name in row else "–" for name in columns]
        lines.append(f"| {row['side']} | " + " | ".join(cells) + " |")
    if table["ladder"]:
        steps = " · ".join(f"{side} × {ratio:.2f}" for side, ratio in table["ladder"])
        lines += ["", f"One thing more each time: {steps}."]
    return "\n".join(lines)


def _heading(name: str) -> str:
    return "peak, GB" if name == "peak_bytes" else name.replace("_", " ")


def _cell(name: str, value: Any) -> str:
    if isinstance(value, list):
        middle, least, largest = value
        return f"{middle:.2f} ({least:.2f} – {largest:.2f})"
    if name == "peak_bytes":
        return f"{value / 1e9:.2f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
