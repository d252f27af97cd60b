"""Time, memory, and a line of results."""

from __future__ import annotations

import resource
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Watch:
    seconds: float = 0.0


@contextmanager
def timed() -> Iterator[Watch]:
    watch, start = Watch(), time.perf_counter()
    yield watch
    watch.seconds = time.perf_counter() - start


def peak_mib() -> float:
    """Return the most memory that this process has held [MiB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


@dataclass
class Results:
    """Lines of one benchmark."""

    title: str
    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, what: str, value: str, beside: str = "") -> None:
        self.lines.append((what, value, beside))
        print(f"  {what:<58} {value:>22}   {beside}", flush=True)

    def markdown(self) -> str:
        rows = "\n".join(f"| {what} | {value} | {beside} |" for what, value, beside in self.lines)
        return f"## {self.title}\n\n| what | measured | beside |\n| --- | --- | --- |\n{rows}\n"


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
