from __future__ import annotations

import polars as pl
import pytest

from citygate.detection.alarm import COLUMNS
from citygate.detection.case import Action, CaseState, Deed, WrongTransitionError
from citygate.store.cases import CaseStore, NoCaseError
from citygate.store.records import open_records

DAY = 86_400_000_000


def alarms(*days: int, kind: str = "night_flow") -> pl.DataFrame:
    rows = [("a", "north", kind, 0, day * DAY, day * DAY, 9.0, 8.0, "{}") for day in days]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


@pytest.fixture
def cases(tmp_path) -> CaseStore:
    engine = open_records(tmp_path / "records.db")
    yield CaseStore(engine)
    engine.dispose()


def test_the_same_alarms_twice_are_kept_once(cases: CaseStore) -> None:
    assert cases.keep(alarms(1, 2), now_us=3 * DAY) == (2, 0)
    assert cases.keep(alarms(1, 2), now_us=4 * DAY) == (0, 0)
    assert cases.alarms().drop("seen_us").equals(alarms(1, 2))


def test_an_alarm_that_late_data_took_away_is_withdrawn_and_comes_back_as_itself(cases: CaseStore) -> None:
    cases.keep(alarms(1, 2), now_us=3 * DAY)
    assert cases.keep(alarms(2), now_us=4 * DAY) == (0, 1)
    assert cases.alarms()["at_us"].to_list() == [2 * DAY]
    assert cases.keep(alarms(1, 2), now_us=5 * DAY) == (1, 0)
    assert cases.alarms()["seen_us"].to_list() == [3 * DAY, 3 * DAY]


def test_a_deed_lasts_and_a_wrong_one_changes_nothing(cases: CaseStore) -> None:
    cases.keep(alarms(1), now_us=2 * DAY)
    name = cases.cases()[0].name
    close = Deed(name, 3 * DAY, "ada", Action.CLOSE, "valve shut")
    assert cases.act(close).state is CaseState.CLOSED
    with pytest.raises(WrongTransitionError):
        cases.act(close)
    assert CaseStore(cases.records).find(name).deeds == (close,)
    with pytest.raises(NoCaseError):
        cases.find("nobody@1970-01-01")
