"""The API and the pages of a city as one server, with work beside it; slow to load, so only when it is needed."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn

from citygate.api.app import LOOPBACK, create_app
from citygate.errors import CitygateError
from citygate.store.readings import now_us as machine_now_us
from citygate.web.pages import add_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from fastapi import FastAPI

    from citygate.store.city import City

#: Requests that run when the server is told to stop get so long to finish [s].
_GRACE_S = 5
_JOIN_S = 30


def site(city: City, *, hosts: Sequence[str] = LOOPBACK, now_us: Callable[[], int] = machine_now_us) -> FastAPI:
    """Return the API and the pages of a city as one application.

    Args:
        city: The store, open in this process.
        hosts: Names under which the server answers.
        now_us: The present [µs UTC]; a replay passes its own clock.
    """
    return create_app(city, mounts=[add_pages], hosts=hosts, now_us=now_us)


class CannotListenError(CitygateError):
    """An address or port cannot be listened on."""

    code = "cannot_listen"

    def __init__(self, host: str, port: int, cause: OSError) -> None:
        self.host, self.port = host, port
        super().__init__(f"{host}:{port} cannot be listened on ({cause.strerror}); name another with --port or --host")


class SiteServer(uvicorn.Server):
    """A server that ends its event streams when it is told to stop, so that it stops at once.

    Args:
        app: What `site` returns.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._site = app
        super().__init__(
            uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=_GRACE_S)
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop.

        Raises:
            CannotListenError: The address is not of this machine, or the port is taken.
        """
        super().run(sockets or [_listening(self.config.host, self.config.port)])

    def handle_exit(self, sig: Any, frame: FrameType | None) -> None:
        """Stop on a signal."""
        self._site.state.stopping.set()
        super().handle_exit(sig, frame)

    def stop(self) -> None:
        """Stop a server that runs in another thread."""
        self._site.state.stopping.set()
        self.should_exit = True


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as cause:
        raise CannotListenError(host, port, cause) from cause


def run_beside(server: SiteServer, work: Sequence[Callable[[threading.Event], None]]) -> None:
    """Serve while work goes on in threads; when either ends, all ends, and an error of the work is raised again."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def guarded(job: Callable[[threading.Event], None]) -> None:
        try:
            job(stop)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the server
            failed.append(error)
            server.stop()

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in work]
    for thread in threads:
        thread.start()
    try:
        server.run()
    finally:
        stop.set()
        for thread in threads:
            thread.join(_JOIN_S)
    if failed:
        raise failed[0]
