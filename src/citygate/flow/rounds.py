"""What goes on beside intake: alarms brought up to date, consumption derived, small files merged."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from citygate.detection.meters import Meters
from citygate.errors import CitygateError
from citygate.flow.watch import Watch, Watched, default_panel
from citygate.store.cases import CaseStore
from citygate.store.compaction import compact_if_due

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    import polars as pl

    from citygate.detection.panel import Panel
    from citygate.store.city import City

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RoundCount:
    """What one round did.

    Attributes:
        raised: Alarms that are new, or hold again.
        withdrawn: Alarms that late or corrected readings took away.
        derived: Parts whose consumption was derived again.
    """

    raised: int
    withdrawn: int
    derived: int


class Rounds:
    """Keeps alarms, cases and consumption of a city in step with its readings.

    The alarms are a function of the readings held, so any number of rounds ends in what one round over all finds.

    Args:
        city: The open store.
        now_us: Tells the present [µs UTC].
        panel: Detectors; the shipped ones when None.
    """

    def __init__(self, city: City, now_us: Callable[[], int], panel: Panel | None = None) -> None:
        self._city = city
        self._now_us = now_us
        self._panel = panel or default_panel()
        self._cases = CaseStore.of(city)
        self._watched: Watched | None = None
        self._commit = -1

    def once(self) -> RoundCount:
        """Go one round."""
        raised, withdrawn = self.look()
        compact_if_due(self._city.readings)
        return RoundCount(raised, withdrawn, self._city.rollups.settle())

    def look(self) -> tuple[int, int]:
        """Bring the alarms up to date and return how many came and how many were withdrawn."""
        changed, newest = self._city.readings.appended(self._commit)
        span_us = self._city.readings.span_us()
        if span_us is None or newest == self._commit:
            return 0, 0
        meters = Meters.of(self._city.registry())
        watch = Watch(self._panel, self._city.clock, self._city.readings.scan, self._city.temperature())
        before = self._watched
        if before is None or span_us[0] <= before.start_us:
            before, changed = watch.begin(meters, span_us[0] - 1), changed.clear()
        self._watched = watch.advance(before, max(span_us[1], before.until_us), meters, changed)
        self._commit = newest
        return self._cases.keep(self._watched.alarms(), self._now_us())

    def alarms(self) -> pl.DataFrame | None:
        """Return the alarms as of the last round; None before the first."""
        return None if self._watched is None else self._watched.alarms()

    def run(self, stop: threading.Event, pause_s: float) -> None:
        """Go rounds until told to stop; what fails for now is logged and tried again."""
        while not stop.wait(pause_s):
            try:
                self.once()
            except CitygateError as error:
                log.warning("a round was not finished: %s [%s]", error, error.code)
            except Exception:  # intake and pages must go on, whatever a round stumbles over; the log tells where
                log.exception("a round was not finished")
