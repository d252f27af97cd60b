"""Errors as problem details (RFC 9457): one table says which code is which HTTP status."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from citygate.errors import CitygateError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

#: Codes that are neither 400 (the request is wrong) nor, when the same call may succeed later, 503.
STATUS: dict[str, HTTPStatus] = {
    "meter_not_found": HTTPStatus.NOT_FOUND,
    "no_case": HTTPStatus.NOT_FOUND,
    "wrong_transition": HTTPStatus.CONFLICT,
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "foreign_origin": HTTPStatus.FORBIDDEN,
    "foreign_host": HTTPStatus.MISDIRECTED_REQUEST,
    "media_unknown": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "disk_full": HTTPStatus.INSUFFICIENT_STORAGE,
    "chart_failed": HTTPStatus.INTERNAL_SERVER_ERROR,
}
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5


def status_of(error: CitygateError) -> HTTPStatus:
    """Return the HTTP status of an error."""
    return STATUS.get(error.code, HTTPStatus.SERVICE_UNAVAILABLE if error.retryable else HTTPStatus.BAD_REQUEST)


def problem(status: HTTPStatus, code: str, detail: str, where: str, **facts: Any) -> Response:
    """Return a problem document.

    Args:
        status: HTTP status.
        code: Stable code of the error.
        detail: What was wrong and what to do.
        where: Path of the request.
        facts: More members of the document.
    """
    title = status.phrase
    body = {
        "type": f"/v1/docs#{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "instance": where,
        **facts,
    }
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(json.dumps(body, default=str), status, headers, MEDIA_TYPE)


def answer_errors(app: FastAPI) -> None:
    """Answer every error of the application with a problem document."""

    @app.exception_handler(CitygateError)
    def _own(request: Request, error: CitygateError) -> Response:
        return problem(status_of(error), error.code, str(error), request.url.path, retryable=error.retryable)

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        faults = [
            {"field": ".".join(str(part) for part in fault["loc"]), "reason": fault["msg"]} for fault in error.errors()
        ]
        detail = "; ".join(f"{fault['field']}: {fault['reason']}" for fault in faults)
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail, request.url.path, faults=faults)

    @app.exception_handler(HTTPException)
    def _plain(request: Request, error: HTTPException) -> Response:
        code = "not_found" if error.status_code == HTTPStatus.NOT_FOUND else "http"
        return problem(HTTPStatus(error.status_code), code, str(error.detail), request.url.path)

    @app.exception_handler(Exception)
    def _unforeseen(request: Request, _error: Exception) -> Response:
        detail = "Citygate made a mistake; its log has the details"
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail, request.url.path)
