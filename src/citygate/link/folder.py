"""A watched folder: files are taken when they are complete, and moved aside afterwards, never deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citygate.errors import CitygateError
from citygate.link.files import FileKindError, kind_of

if TYPE_CHECKING:
    from pathlib import Path

#: Endings of files that somebody is still writing.
_UNFINISHED = {".tmp", ".part", ".filepart", ".crdownload", ".swp"}


class NoFolderError(CitygateError):
    """What shall be watched is no folder."""

    code = "no_folder"

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} is not a folder that can be watched")


class WatchedFolder:
    """The files of one folder that wait to be taken.

    A file is complete when its size and time of change were the same at two looks in a row. Hidden files and files with
    the ending of an unfinished transfer are left alone until they get their final name.

    Args:
        path: The folder; ``done`` and ``failed`` are made within it.

    Raises:
        NoFolderError: It is not a folder.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise NoFolderError(path)
        self.path = path
        self._seen: dict[Path, tuple[int, int]] = {}

    def complete(self) -> list[Path]:
        """Look at the folder and return the files that have not changed since the look before, oldest name first."""
        now: dict[Path, tuple[int, int]] = {}
        for path in sorted(self.path.iterdir()):
            if path.name.startswith(".") or path.suffix.lower() in _UNFINISHED or not path.is_file():
                continue
            try:
                kind_of(path)
                facts = path.stat()
            except (FileKindError, FileNotFoundError):
                continue
            now[path] = facts.st_size, facts.st_mtime_ns
        ready = [path for path, facts in now.items() if self._seen.get(path) == facts]
        self._seen = now
        return ready

    def put_aside(self, path: Path, shelf: str) -> Path:
        """Move a file to ``done`` or ``failed`` and return its new place; a name that is taken gets a number.

        Args:
            path: File of this folder.
            shelf: ``done`` or ``failed``.
        """
        folder = self.path / shelf
        folder.mkdir(exist_ok=True)
        target = folder / path.name
        number = 1
        while target.exists():
            target = folder / f"{path.stem}.{number}{path.suffix}"
            number += 1
        path.rename(target)
        self._seen.pop(path, None)
        return target
