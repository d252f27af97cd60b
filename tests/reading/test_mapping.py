"""A mapping is read whole or refused with the key named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from citygate.reading.mapping import SECTIONS, FileStyle, MappingError, TimeColumn, parse_mapping

GOOD = '[meter]\ncolumn="m"\n[time]\ncolumn="t"\n[register]\ncolumn="x"\nunit="m3"\n'


def test_a_whole_mapping():
    mapping = parse_mapping(
        GOOD + '[pressure]\ncolumn="p"\nunit="mbar(g)"\nambient_pa=101325\n[file]\ndecimal=","\nnull=["--"]\n'
    )
    assert mapping.quantities["index_l"].unit.name == "m3"
    assert mapping.quantities["pressure_pa"].unit.gauge
    assert mapping.file.null == ("", "--")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[meter", "not TOML"),
        (GOOD.replace("[register]", "[registr]"), "did you mean 'register'"),
        (GOOD.replace('unit="m3"', 'unti="m3"'), "'register.unti' in the mapping; did you mean 'unit'"),
        (GOOD.replace('unit="m3"', 'unit="kWh"'), "register.unit is 'kWh'"),
        (GOOD.replace('unit="m3"', "unit=3"), "register.unit in the mapping must be of type text"),
        (GOOD + '[volume]\ncolumn="v"\n', "volume.span_s is missing"),
        (GOOD + '[energy]\ncolumn="v"\nunit="W"\n[span]\ncolumn="s"\n', "energy.span_s"),
        (GOOD + '[pressure]\ncolumn="p"\nunit="mbar"\ngauge=true\n', "pressure.ambient_pa is missing"),
        (GOOD + "[flow]\nunit='l/h'\n", "[flow] needs column"),
        (GOOD.replace('column="t"', 'column="t"\nzone="Mars"'), "time.zone"),
        (GOOD.replace('column="t"', 'column="t"\nformat="ISO8601"'), "time.format"),
        (GOOD.replace('column="t"', 'column="t"\nmarks="middle"'), "time.marks"),
        (GOOD.replace("[time]", "[received]"), "no [time]"),
        (GOOD.replace('[meter]\ncolumn="m"', ""), "meter.column"),
        ('[meter]\ncolumn="m"\n[time]\ncolumn="t"\n', "names no quantity"),
        (GOOD + '[file]\ndecimal=";"\n', "file.decimal"),
        (GOOD + '[file]\nencoding="klingon"\n', "file.encoding"),
        (GOOD + "[register.more]\nx=1\n", "register.more"),
        ("meter = 3\n" + GOOD.replace('[meter]\ncolumn="m"\n', ""), "[meter]"),
    ],
)
def test_what_is_wrong_is_named(text, told):
    with pytest.raises(MappingError, match=re.escape(told)):
        parse_mapping(text)


def test_the_reference_page_tells_every_key():
    page = (Path(__file__).parents[2] / "docs/reference/mapping.md").read_text(encoding="utf-8")
    keys = {
        *SECTIONS,
        "wide",
        "received",
        *FileStyle.__dataclass_fields__,
        *TimeColumn.__dataclass_fields__,
        "scale",
        "span_s",
        "gauge",
        "ambient_pa",
        "round",
        "unit_in_name",
        "prefix",
        "value",
    }
    assert [key for key in sorted(keys) if f"`{key}`" not in page and f"`[{key}]`" not in page] == []
