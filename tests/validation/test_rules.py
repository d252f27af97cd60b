from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from citygate.validation.finding import Code
from citygate.validation.rules import WrongRulesError, parse_rules, standard_rules

TEXT = (files("citygate.validation") / "data" / "rules.toml").read_text(encoding="utf-8")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "rules.md"


def test_every_limit_has_its_source():
    for name, table in tomllib.loads(TEXT).items():
        if name != "rule_set":
            assert set(table) == {"value", "unit", "source", "edition", "verified"}, name


def test_the_page_lists_every_code_and_limit():
    page = PAGE.read_text(encoding="utf-8")
    for code in Code:
        assert f"| `{code}` |" in page
    for name, table in tomllib.loads(TEXT).items():
        if name != "rule_set":
            value = table["value"]
            shown = ", ".join(map(str, value)) if isinstance(value, list) else f"{value:g}"
            assert f"| `{name}` | {shown} | {table['unit']} |" in page


def test_a_file_of_rules_is_whole():
    assert parse_rules(TEXT) == standard_rules()
    with pytest.raises(WrongRulesError, match="stuck_hours"):
        parse_rules(TEXT.replace("[stuck_hours]", "[stuck_for]"))
