"""Watched folders to the store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from citygate.errors import CitygateError
from citygate.link.folder import WatchedFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from citygate.flow.ingest import IngestCount, Intake


def watch(
    intake: Intake,
    folders: Sequence[Path],
    told: Callable[[Path, IngestCount | None, str], None],
    *,
    poll_s: float,
    stop: threading.Event | None = None,
) -> None:
    """Take each file that is complete, until ``stop`` is set.

    A file whose rows were taken goes to ``done`` (rows that were not taken are in quarantine); one that could not be
    taken as a whole goes to ``failed``. While the disk is full or the store busy, files stay and are tried again.

    Args:
        intake: The way into the city.
        folders: Folders to watch.
        told: Called for each file with its counts, or with None and the reason.
        poll_s: Time between two looks [s].
        stop: Ends the watch.

    Raises:
        NoFolderError: One of them is not a folder.
    """
    watched = [WatchedFolder(path) for path in folders]
    ended = stop or threading.Event()
    while True:
        for folder in watched:
            for path in folder.complete():
                _take(intake, folder, path, told)
        if ended.wait(poll_s):
            return


def _take(
    intake: Intake, folder: WatchedFolder, path: Path, told: Callable[[Path, IngestCount | None, str], None]
) -> None:
    try:
        count = intake.ingest(path)
    except CitygateError as error:
        if error.retryable:
            told(path, None, f"{error}; it stays and is tried again")
            return
        folder.put_aside(path, "failed")
        told(path, None, str(error))
    except FileNotFoundError:
        return  # Somebody took it away between the look and the read.
    else:
        folder.put_aside(path, "done")
        told(path, count, "")
