from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.detection.case import (
    MACHINE,
    SEVERITY,
    TRANSITIONS,
    Action,
    Alarm,
    CaseState,
    Deed,
    Severity,
    WrongTransitionError,
    act,
    open_cases,
)

HOUR = 3_600_000_000
DAY = 24 * HOUR


def alarm(meter: str, kind: str, day: float, zone: str = "north") -> Alarm:
    return Alarm(meter, zone, kind, int(day * DAY), int(day * DAY) + HOUR)


def deed(case: str, action: Action, day: float, reason: str = "visited") -> Deed:
    return Deed(case, int(day * DAY), "ada", action, reason)


def test_alarms_of_one_place_are_one_case_with_the_highest_severity() -> None:
    (case,) = open_cases([alarm("a", "flow_step", 1), alarm("a", "continuous_flow", 3)], [])
    assert (case.name, case.state, case.severity) == ("a@1970-01-02", CaseState.OPEN, Severity.SAFETY)
    assert [one.kind for one in case.alarms] == ["flow_step", "continuous_flow"]


def test_gas_that_never_stops_is_in_the_emergency_queue() -> None:
    assert {kind for kind, severity in SEVERITY.items() if severity is Severity.SAFETY} == {
        "continuous_flow",
        "sustained_flow",
        "uninterrupted_flow",
        "sudden_drop",
    }


@pytest.mark.parametrize("state", list(CaseState))
@pytest.mark.parametrize("action", list(Action))
def test_only_the_table_moves_a_case(state: CaseState, action: Action) -> None:
    steps = {CaseState.OPEN: [], CaseState.ACKNOWLEDGED: [Action.ACKNOWLEDGE], CaseState.CLOSED: [Action.CLOSE]}
    deeds = [deed("a@1970-01-02", step, 2) for step in steps[state]]
    (case,) = open_cases([alarm("a", "flow_step", 1)], deeds)
    assert case.state is state
    if (state, action) in TRANSITIONS:
        assert act(case, deed(case.name, action, 3)).state is TRANSITIONS[state, action]
    else:
        with pytest.raises(WrongTransitionError):
            act(case, deed(case.name, action, 3))


def test_a_close_needs_a_reason() -> None:
    (case,) = open_cases([alarm("a", "flow_step", 1)], [])
    with pytest.raises(WrongTransitionError):
        act(case, deed(case.name, Action.CLOSE, 2, reason=" "))


def test_a_new_alarm_soon_reopens_and_a_late_one_begins_anew() -> None:
    closed = [deed("a@1970-01-02", Action.CLOSE, 2)]
    (case,) = open_cases([alarm("a", "flow_step", 1), alarm("a", "flow_step", 9)], closed)
    assert case.state is CaseState.OPEN
    assert [(one.action, one.actor) for one in case.deeds] == [(Action.CLOSE, "ada"), (Action.REOPEN, MACHINE)]
    cases = open_cases([alarm("a", "flow_step", 1), alarm("a", "flow_step", 40)], closed)
    assert [(one.name, one.state) for one in cases] == [
        ("a@1970-01-02", CaseState.CLOSED),
        ("a@1970-02-10", CaseState.OPEN),
    ]


def test_an_old_alarm_first_seen_after_the_close_is_not_hidden_by_it() -> None:
    late = Alarm("a", "north", "continuous_flow", int(1.5 * DAY), 5 * DAY)
    (case,) = open_cases([alarm("a", "flow_step", 1), late], [deed("a@1970-01-02", Action.CLOSE, 2)])
    assert case.state is CaseState.OPEN


@pytest.mark.parametrize("offset", [-0.1, 0.1])
def test_a_zone_and_the_meters_that_it_explains_are_one_case(offset: float) -> None:
    alarms = [
        alarm("a", "low_pressure", 1),
        alarm("b", "pressure_sensor", 1.05),
        alarm("c", "continuous_flow", 1),
        alarm("d", "low_pressure", 1, zone="south"),
        alarm("zone:north", "sudden_drop", 1 + offset),
    ]
    cases = {case.place: {one.meter for one in case.alarms} for case in open_cases(alarms, [])}
    home = next(place for place, meters in cases.items() if "zone:north" in meters)
    assert cases[home] == {"a", "b", "zone:north"}
    assert cases["c"] == {"c"}
    assert cases["d"] == {"d"}


def test_a_stuck_meter_explains_that_its_zone_seems_to_lose_gas() -> None:
    (case,) = open_cases([alarm("a", "stuck_register", 1), alarm("zone:north", "zone_balance", 1.5)], [])
    assert {one.meter for one in case.alarms} == {"a", "zone:north"}


KINDS = sorted(SEVERITY)
ALARMS = st.builds(
    alarm,
    st.sampled_from(["a", "b", "zone:north", "zone:south"]),
    st.sampled_from(KINDS),
    st.integers(0, 60),
    st.just("north"),
)


@given(st.lists(ALARMS, max_size=20, unique_by=lambda one: (one.meter, one.kind, one.at_us)), st.randoms())
def test_every_alarm_is_in_exactly_one_case_whatever_the_order(alarms: list[Alarm], random) -> None:
    cases = open_cases(alarms, [])
    key = lambda one: (one.at_us, one.meter, one.kind)  # noqa: E731 - a sort key
    assert sorted((one for case in cases for one in case.alarms), key=key) == sorted(alarms, key=key)
    random.shuffle(alarms)
    assert open_cases(alarms, []) == cases
