"""`citygate serve`: the API and the pages of one store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from citygate.cli.options import StoreOption

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from citygate.flow.ingest import IngestCount
    from citygate.link.mqtt import MqttSettings

#: Time between two rounds of detection and derivation, and between two looks at a folder [s].
_ROUND_S = 2.0


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
    mqtt_cert: Annotated[
        Path | None, typer.Option(help="Certificate of this subscriber for mqtts.", exists=True, dir_okay=False)
    ] = None,
    mqtt_key: Annotated[Path | None, typer.Option(help="Key of that certificate.", exists=True, dir_okay=False)] = None,
    folder: Annotated[
        list[Path] | None, typer.Option(help="Folder whose complete files are taken; may be repeated.", exists=True)
    ] = None,
    rounds: Annotated[
        bool, typer.Option(help="Keep alarms and totals up to date; off for a server that only takes readings in.")
    ] = True,
    panel: Annotated[Path | None, typer.Option(help="TOML file of detectors instead of the shipped ones.")] = None,
) -> None:
    """Take readings, keep alarms and totals up to date, and show them, until Ctrl-C.

    Readings come by POST /v1/readings, and from a broker and folders where these are named. There is no login yet:
    listen on other addresses only where everybody who reaches them may see and send all data.
    """
    # Imported here: the server and its charts take seconds to load, and other commands do not need them.
    from citygate.api.app import LOOPBACK  # noqa: PLC0415
    from citygate.cli.site import SiteServer, run_beside, site  # noqa: PLC0415
    from citygate.flow.inbox import watch  # noqa: PLC0415
    from citygate.flow.ingest import Intake, Strangers  # noqa: PLC0415
    from citygate.flow.rounds import Rounds  # noqa: PLC0415
    from citygate.flow.watch import panel_of  # noqa: PLC0415
    from citygate.link.mqtt import MqttListener  # noqa: PLC0415
    from citygate.store.city import City  # noqa: PLC0415
    from citygate.store.readings import now_us  # noqa: PLC0415

    city = City.open(store)
    intake = Intake(city, now_us)
    work: list[Callable[[threading.Event], None]] = []
    if rounds:
        watching = Rounds(city, now_us, panel_of(panel) if panel else None)
        work.append(lambda stop: watching.run(stop, _ROUND_S))
    if mqtt:
        pair = (mqtt_cert, mqtt_key)
        listener = MqttListener(_broker(mqtt, mqtt_password_file, mqtt_ca, pair))
        work.append(lambda stop: listener.listen(intake.take, stop))
    if folder:
        folders = list(folder)
        taken = Intake(city, now_us, strangers=Strangers.REFUSE)
        work.append(lambda stop: watch(taken, folders, _told, poll_s=_ROUND_S, stop=stop))
    app = site(city, hosts=(*LOOPBACK, host, *(allow_host or ())))
    typer.echo(f"citygate: http://{host}:{port}/ shows {store}; Ctrl-C stops", err=True)
    run_beside(SiteServer(app, host, port), work)


def _broker(
    url: str, password_file: Path | None, ca_file: Path | None, pair: tuple[Path | None, Path | None]
) -> MqttSettings:
    from citygate.link.mqtt import MqttSettings  # noqa: PLC0415 - as in `serve`

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
        cert_file=str(pair[0] or ""),
        key_file=str(pair[1] or ""),
    )


def _told(path: Path, count: IngestCount | None, reason: str) -> None:
    typer.echo(f"citygate: {path.name}: {reason if count is None else count.as_dict()}", err=True)
