"""Readings in: `POST /v1/readings` with JSON, NDJSON, CSV or Arrow IPC."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import polars as pl
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from citygate.api.desk import Desk, Here  # noqa: TC001 - FastAPI reads the annotations at run time
from citygate.flow.ingest import Intake
from citygate.link.http import BODY_BYTES_MAX, MEDIA_TYPES, BodyTooLargeError, MediaUnknownError, decode
from citygate.store.quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Mapping

router = APIRouter(prefix="/v1", tags=["intake"])

_MOST_REASONS = 1_000
_EXAMPLE = [{"meter": "M-1", "time": "2026-01-31T06:00:00+01:00", "index_l": 1506}]
_BODY: Mapping[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Rows with `meter`, `time` (ISO 8601 with offset) and a quantity such as `index_l` (litres).",
        "content": {
            media: (
                {"schema": {"type": "array", "items": {"type": "object"}}, "example": _EXAMPLE}
                if media == "application/json"
                else {}
            )
            for media in MEDIA_TYPES
        },
    }
}


@router.post("/readings", summary="Send readings", openapi_extra=dict(_BODY))
async def post_readings(request: Request, here: Here) -> dict[str, Any]:
    """Validate and keep readings; on the answer they survive a crash. Sending a body again stores nothing twice.

    The answer counts every row once: `read` is the sum of `stored`, `duplicate`, `revised`, `refused` and `unread`.
    Rows that were not taken are in quarantine and in `reasons`, by row number. Unknown meters are refused.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise MediaUnknownError(f"content-encoding: {request.headers['content-encoding']}")
    body = await _body(request)
    return await run_in_threadpool(_take, here, body, request.headers.get("content-type", ""))


def _take(here: Desk, body: bytes, content_type: str) -> dict[str, Any]:
    source = f"http:{hashlib.blake2b(body, digest_size=6).hexdigest()}"
    count = Intake(here.city, here.now_us).take(decode(body, content_type, source))
    reasons = (
        Quarantine(here.city.records)
        .rows(None, 0, _MOST_REASONS, source)
        .select("row", "field", "code", pl.col("message").alias("reason"))
    )
    lost = sum(count.refused.values()) + count.unread
    return {**count.as_dict(), "reasons": reasons.to_dicts() if lost else [], "source": source}


async def _body(request: Request) -> bytes:
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > BODY_BYTES_MAX:
        raise BodyTooLargeError(BODY_BYTES_MAX)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise BodyTooLargeError(BODY_BYTES_MAX)
        parts.append(part)
    return b"".join(parts)
