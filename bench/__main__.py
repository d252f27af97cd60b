"""`python -m bench [NAME...] [--quick]`: run benchmarks and keep what they print in bench/RESULTS.md."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from citygate.quantity.clock import to_datetime
from citygate.store.readings import now_us

#: Name of the module, meters, hours; and the same for a quick look.
RUNS = {
    "ingest": ((20_000, 480), (2_000, 240)),
    "size": ((20_000, 672), (2_000, 672)),
    "detection": ((100_000, 96), (10_000, 48)),
    "detection-million": ((1_000_000, 12), (100_000, 12)),
    "queries": ((20_000, 8_760), (1_000, 2_000)),
    "growth": ((1_000_000, 48), (10_000, 48)),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to run; all of {', '.join(RUNS)} when absent")
    parser.add_argument("--quick", action="store_true", help="small sizes, for a look; RESULTS.md is not written")
    parser.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if len(options.names) == 1:
        found = _run(options.names[0], quick=options.quick)
        if options.keep:
            options.keep.write_text(found)
        return
    found = [_apart(name, quick=options.quick) for name in options.names or RUNS]
    if not options.quick and not options.names:
        day = to_datetime(now_us()).date()
        head = (
            f"# Results\n\nMeasured on {day} with `make bench`: {os.cpu_count()} cores ({platform.machine()}), "
            f"Python {platform.python_version()}, a shared machine, one run. Ratios hold better than figures.\n\n"
        )
        Path(__file__).with_name("RESULTS.md").write_text(head + "\n".join(found))


def _run(name: str, *, quick: bool) -> str:
    meters, hours = RUNS[name][quick]
    print(f"{name}:", flush=True)
    module = importlib.import_module(f"bench.{name.split('-', maxsplit=1)[0]}")
    with tempfile.TemporaryDirectory(prefix="citygate-bench-") as folder:
        return str(module.run(Path(folder), meters, hours).markdown())


def _apart(name: str, *, quick: bool) -> str:
    """Run a benchmark in a process of its own, so that its memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "result.md"
        command = [sys.executable, "-m", "bench", name, "--keep", str(kept), *(["--quick"] if quick else [])]
        subprocess.run(command, check=True)
        return kept.read_text()


if __name__ == "__main__":
    main()
