from __future__ import annotations

import pytest

from citygate.simulate.event import BadLeaksError, LeakPlan


def test_a_leak_plan_is_read():
    assert LeakPlan.parse("count=20,min=5,max=50,growing=0.5") == LeakPlan(20, 5.0, 50.0, 0.5)
    assert LeakPlan.parse("count=3") == LeakPlan(3)


@pytest.mark.parametrize(
    "text",
    ["", "min=5", "count=x", "count=1.5", "count=-1", "count=1,min=9,max=5", "count=1,growing=2", "size=3", "count"],
)
def test_a_leak_plan_that_makes_no_sense_is_refused(text):
    with pytest.raises(BadLeaksError):
        LeakPlan.parse(text)
