"""An MQTT broker inside the process, for the demo and for tests: no service to install."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Self

from amqtt.broker import Broker

from citygate.link.mqtt import BrokerUnavailableError

if TYPE_CHECKING:
    from types import TracebackType

_START_S = 20.0


class EmbeddedBroker:
    """A broker on one port, open to everybody who reaches it: for the demo, not for meters in the field.

    Use it as a context manager.

    Args:
        host: Address to listen on; the default is reached from this machine only.
        port: Port to listen on.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 1883) -> None:
        self.host = host
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="mqtt-broker", daemon=True)
        self._ready = threading.Event()
        self._failed: Exception | None = None
        self._broker: Broker | None = None

    def __enter__(self) -> Self:
        """Start, and return when clients can connect.

        Raises:
            BrokerUnavailableError: The port cannot be used.
        """
        self._thread.start()
        if not self._ready.wait(_START_S) or self._failed is not None:
            raise BrokerUnavailableError(self.host, self.port, str(self._failed or "it did not start"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and return when the port is free."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._start())
        except Exception as cause:  # noqa: BLE001 - told by __enter__ as a typed error, in the thread of the caller
            self._failed = cause
            self._ready.set()
            self._loop.close()
            return
        self._ready.set()
        self._loop.run_forever()
        if self._broker is not None:
            self._loop.run_until_complete(self._broker.shutdown())
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self._loop.close()

    async def _start(self) -> None:
        listeners = {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}", "max_connections": 1_000}}
        plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        self._broker = Broker({"listeners": listeners, "plugins": plugins})
        await self._broker.start()
