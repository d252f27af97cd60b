"""Readings a second through all detectors of single meters, beside one pass of numpy over the same readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.measure import Results, peak_mib, timed
from bench.traffic import batches, registry
from citygate.detection.meters import Meters
from citygate.detection.slots import Rows, State
from citygate.detection.slots import run as run_detector
from citygate.fleet.registry import Registry
from citygate.flow.watch import default_panel
from citygate.quantity.clock import CityClock
from citygate.reading.batch import ValidatedBatch

if TYPE_CHECKING:
    from pathlib import Path


def run(_folder: Path, meters: int, hours: int) -> Results:
    results = Results(f"Detection: {meters:,} meters, {hours} hours")
    facts = Meters.of(Registry.of(registry(meters)))
    clock, panel = CityClock(), default_panel()
    days = [ValidatedBatch.of(frame).rows for frame in batches(meters, hours, 3, full=False, shuffled=False)]
    count = sum(len(frame) for frame in days)
    with timed() as bound:
        for frame in days:
            np.diff(frame["index_l"].to_numpy()).max()
    states = {detector.kind: State.fresh(detector, facts.count) for detector in panel.register}
    alarms = 0
    with timed() as watch:
        for frame in days:
            rows = Rows.of(frame.select("meter", "at_us", "index_l", "pressure_pa"), "index_l", clock, None)
            for detector in panel.register:
                outcome = run_detector(detector, states[detector.kind], rows, facts)
                states[detector.kind] = outcome.state
                alarms += len(outcome.alarms)
    beside = f"{bound.seconds / watch.seconds:.4f} x one numpy difference of the registers"
    results.add(
        f"through {len(panel.register)} detectors of a register", f"{count / watch.seconds:,.0f} readings/s", beside
    )
    results.add("readings x detectors", f"{count * len(panel.register) / watch.seconds:,.0f} /s")
    results.add("peak memory of this process", f"{peak_mib():,.0f} MiB")
    results.add("alarms on this unchecked made-up traffic", f"{alarms}")
    return results
