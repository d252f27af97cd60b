"""One writer at a time, across threads and processes."""

from __future__ import annotations

import fcntl
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class WriterLock:
    """A lock on a file that the system frees when its holder dies; one thread may take it again within itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.RLock()
        self._depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, hold it, free it."""
        with self._thread, ExitStack() as stack:
            if not self._depth:
                file = stack.enter_context(self._path.open("a"))
                fcntl.flock(file, fcntl.LOCK_EX)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    @contextmanager
    def tried(self) -> Iterator[bool]:
        """Hold the lock if nobody else does, and tell whether it is held."""
        if not self._thread.acquire(blocking=False):
            yield False
            return
        with ExitStack() as stack:
            stack.callback(self._thread.release)
            if not self._depth:
                file = stack.enter_context(self._path.open("a"))
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield False
                    return
            self._depth += 1
            try:
                yield True
            finally:
                self._depth -= 1
