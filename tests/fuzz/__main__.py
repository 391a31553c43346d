"""`make fuzz`: throw inputs at everything that reads what others write, until as many as asked for have been read.

With atheris, which `make fuzz` installs, new inputs are found by the code that they reach; where it cannot be had, they
are mutated blindly. An input that breaks a promise is kept in a file, and told with the command that repeats it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from tests.fuzz.mutate import mutations

_EACH = 250_000
_STEP = 10_000  # inputs between two steps of the progress bar
_WIDTH = 30  # characters of the bar
_ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the targets one after another; 1 where one of them failed."""
    options = _options()
    if options.file is not None:
        return _repeat(options.target[0], options.file)
    if options.in_process:
        return _guided(options) if options.engine == "atheris" else _blind(options)
    failed = [name for name in options.target if not _run(name, options)]
    total = options.inputs * len(options.target)
    print(f"{total:,} inputs, {len(options.target)} targets, {len(failed)} failed" + (f": {failed}" if failed else ""))
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=_EACH, help="inputs for each target (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="other inputs for another number (default: %(default)s)")
    parser.add_argument("--target", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--engine", choices=("atheris", "blind"), help="default: atheris where it is installed")
    parser.add_argument("--file", type=Path, help="give the one target this file, and show what it does")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.in_process:  # else what they import is to be instrumented first
        from tests.fuzz.targets import TARGETS

        options.target = options.target or list(TARGETS)
        if unknown := [name for name in options.target if name not in TARGETS]:
            parser.error(f"unknown target {', '.join(unknown)}: use {', '.join(TARGETS)}")
    options.engine = options.engine or ("atheris" if importlib.util.find_spec("atheris") else "blind")
    if options.inputs < 1:
        parser.error("--inputs is at least 1")
    if options.file is not None and len(options.target) != 1:
        parser.error("--file needs one --target")
    return options


def _run(name: str, options: argparse.Namespace) -> bool:
    """One target in a process of its own: atheris ends its process."""
    words = [f"--target={name}", f"--inputs={options.inputs}", f"--seed={options.seed}", f"--engine={options.engine}"]
    command = [sys.executable, "-m", "tests.fuzz", *words, "--in-process"]
    done = subprocess.run(command, cwd=_ROOT, stderr=subprocess.PIPE, check=False)  # atheris says much there
    if done.returncode:
        print(done.stderr.decode(errors="replace")[-2000:])
    return done.returncode == 0


def _repeat(name: str, file: Path) -> int:
    from tests.fuzz.targets import TARGETS

    TARGETS[name].check(file.read_bytes())
    print(f"{name}: {file} breaks nothing")
    return 0


class _Progress:
    """A bar; on what is no terminal a line at the end alone."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total, self.done = name, total, 0

    def step(self) -> None:
        """One more input has been read."""
        self.done += 1
        if self.done % _STEP == 0 and sys.stdout.isatty():
            full = min(self.done * _WIDTH // self._total, _WIDTH)
            print(f"\r{self._name:10} [{'#' * full}{'.' * (_WIDTH - full)}] {self.done:,}", end="", flush=True)

    def end(self, engine: str) -> None:
        """All of them have."""
        print(f"\r{self._name:10} {self.done:,} inputs, {engine}, nothing broken", flush=True)


def _tell(name: str, data: bytes) -> None:
    """Keep the input that is being looked at in an `except`."""
    with tempfile.NamedTemporaryFile(prefix=f"fuzz-{name}-", suffix=".bin", delete=False) as file:
        file.write(data)
    print(f"\r{name}: broken by {data[:200]!r}\n{traceback.format_exc()}", flush=True)
    print(f"to repeat it: {sys.executable} -m tests.fuzz --target={name} --file={file.name}", flush=True)


def _blind(options: argparse.Namespace) -> int:
    from tests.fuzz.targets import TARGETS

    (name,) = options.target
    target, progress = TARGETS[name], _Progress(name, options.inputs)
    for data in mutations(target.seeds, options.seed, options.inputs):
        try:
            target.check(data)
        except Exception:
            _tell(name, data)
            return 1
        progress.step()
    progress.end("blind")
    return 0


def _guided(options: argparse.Namespace) -> int:
    """Half of the inputs are blind mutations of the seeds, which know JSON; atheris goes on from what they reach."""
    import atheris

    with atheris.instrument_imports(include=["claude_operator"]):
        from tests.fuzz.targets import TARGETS
    (name,) = options.target
    target, progress = TARGETS[name], _Progress(name, options.inputs)

    def check(data: bytes) -> None:
        try:
            target.check(data)
        except Exception:
            _tell(name, data)
            os._exit(1)
        progress.step()
        if progress.done == options.inputs:
            progress.end("atheris")
            os._exit(0)

    with tempfile.TemporaryDirectory(prefix="fuzz-") as corpus:
        known = [*target.seeds, *mutations(target.seeds, options.seed, min(options.inputs // 2, 2000))]
        for number, data in enumerate(known):
            (Path(corpus) / f"{number:05}").write_bytes(data)
        words = ["fuzz", f"-seed={options.seed}", "-max_len=16384", "-print_final_stats=0", "-verbosity=0", corpus]
        atheris.Setup(words, check)
        atheris.Fuzz()
    return 1  # it ended before all inputs were read


if __name__ == "__main__":
    sys.exit(main())
