"""Alarms become cases: one piece of work for people, with a state that only a table changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from citygate.detection.lowest import HOUR_US
from citygate.errors import CitygateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_DAY_US = 24 * HOUR_US
#: Who reopens a case when a new alarm comes.
MACHINE = "citygate"


class Severity(IntEnum):
    """How soon somebody must look."""

    INFO = 0
    WATCH = 1
    URGENT = 2
    SAFETY = 3  # gas flows and never stops, or a zone loses its pressure: the emergency queue


class CaseState(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Action(StrEnum):
    """What a person can do with a case."""

    ACKNOWLEDGE = "acknowledge"
    CLOSE = "close"
    REOPEN = "reopen"


TRANSITIONS: Mapping[tuple[CaseState, Action], CaseState] = {
    (CaseState.OPEN, Action.ACKNOWLEDGE): CaseState.ACKNOWLEDGED,
    (CaseState.OPEN, Action.CLOSE): CaseState.CLOSED,
    (CaseState.ACKNOWLEDGED, Action.CLOSE): CaseState.CLOSED,
    (CaseState.CLOSED, Action.REOPEN): CaseState.OPEN,
}

SEVERITY: Mapping[str, Severity] = {
    "continuous_flow": Severity.SAFETY,
    "sustained_flow": Severity.SAFETY,
    "uninterrupted_flow": Severity.SAFETY,
    "sudden_drop": Severity.SAFETY,
    "night_flow": Severity.URGENT,
    "zone_balance": Severity.URGENT,
    "low_pressure": Severity.URGENT,
    "flow_step": Severity.WATCH,
    "stuck_register": Severity.WATCH,
    "pressure_sensor": Severity.INFO,
}

#: Alarms of meters that a zone's alarm explains, or that explain it: a register that stands still takes gas from no
#: meter, so its zone seems to lose gas.
EXPLAINS: Mapping[str, frozenset[str]] = {
    "sudden_drop": frozenset({"pressure_sensor", "low_pressure"}),
    "low_pressure": frozenset({"pressure_sensor", "low_pressure"}),
    "zone_balance": frozenset({"stuck_register"}),
}


class WrongTransitionError(CitygateError):
    """A case cannot do that from the state it is in."""

    code = "wrong_transition"

    def __init__(self, case: str, state: CaseState, action: Action) -> None:
        self.case = case
        self.state = state
        self.action = action
        super().__init__(f"case {case} is {state}; it cannot {action}")


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm as cases see it.

    Attributes:
        meter: Identity of the meter, or ``zone:NAME``.
        zone: Zone of it.
        kind: Kind of the detector.
        at_us: When it rose, in the time of the data [µs UTC].
        seen_us: When Citygate first had it, in the time of people [µs UTC].
    """

    meter: str
    zone: str
    kind: str
    at_us: int
    seen_us: int


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did with a case.

    Attributes:
        case: Name of the case.
        at_us: When [µs UTC].
        actor: Who.
        action: What.
        reason: Why; needed to close.
    """

    case: str
    at_us: int
    actor: str
    action: Action
    reason: str


@dataclass(frozen=True, slots=True)
class Case:
    """One piece of work.

    Attributes:
        name: Identity: place and date of its first alarm.
        place: The meter, or ``zone:NAME``.
        zone: Zone of it.
        state: Where it stands.
        severity: The highest of its alarms.
        opened_us: Rise of its first alarm [µs UTC].
        latest_us: Rise of its newest alarm [µs UTC].
        alarms: Its alarms in the order in which they were seen.
        deeds: What was done with it, the machine's reopening included.
    """

    name: str
    place: str
    zone: str
    state: CaseState
    severity: Severity
    opened_us: int
    latest_us: int
    alarms: tuple[Alarm, ...]
    deeds: tuple[Deed, ...]


def open_cases(
    alarms: Iterable[Alarm], deeds: Sequence[Deed], *, reopen_us: int = 14 * _DAY_US, join_us: int = _DAY_US
) -> list[Case]:
    """Return the cases that alarms and deeds make, by the time of their first alarm.

    An alarm joins the case of its place while that is not closed, and reopens it when it rises within ``reopen_us`` of
    the case's newest alarm; later ones begin a new case. An alarm of a meter joins the case of its zone (and one of a
    zone takes in the cases of its meters) when one explains the other and they rise within ``join_us``.

    Args:
        alarms: Alarms in any order.
        deeds: Deeds in the order in which they were done; those on cases that no longer exist are passed over, since
            late data can withdraw the alarm that a case stood on.
        reopen_us: How soon a new alarm reopens a closed case [µs].
        join_us: How near alarms of a zone and of its meters must be to be one case [µs].
    """
    cases: dict[str, Case] = {}
    steps: list[tuple[int, int, Alarm | Deed]] = [(alarm.seen_us, 0, alarm) for alarm in alarms]
    steps += [(deed.at_us, 1, deed) for deed in deeds]
    for _, _, step in sorted(steps, key=_in_time):
        if isinstance(step, Alarm):
            _take(cases, step, reopen_us, join_us)
        elif step.case in cases and (cases[step.case].state, step.action) in TRANSITIONS:
            cases[step.case] = act(cases[step.case], step)
    return sorted(cases.values(), key=lambda case: (case.opened_us, case.name))


def act(case: Case, deed: Deed) -> Case:
    """Return the case after a deed.

    Raises:
        WrongTransitionError: The table has no such step, or a close gives no reason.
    """
    after = TRANSITIONS.get((case.state, deed.action))
    if after is None or (deed.action is Action.CLOSE and not deed.reason.strip()):
        raise WrongTransitionError(case.name, case.state, deed.action)
    return replace(case, state=after, deeds=(*case.deeds, deed))


def _in_time(step: tuple[int, int, Alarm | Deed]) -> tuple[int, int, int, str, str]:
    when, rank, what = step
    if isinstance(what, Alarm):
        return when, rank, what.at_us, what.meter, what.kind
    return when, rank, what.at_us, what.case, what.action


def _take(cases: dict[str, Case], alarm: Alarm, reopen_us: int, join_us: int) -> None:
    home = _home(cases, alarm, reopen_us, join_us)
    if home is None:
        name = f"{alarm.meter}@{datetime.fromtimestamp(alarm.at_us // 1_000_000, UTC):%Y-%m-%d}"
        cases[name] = Case(
            name, alarm.meter, alarm.zone, CaseState.OPEN, SEVERITY[alarm.kind], alarm.at_us, alarm.at_us, (alarm,), ()
        )
        home = cases[name]
    else:
        cases[home.name] = home = _joined(home, (alarm,))
    if alarm.meter.startswith("zone:"):
        for other in [
            case for case in cases.values() if case.name != home.name and _is_explained(case, alarm, join_us)
        ]:
            cases[home.name] = home = _joined(home, other.alarms)
            del cases[other.name]


def _home(cases: dict[str, Case], alarm: Alarm, reopen_us: int, join_us: int) -> Case | None:
    for case in sorted(cases.values(), key=lambda case: -case.latest_us):
        same = case.place == alarm.meter or any(
            old.meter == alarm.meter and old.kind == alarm.kind for old in case.alarms
        )
        if same and (case.state is not CaseState.CLOSED or alarm.at_us - case.latest_us <= reopen_us):
            return case
    for case in cases.values():
        near = [
            old for old in case.alarms if old.meter == f"zone:{alarm.zone}" and abs(old.at_us - alarm.at_us) <= join_us
        ]
        if case.state is not CaseState.CLOSED and any(alarm.kind in EXPLAINS.get(old.kind, ()) for old in near):
            return case
    return None


def _is_explained(case: Case, by: Alarm, join_us: int) -> bool:
    """Whether a case that nobody has touched stands only on what an alarm of its zone explains."""
    return (
        case.zone == by.zone
        and not case.deeds
        and not case.place.startswith("zone:")
        and all(old.kind in EXPLAINS.get(by.kind, ()) and abs(old.at_us - by.at_us) <= join_us for old in case.alarms)
    )


def _joined(case: Case, alarms: tuple[Alarm, ...]) -> Case:
    newest = alarms[-1]
    deeds = case.deeds
    if case.state is CaseState.CLOSED:
        why = f"{newest.kind} at {newest.meter} rose again"
        deeds = (*deeds, Deed(case.name, newest.seen_us, MACHINE, Action.REOPEN, why))
    return replace(
        case,
        state=CaseState.OPEN if case.state is CaseState.CLOSED else case.state,
        severity=max(case.severity, *(SEVERITY[alarm.kind] for alarm in alarms)),
        opened_us=min(case.opened_us, *(alarm.at_us for alarm in alarms)),
        latest_us=max(case.latest_us, *(alarm.at_us for alarm in alarms)),
        alarms=(*case.alarms, *alarms),
        deeds=deeds,
    )
