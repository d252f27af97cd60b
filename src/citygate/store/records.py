"""The records of a city: one SQLite file (or another SQL database) through SQLAlchemy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from citygate.errors import CitygateError

if TYPE_CHECKING:
    from pathlib import Path

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


def open_records(path: Path) -> sa.Engine:
    """Return an engine on a SQLite file whose commits survive a crash of the process and of the machine.

    Raises:
        StoreUnavailableError: The file cannot be opened.
    """
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 60})
    event.listen(engine, "connect", _make_durable)
    try:
        metadata.create_all(engine)
    except sa.exc.DBAPIError as cause:
        raise StoreUnavailableError(f"the records in {path} cannot be opened: {cause.orig}") from cause
    return engine


def _make_durable(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
