from __future__ import annotations

import numpy as np
import polars as pl
from series_rows import amounts, facts, names

from citygate.validation.mark import mark
from citygate.validation.rules import standard_rules
from citygate.validation.series import examine
from citygate.validation.steps import judge


def test_findings_mark_the_readings_they_speak_of():
    volume_l = np.arange(100, 300)
    volume_l[50:70] = 500
    volume_l[120] = 9_000
    one = amounts(volume_l)
    rows = pl.concat([amounts(np.arange(100, 300)), one.with_columns(meter=pl.lit(1, pl.Int32))])
    found, _ = examine(rows, facts(2), standard_rules())
    told = names(mark(rows, found) | judge(rows, facts(2)))
    assert told[:200] == [""] * 200
    assert {place: name for place, name in enumerate(told[200:]) if name} == {
        **dict.fromkeys(range(50, 70), "STUCK"),
        120: "ABOVE_LIMIT",
    }


def test_no_finding_no_mark():
    rows = amounts([1, 2])
    found, _ = examine(rows, facts(), standard_rules())
    assert mark(rows, found).tolist() == [0, 0]
