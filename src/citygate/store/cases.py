"""Alarms and what people did about them, kept in the records of a city."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import sqlalchemy as sa

from citygate.detection.alarm import COLUMNS
from citygate.detection.case import Action, Alarm, Case, Deed, act, open_cases
from citygate.errors import CitygateError
from citygate.store.records import metadata

if TYPE_CHECKING:
    from citygate.store.city import City

alarms_table = sa.Table(
    "alarms",
    metadata,
    sa.Column("meter", sa.String, primary_key=True),
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("at_us", sa.BigInteger, primary_key=True),
    sa.Column("zone", sa.String, nullable=False),
    sa.Column("from_us", sa.BigInteger, nullable=False),
    sa.Column("to_us", sa.BigInteger, nullable=False),
    sa.Column("statistic", sa.Float, nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("evidence", sa.String, nullable=False),
    sa.Column("seen_us", sa.BigInteger, nullable=False),
    sa.Column("withdrawn_us", sa.BigInteger),
)

deeds_table = sa.Table(
    "case_events",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("case", sa.String, nullable=False, index=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
)


class NoCaseError(CitygateError):
    """There is no such case."""

    code = "no_case"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no case '{name}'; `citygate cases list` shows them")


class CaseStore:
    """The alarms and cases of a city. Cases are derived from alarms and deeds each time, so they cannot disagree.

    Args:
        records: Database of the city; the tables are made when absent.
    """

    def __init__(self, records: sa.Engine) -> None:
        self.records = records
        metadata.create_all(records, tables=[alarms_table, deeds_table])

    @classmethod
    def of(cls, city: City) -> CaseStore:
        """Return the cases of a city."""
        return cls(city.records)

    def keep(self, alarms: pl.DataFrame, now_us: int) -> tuple[int, int]:
        """Make the alarms held equal to those of a watch; return how many came and how many were withdrawn.

        An alarm that late or corrected data took away is withdrawn, not deleted; it comes back as itself.

        Args:
            alarms: Frame of `citygate.detection.alarm.COLUMNS`: every alarm of the city.
            now_us: When [µs UTC].
        """
        key = ("meter", "kind", "at_us")
        table = alarms_table.c
        found = {tuple(row[name] for name in key): row for row in alarms.iter_rows(named=True)}
        with self.records.begin() as connection:
            query = sa.select(*(table[name] for name in key), table.withdrawn_us)
            held = {tuple(row[:3]): row[3] for row in connection.execute(query)}
            fresh = [found[name] for name in found if name not in held]
            gone = [name for name, withdrawn_us in held.items() if withdrawn_us is None and name not in found]
            back = [name for name, withdrawn_us in held.items() if withdrawn_us is not None and name in found]
            if fresh:
                connection.execute(alarms_table.insert(), [{**row, "seen_us": now_us} for row in fresh])
            for names, withdrawn_us in ((gone, now_us), (back, None)):
                for name in names:
                    where = sa.and_(*(table[column] == value for column, value in zip(key, name, strict=True)))
                    connection.execute(alarms_table.update().where(where).values(withdrawn_us=withdrawn_us))
        return len(fresh) + len(back), len(gone)

    def alarms(self) -> pl.DataFrame:
        """Return the alarms that hold, with ``seen_us``, by time, meter and kind."""
        names = [*COLUMNS, "seen_us"]
        query = sa.select(*(alarms_table.c[name] for name in names)).where(alarms_table.c.withdrawn_us.is_(None))
        with self.records.connect() as connection:
            rows = connection.execute(
                query.order_by(alarms_table.c.at_us, alarms_table.c.meter, alarms_table.c.kind)
            ).all()
        return pl.DataFrame([tuple(row) for row in rows], schema={**COLUMNS, "seen_us": pl.Int64()}, orient="row")

    def cases(self) -> list[Case]:
        """Return every case, by the time of its first alarm."""
        rows = self.alarms().select("meter", "zone", "kind", "at_us", "seen_us")
        return open_cases((Alarm(*row) for row in rows.iter_rows()), self.deeds())

    def deeds(self) -> list[Deed]:
        """Return everything that people did, in order."""
        table = deeds_table.c
        query = sa.select(table.case, table.at_us, table.actor, table.action, table.reason).order_by(table.number)
        with self.records.connect() as connection:
            return [
                Deed(case, at_us, actor, Action(action), reason)
                for case, at_us, actor, action, reason in connection.execute(query)
            ]

    def find(self, name: str) -> Case:
        """Return a case by its name.

        Raises:
            NoCaseError: There is none.
        """
        for case in self.cases():
            if case.name == name:
                return case
        raise NoCaseError(name)

    def act(self, deed: Deed) -> Case:
        """Do something with a case and return it as it then is.

        Raises:
            NoCaseError: There is no such case.
            WrongTransitionError: It cannot do that from the state it is in.
        """
        after = act(self.find(deed.case), deed)
        row = {
            "case": deed.case,
            "at_us": deed.at_us,
            "actor": deed.actor,
            "action": str(deed.action),
            "reason": deed.reason,
        }
        with self.records.begin() as connection:
            connection.execute(deeds_table.insert(), [row])
        return after
