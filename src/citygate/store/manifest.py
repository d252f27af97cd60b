"""What the store holds: commits, files, which meter was read in which window, and which parts wait to be settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from citygate.store.records import metadata
from citygate.store.segments import Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Bits = npt.NDArray[np.bool_]
#: A part of the store: block of meters, window of gas days.
Part = tuple[int, int]

commits_table = sa.Table(
    "commits",
    metadata,
    sa.Column("commit", sa.Integer, primary_key=True),
    sa.Column("recorded_us", sa.BigInteger, nullable=False, unique=True),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("stored", sa.Integer, nullable=False),
    sa.Column("duplicate", sa.Integer, nullable=False),
    sa.Column("revised", sa.Integer, nullable=False),
)

segments_table = sa.Table(
    "segments",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("size_b", sa.BigInteger, nullable=False),
    sa.Column("first_us", sa.BigInteger, nullable=False),
    sa.Column("last_us", sa.BigInteger, nullable=False),
    sa.Column("first_code", sa.Integer, nullable=False),
    sa.Column("last_code", sa.Integer, nullable=False),
    sa.Column("retired_us", sa.BigInteger),
)

presence_table = sa.Table(
    "presence",
    metadata,
    sa.Column("block", sa.Integer, primary_key=True),
    sa.Column("window", sa.Integer, primary_key=True),
    sa.Column("bits", sa.LargeBinary, nullable=False),
)

dirty_table = sa.Table(
    "dirty",
    metadata,
    sa.Column("block", sa.Integer, primary_key=True),
    sa.Column("window", sa.Integer, primary_key=True),
    sa.Column("mark", sa.BigInteger, nullable=False),
)

rollups_table = sa.Table(
    "rollups",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("block", sa.Integer, nullable=False),
    sa.Column("window", sa.Integer, nullable=False),
    sa.Column("mark", sa.BigInteger, nullable=False),
    sa.Column("retired_us", sa.BigInteger),
)


def live_segments(connection: sa.Connection) -> list[Segment]:
    """Return the files that hold the readings, oldest part first."""
    query = sa.select(segments_table).where(segments_table.c.retired_us.is_(None)).order_by(segments_table.c.name)
    return [
        Segment(**{key: value for key, value in row.items() if key != "retired_us"})
        for row in connection.execute(query).mappings()
    ]


def add_segments(connection: sa.Connection, segments: Iterable[Segment]) -> None:
    """Name new files as live."""
    for segment in segments:
        facts = {name: getattr(segment, name) for name in Segment.__slots__}
        connection.execute(segments_table.insert().values(**facts))


def retire_segments(connection: sa.Connection, names: Sequence[str], now_us: int) -> None:
    """Take files out of use; they are deleted later, when no reader can still have them open."""
    connection.execute(segments_table.update().where(segments_table.c.name.in_(names)).values(retired_us=now_us))


def load_presence(connection: sa.Connection, block_meters: int) -> dict[Part, Bits]:
    """Return which meters of each block have readings in each window."""
    return {
        (row.block, row.window): np.unpackbits(np.frombuffer(row.bits, dtype=np.uint8), count=block_meters).astype(
            np.bool_
        )
        for row in connection.execute(sa.select(presence_table))
    }


def save_presence(connection: sa.Connection, presence: dict[Part, Bits]) -> None:
    """Keep which meters have readings in some parts, replacing what was known of those parts."""
    for (block, window), bits in presence.items():
        query = insert(presence_table).values(block=block, window=window, bits=np.packbits(bits).tobytes())
        connection.execute(query.on_conflict_do_update(["block", "window"], set_={"bits": query.excluded.bits}))


def mark_dirty(connection: sa.Connection, parts: Iterable[Part]) -> None:
    """Say that the consumption of some parts must be derived again, with a mark above every mark before."""
    rows = [{"block": block, "window": window} for block, window in parts]
    if not rows:
        return
    tops = [connection.scalar(sa.select(sa.func.max(table.c.mark))) or 0 for table in (dirty_table, rollups_table)]
    query = insert(dirty_table).values(mark=max(tops) + 1)
    connection.execute(query.on_conflict_do_update(["block", "window"], set_={"mark": query.excluded.mark}), rows)
