"""Words of the API's own description."""

from __future__ import annotations

from typing import Any

DESCRIPTION = """
Times are ISO 8601 with an offset; a date alone means the gas day that bears it. Periods exclude their end. Registers
and volumes are whole litres or m³ at the conditions of the meter, pressures are absolute [Pa], temperatures [mK].
Without `from` and `to` an answer covers the last seven gas days that have readings. Lists come in pages: pass `next`
back as `cursor`. Errors are problem documents (RFC 9457) with a stable `code`.
"""

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable name of the error."},
        "detail": {"type": "string", "description": "What was wrong and what to do."},
        "instance": {"type": "string"},
    },
}
#: Every call may answer with a problem.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem document (RFC 9457)",
        "content": {"application/problem+json": {"schema": _PROBLEM}},
    }
}
