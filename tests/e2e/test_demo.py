"""The demo as a newcomer starts it."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_demo_replays_scores_and_ends():
    command = [sys.executable, "-m", "citygate", "demo", "--once", "--days", "17", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    report = json.loads(done.stdout)
    counts = report["counts"]
    assert report["meters"] == {"measured": 4, "modelled": 1_510}
    assert counts["read"] > 500_000
    assert counts["read"] == sum(counts[name] for name in ("stored", "duplicate", "revised", "unread")) + sum(
        counts["refused"].values()
    )
    assert {"precision", "false_alarms_per_1000_meter_days", "by_size", "by_alarm"} <= report["scores"].keys()
    assert report["readings_per_second"] > 0
    assert report["peak_memory_mib"] > 0
