"""`citygate serve`: the API and the pages of one store."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvicorn

from citygate.api.app import LOOPBACK, create_app
from citygate.cli.options import StoreOption
from citygate.errors import CitygateError
from citygate.store.city import City
from citygate.store.readings import now_us as machine_now_us
from citygate.web.pages import add_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from fastapi import FastAPI

#: Requests that run when the server is told to stop get so long to finish [s].
_GRACE_S = 5


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(serve)


def serve(
    store: StoreOption,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default answers this machine only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65_535)] = 8080,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="Name under which browsers reach the server; repeatable.")
    ] = None,
) -> None:
    """Serve the API and the pages of a store until Ctrl-C.

    There is no login yet: listen on other addresses only where everybody who reaches them may see all data.
    """
    app = site(City.open(store), hosts=(*LOOPBACK, host, *(allow_host or ())))
    typer.echo(f"citygate: http://{host}:{port}/ shows {store}; Ctrl-C stops", err=True)
    SiteServer(app, host, port).run()


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
