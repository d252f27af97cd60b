"""The records of a city: one SQLite file (or another SQL database) through SQLAlchemy."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from citygate.errors import CitygateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: SQLite calls a full disk an I/O error where it cannot make room for its shared memory; below this it is one [byte].
_ROOM_B = 2**20
_SAYS_FULL = "full"
_SAYS_IO = "disk I/O error"
#: What SQLite says when the world fails, not the program.
_WORLD = (_SAYS_FULL, _SAYS_IO, "locked", "readonly", "unable to open", "malformed", "not a database")

#: Every table of the records hangs here; a room adds its own beside the code that uses them.
metadata = sa.MetaData()

settings_table = sa.Table(
    "settings",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)

meters_table = sa.Table(
    "meters",
    metadata,
    sa.Column("code", sa.Integer, primary_key=True),
    sa.Column("valid_from_us", sa.BigInteger, primary_key=True),
    sa.Column("valid_to_us", sa.BigInteger, nullable=False),
    sa.Column("meter", sa.String, nullable=False, index=True),
    sa.Column("zone", sa.String, nullable=False),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("customer_type", sa.String, nullable=False),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("nature", sa.String, nullable=False),
    sa.Column("register_max_l", sa.BigInteger, nullable=False),
    sa.Column("pulse_l", sa.BigInteger, nullable=False),
    sa.Column("qmax_lph", sa.BigInteger, nullable=False),
    sa.Column("lon", sa.Float),
    sa.Column("lat", sa.Float),
)


class StoreUnavailableError(CitygateError):
    """The store cannot be read or written now."""

    code = "store_unavailable"
    retryable = True


class DiskFullError(StoreUnavailableError):
    """There is no room left for what must be kept."""

    code = "disk_full"
    retryable = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"the disk of {folder} is full; free some space, then repeat the command: it goes on where it stopped"
        )


def open_records(path: Path) -> sa.Engine:
    """Return an engine on a SQLite file whose commits survive a crash of the process and of the machine.

    Whatever is done with it raises `DiskFullError` when there is no room, and `StoreUnavailableError` when the file
    cannot be read or written for another reason.
    """
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 60})

    def make_durable(connection: Any, _record: object) -> None:
        with typed_errors(path):
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.close()

    def tell(context: sa.engine.ExceptionContext) -> BaseException | None:
        return _typed(context.original_exception, path)

    event.listen(engine, "connect", make_durable)
    event.listen(engine, "handle_error", tell)
    metadata.create_all(engine)
    return engine


@contextmanager
def typed_errors(path: Path) -> Iterator[None]:
    """Turn errors of the disk and of SQLite into those of the store.

    Args:
        path: The file that is read or written.

    Raises:
        DiskFullError: There is no room.
        StoreUnavailableError: The file cannot be read or written for another reason.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as cause:
        typed = _typed(cause, path)
        if typed is None:
            raise
        raise typed from cause


def _typed(cause: BaseException | None, path: Path) -> StoreUnavailableError | None:
    """Return the error of the store that a foreign error means; None where it is a mistake of the program."""
    told = str(cause)
    if isinstance(cause, OSError):
        full = cause.errno in {errno.ENOSPC, errno.EDQUOT}
    elif isinstance(cause, sqlite3.Error) and any(said in told for said in _WORLD):
        full = _SAYS_FULL in told or (_SAYS_IO in told and shutil.disk_usage(path.parent).free < _ROOM_B)
    else:
        return None
    return DiskFullError(path.parent) if full else StoreUnavailableError(f"{path} cannot be used now: {told}")
