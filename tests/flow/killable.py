"""An ingest in a process of its own, to be killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citygate.flow.ingest import Intake, Strangers
from citygate.link import files
from citygate.store.city import City

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path


def take(path: Path, store: Path, now_us: int, told: Connection) -> None:
    """Ingest a file in small chunks and tell after each how many rows were read so far."""
    files.BYTES_PER_CHUNK = 300
    intake = Intake(City.open(store), lambda: now_us, strangers=Strangers.REGISTER)
    told.send(0)
    intake.ingest(path, lambda count: told.send(count.read))
