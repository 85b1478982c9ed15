"""Installs the package as users get it into empty environments and runs the README there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.M | re.S)


def run(*command: str | Path, folder: Path = PROJECT, bin_folder: Path | None = None) -> None:
    """Run a command with an environment's programs first on the PATH; raise where it fails."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if bin_folder:
        env["PATH"] = f"{bin_folder}:{env['PATH']}"
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{command}\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}")


def build(folder: Path) -> tuple[Path, Path]:
    """Return the wheel and the sdist, built from the files that git tracks."""
    source = folder / "source"
    run("git", "clone", "--quiet", PROJECT, source)
    run(sys.executable, "-m", "pip", "install", "--quiet", "build")
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", source)
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return wheel, sdist


def lowest_versions(folder: Path) -> Path:
    """Return a constraints file with the lowest version of each core dependency."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [requirement.replace(">=", "==") for requirement in project["dependencies"]]
    path = folder / "lowest.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def run_readme(folder: Path, bin_folder: Path) -> int:
    """Run the README's commands in an empty folder; return how many blocks there were."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    work = folder / "work"
    work.mkdir()
    for block in BLOCK.findall(text):
        run("bash", "-euo", "pipefail", "-c", block, folder=work, bin_folder=bin_folder)
    return len(BLOCK.findall(text))


def check(python: str, package: Path, extra: str, constraints: Path | None, folder: Path) -> int:
    """Install a built package into an empty environment of a Python and run the README."""
    environment = folder / "venv"
    run(python, "-m", "venv", environment)
    pinned = ["-c", str(constraints)] if constraints else []
    pip = environment / "bin" / "pip"
    run(pip, "install", "--quiet", *pinned, f"{package}{extra}")
    return run_readme(folder, environment / "bin")


def cases(wheel: Path, sdist: Path, lowest: Path, extras: bool) -> Iterator[
    tuple[str, Path, str, Path | None]
]:  # fmt: skip
    """Yield Python, package, extra and constraints of each environment."""
    pythons = [python for python in PYTHONS if shutil.which(python)]
    yield pythons[0], wheel, "", lowest
    yield pythons[-1], sdist, "", None
    if extras:
        yield pythons[-1], wheel, "[all]", None


def main(arguments: list[str]) -> int:
    """Check each environment; print a line for each; return 1 where one failed."""
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        wheel, sdist = build(Path(name))
        for case in cases(wheel, sdist, lowest_versions(Path(name)), "core" not in arguments):
            python, package, extra, constraints = case
            label = f"{python}, {package.name}{extra}, {'lowest' if constraints else 'newest'}"
            with tempfile.TemporaryDirectory() as folder:
                try:
                    verdict = f"{check(*case, Path(folder))} blocks of the README"
                except RuntimeError as error:
                    failed, verdict = 1, f"failed\n{error}"
            sys.stdout.write(f"{label}: {verdict}\n")
            sys.stdout.flush()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
