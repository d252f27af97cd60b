"""`citygate serve`: the API and the pages of one store."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
import uvicorn

from citygate.api.app import LOOPBACK, create_app
from citygate.cli.options import StoreOption
from citygate.errors import CitygateError
from citygate.flow.inbox import watch
from citygate.flow.ingest import IngestCount, Intake, Strangers
from citygate.flow.rounds import Rounds
from citygate.flow.watch import panel_of
from citygate.link.mqtt import MqttListener, MqttSettings
from citygate.store.city import City
from citygate.store.readings import now_us as machine_now_us
from citygate.web.pages import add_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from fastapi import FastAPI

#: Requests that run when the server is told to stop get so long to finish [s].
_GRACE_S = 5
#: Time between two rounds of detection and derivation, and between two looks at a folder [s].
_ROUND_S = 2.0
_JOIN_S = 30


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
    mqtt: Annotated[
        str | None, typer.Option(help="Broker to take readings from: mqtt://[user@]host[:port] or mqtts://...")
    ] = None,
    mqtt_password_file: Annotated[
        Path | None, typer.Option(help="File with the password for the broker.", exists=True, dir_okay=False)
    ] = None,
    mqtt_ca: Annotated[
        Path | None, typer.Option(help="Certificates to trust for mqtts, instead of the system's.", exists=True)
    ] = None,
    folder: Annotated[
        list[Path] | None, typer.Option(help="Folder whose complete files are taken; may be repeated.", exists=True)
    ] = None,
    panel: Annotated[Path | None, typer.Option(help="TOML file of detectors instead of the shipped ones.")] = None,
) -> None:
    """Take readings, keep alarms and totals up to date, and show them, until Ctrl-C.

    Readings come by POST /v1/readings, and from a broker and folders where these are named. There is no login yet:
    listen on other addresses only where everybody who reaches them may see and send all data.
    """
    city = City.open(store)
    intake = Intake(city, machine_now_us)
    rounds = Rounds(city, machine_now_us, panel_of(panel) if panel else None)
    work: list[Callable[[threading.Event], None]] = [lambda stop: rounds.run(stop, _ROUND_S)]
    if mqtt:
        listener = MqttListener(_broker(mqtt, mqtt_password_file, mqtt_ca))
        work.append(lambda stop: listener.listen(intake.take, stop))
    if folder:
        folders = list(folder)
        taken = Intake(city, machine_now_us, strangers=Strangers.REFUSE)
        work.append(lambda stop: watch(taken, folders, _told, poll_s=_ROUND_S, stop=stop))
    app = site(city, hosts=(*LOOPBACK, host, *(allow_host or ())))
    typer.echo(f"citygate: http://{host}:{port}/ shows {store}; Ctrl-C stops", err=True)
    run_beside(SiteServer(app, host, port), work)


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


def _broker(url: str, password_file: Path | None, ca_file: Path | None) -> MqttSettings:
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise typer.BadParameter(f"'{url}' is not like mqtt://host or mqtts://host:8883", param_hint="--mqtt")
    tls = parts.scheme == "mqtts"
    return MqttSettings(
        host=parts.hostname,
        port=parts.port or (8883 if tls else 1883),
        username=parts.username or "",
        password=password_file.read_text(encoding="utf-8").strip() if password_file else "",
        tls=tls,
        ca_file=str(ca_file or ""),
    )


def _told(path: Path, count: IngestCount | None, reason: str) -> None:
    typer.echo(f"citygate: {path.name}: {reason if count is None else count.as_dict()}", err=True)


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
