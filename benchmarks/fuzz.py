"""Hostile files and texts by the thousand: does any crash, hang, or take more than its memory?

    python benchmarks/fuzz.py [TARGET …] [--cases 110000] [--seed 1] [--without-atheris]

The targets and their bounds are those of tests/support/fuzz_targets.py, and what they start from is
made by fuzz_seeds.py. Where atheris is installed (`pip install hafloc[fuzz]`) it guides by branches
of hafloc and Pillow; half of the changes, and all without it, are by mutations.py. Each target
runs in a process of its own, so that a fault in a decoder's native code is told as well. The cases
are shared out among the targets by their `share`. A finding is named once for each place in the
code; its bytes lie in `--keep`, from where they become a test.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "fuzz.json"
sys.path.insert(0, str(HERE / "tests" / "support"))
LIBRARIES = ("pillow", "pillow-heif", "numpy", "torch", "safetensors", "atheris")
_LONGEST = 65_536
_NOTHING = {"cases": 0, "seconds": 0.0, "findings": {}}


class Watch:
    """Runs cases of one target, and keeps what left it that should not."""

    def __init__(self, name: str, cases: int, keep: Path, report: Path) -> None:
        from fuzz_targets import MEGABYTES, SECONDS, TARGETS

        from hafloc.errors import HaflocError

        self.run = TARGETS[name].run
        self.name, self.cases, self.keep, self.report = name, cases, keep, report
        self.refusal: type[Exception] = HaflocError
        self.seconds, self.megabytes = SECONDS, MEGABYTES
        self.done, self.refused, self.slowest = 0, 0, 0.0
        self.findings: dict[str, str] = {}
        self.start = time.perf_counter()
        self.write()

    def case(self, data: bytes) -> None:
        before, memory = time.perf_counter(), peak()
        try:
            self.run(data)
        except self.refusal:
            self.refused += 1
        except Exception as error:
            self._found(where(error), traceback.format_exc(limit=-6), data)
        took = time.perf_counter() - before
        self.slowest = max(self.slowest, took)
        if took > self.seconds:
            self._found("slow", f"{took:.1f} s", data)
        if peak() - memory > self.megabytes:
            self._found("memory", f"{peak() - memory:,.0f} MB", data)
        self.done += 1
        if self.done >= self.cases or self.done % 500 == 0:
            self.write()

    def _found(self, key: str, told: str, data: bytes) -> None:
        if key not in self.findings:
            self.findings[key] = told
            (self.keep / f"{self.name}-{len(self.findings)}").write_bytes(data)
            self.write()

    def write(self) -> None:
        self.report.write_text(
            json.dumps(
                {
                    "cases": self.done,
                    "refused": self.refused,
                    "seconds": round(time.perf_counter() - self.start, 1),
                    "slowest_ms": round(1e3 * self.slowest, 1),
                    "peak_mb": round(peak()),
                    "findings": self.findings,
                }
            )
        )


def peak() -> float:
    """The most resident memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def where(error: BaseException) -> str:
    """The kind of an error and the last line of hafloc, or of this, that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}hafloc{os.sep}" in frame.filename]
    last = (ours or frames)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def one_target(given: argparse.Namespace) -> None:
    """All cases of one target, in this process, which may not outlive them."""
    import warnings

    warnings.simplefilter("ignore")
    if given.without_atheris:
        from fuzz_targets import TARGETS

        mutate = TARGETS[given.one].mutate
        watch = Watch(given.one, given.cases, given.keep, given.report)
        sound, chance = list(TARGETS[given.one].seeds()), random.Random(given.seed)
        for data in sound:
            watch.case(data)
        while watch.done < given.cases:
            watch.case(mutate(chance.choice(sound), chance, sound))
        return
    import atheris

    with atheris.instrument_imports(include=given.watch):
        from fuzz_targets import TARGETS

        for data in TARGETS[given.one].seeds():  # which imports what is imported late
            with suppress(Exception):
                TARGETS[given.one].run(data)
    watch = Watch(given.one, given.cases, given.keep, given.report)
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(TARGETS[given.one].seeds()):
            (Path(corpus) / str(number)).write_bytes(data)
        words = [sys.argv[0], corpus, f"-runs={given.cases}", f"-seed={given.seed}"]
        words += [f"-max_len={_LONGEST}", f"-timeout={2 * watch.seconds:.0f}"]
        words += ["-rss_limit_mb=3000", f"-artifact_prefix={given.keep}/native-{given.one}-"]
        mutate, sound = TARGETS[given.one].mutate, list(TARGETS[given.one].seeds())

        def change(data: bytes, most: int, number: int) -> bytes:
            chance = random.Random(number)
            if chance.random() < 0.5:
                return bytes(atheris.Mutate(data, most))
            return mutate(data, chance, sound)[:most]

        atheris.Setup(words, watch.case, custom_mutator=change)
        atheris.Fuzz()


def all_targets(given: argparse.Namespace) -> None:
    from fuzz_targets import TARGETS

    chosen = given.targets or list(TARGETS)
    guided = find_spec("atheris") is not None and not given.without_atheris
    shares = {name: TARGETS[name].share for name in chosen}
    results = {}
    for name in chosen:
        cases = round(given.cases * shares[name] / sum(shares.values()))
        report = given.keep / f"{name}.json"
        report.unlink(missing_ok=True)
        words = [sys.executable, __file__, "--one", name, "--cases", str(cases)]
        words += ["--report", str(report), "--keep", str(given.keep), "--seed", str(given.seed)]
        words += ["--watch", *TARGETS[name].watched]
        words += [] if guided else ["--without-atheris"]
        log = given.keep / f"{name}.log"
        with log.open("wb") as output:
            ended = subprocess.run(words, stdout=output, stderr=output, timeout=given.seconds)
        found = json.loads(report.read_text()) if report.exists() else {**_NOTHING, "findings": {}}
        if ended.returncode not in (0, 77) or found["cases"] < cases:
            told = log.read_text(errors="replace")[-2_000:]
            found["findings"][f"ended with {ended.returncode}"] = told
        results[name] = found
        print(name, {key: value for key, value in found.items() if key != "findings"}, flush=True)
        for key, told in found["findings"].items():
            print(f"  FOUND {key}\n{told}", flush=True)
    versions = {name: version(name) for name in LIBRARIES}
    content = {
        "guided_by": "atheris" if guided else "chance",
        "seed": given.seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": versions,
        "cases": sum(found["cases"] for found in results.values()),
        "seconds": round(sum(found["seconds"] for found in results.values())),
        "findings": sum(len(found["findings"]) for found in results.values()),
        "targets": results,
    }
    given.out.write_text(json.dumps(content, indent=1) + "\n")
    print(f"{content['cases']:,} cases in {content['seconds']:,} s: {content['findings']} findings")


def version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--cases", type=int, default=110_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3_600, help="most seconds a target")
    parser.add_argument("--without-atheris", action="store_true")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "hafloc-fuzz")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--watch", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    one_target(options) if options.one else all_targets(options)
