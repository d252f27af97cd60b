"""The pages ask the API, and nothing else: one request within the process, without a socket."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

from citygate.errors import CitygateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request
    from starlette.types import Message


class RefusedError(CitygateError):
    """The API answered a page with a problem document.

    Attributes:
        problem: The document (RFC 9457).
    """

    code = "refused"

    def __init__(self, problem: dict[str, Any]) -> None:
        self.problem = problem
        super().__init__(str(problem.get("detail", "")))


def link(path: str, **asked: object) -> str:
    """Return a path with a query of the arguments that are not None; a trailing underscore of a name is dropped."""
    query = urlencode({name.rstrip("_"): value for name, value in asked.items() if value is not None})
    return f"{quote(path)}?{query}" if query else quote(path)


async def ask(request: Request, path: str, **asked: object) -> dict[str, Any]:
    """Return the JSON answer of the API to a GET.

    Raises:
        RefusedError: The API answered with a problem.
    """
    return await _call(request, "GET", link(path, **asked), b"")


async def tell(request: Request, path: str, body: Mapping[str, object]) -> dict[str, Any]:
    """Return the JSON answer of the API to a POST of a JSON body.

    Raises:
        RefusedError: The API answered with a problem.
    """
    return await _call(request, "POST", quote(path), json.dumps(body).encode())


async def _call(request: Request, method: str, target: str, body: bytes) -> dict[str, Any]:
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": request.url.scheme,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", request.headers["host"].encode()), (b"content-type", b"application/json")],
        "client": request.scope.get("client"),
        "server": request.scope.get("server"),
        "state": {},
    }
    status = HTTPStatus.INTERNAL_SERVER_ERROR.value
    parts: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))

    await request.app(scope, receive, send)
    answer: dict[str, Any] = json.loads(b"".join(parts))
    if status >= HTTPStatus.BAD_REQUEST:
        raise RefusedError(answer)
    return answer
