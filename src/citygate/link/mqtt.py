"""Readings over MQTT: many messages, one durable commit, and only then the acknowledgement."""

from __future__ import annotations

import queue
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from citygate.errors import CitygateError
from citygate.link.chunk import RAW_BYTES_MAX, Chunk, Unread
from citygate.link.http import ARROW, BODY_BYTES_MAX, BodyTooLargeError, BodyUnreadableError, decode
from citygate.link.json_rows import to_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.properties import Properties

TOPIC = "citygate/readings/#"
_ARROW_MARKS = (b"ARROW1", b"\xff\xff\xff\xff")
_QOS = 1
_CONNECT_S = 10.0
_GATHER_S = 0.1
_MESSAGES_MAX = 5_000
_RETRY_S = 2.0
_KEEP_ALIVE_S = 60


class BrokerUnavailableError(CitygateError):
    """The MQTT broker cannot be reached, or refuses the connection."""

    code = "broker_unavailable"
    retryable = True

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        self.reason = reason
        super().__init__(f"the MQTT broker {host}:{port} cannot be used: {reason}")


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """How to reach a broker.

    Args:
        host: Name or address.
        port: 1883 without TLS, 8883 with.
        topic: Filter of the topics with readings.
        client: Name of this subscriber; the broker keeps unacknowledged messages for it.
        username, password: Empty for none.
        tls: Whether to use TLS.
        ca_file: Certificates to trust; empty for those of the system.
        cert_file, key_file: Certificate of this subscriber; empty for none.
    """

    host: str
    port: int = 1883
    topic: str = TOPIC
    client: str = "citygate-intake"
    username: str = ""
    password: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


def decode_messages(payloads: list[bytes], source: str) -> list[Chunk]:
    """Return the rows of messages in as few chunks as there can be: one for all JSON, one for each Arrow message.

    A message is one reading or several: a JSON object or array, NDJSON, or Arrow IPC. Rows are numbered by their place
    among those of the call. A message that cannot be read is one unread row.

    Args:
        payloads: Bytes of the messages.
        source: Where they came from, for the quarantine.
    """
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    unread: list[Unread] = []
    chunks: list[Chunk] = []
    place = 0
    for payload in payloads:
        if payload.startswith(_ARROW_MARKS):
            try:
                chunks.append(decode(payload, ARROW[0], source))
            except (BodyUnreadableError, BodyTooLargeError) as cause:
                unread.append(Unread(place, "arrow_broken", str(cause), payload[:RAW_BYTES_MAX]))
                place += 1
            continue
        for item in _objects(payload):
            if isinstance(item, dict):
                rows.append(item)
                places.append(place)
            else:
                unread.append(Unread(place, "json_broken", f"the message is not a reading: {item[0]}", item[1]))
            place += 1
    if rows or unread:
        frame, more = to_frame(rows, places)
        chunks.append(Chunk(source, len(chunks), frame, sorted(unread + more), free=True))
    return chunks


_ANY = msgspec.json.Decoder(float_hook=str)


def _objects(payload: bytes) -> list[Any]:
    """Return the objects of a message, and (reason, raw) for each part that is none."""
    if len(payload) > BODY_BYTES_MAX:
        return [("larger than is taken at once", payload[:RAW_BYTES_MAX])]
    try:
        found = _ANY.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return [_object(line) for line in payload.split(b"\n") if line.strip()] or [("empty", payload)]
    if isinstance(found, dict) and isinstance(found.get("readings"), list):
        found = found["readings"]
    items = found if isinstance(found, list) else [found]
    return [item if isinstance(item, dict) else ("no object", payload[:RAW_BYTES_MAX]) for item in items]


def _object(line: bytes) -> Any:
    try:
        found = _ANY.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as cause:
        reason = "nested too deeply" if isinstance(cause, RecursionError) else str(cause)
        return reason, line[:RAW_BYTES_MAX]
    return found if isinstance(found, dict) else ("no object", line[:RAW_BYTES_MAX])


class MqttListener:
    """A subscriber that acknowledges a message when its readings are durable, and not before.

    Args:
        settings: How to reach the broker.

    Attributes:
        subscribed: Set when the broker has confirmed the subscription.
    """

    def __init__(self, settings: MqttSettings) -> None:
        self.settings = settings
        self.subscribed = threading.Event()
        self._arrived: queue.Queue[paho.MQTTMessage] = queue.Queue(maxsize=4 * _MESSAGES_MAX)
        self._refused = ""
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=settings.client, clean_session=False, manual_ack=True
        )
        if settings.username:
            self._client.username_pw_set(settings.username, settings.password)
        if settings.tls:
            context = ssl.create_default_context(cafile=settings.ca_file or None)
            if settings.cert_file:
                context.load_cert_chain(settings.cert_file, settings.key_file or None)
            self._client.tls_set_context(context)
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_message = self._hold

    def listen(self, take: Callable[[Chunk], object], stop: threading.Event) -> None:
        """Hand messages to ``take`` until ``stop`` is set; a lost connection is made again.

        Args:
            take: Makes a chunk durable. While it raises an error that may pass, the same messages are tried again, and
                the broker keeps them.
            stop: Ends the listening.

        Raises:
            BrokerUnavailableError: The first connection cannot be made, or is refused.
        """
        settings = self.settings
        try:
            self._client.connect(settings.host, settings.port, _KEEP_ALIVE_S)
        except OSError as cause:
            raise BrokerUnavailableError(settings.host, settings.port, str(cause)) from cause
        self._client.loop_start()
        try:
            self._wait_connected()
            while not stop.is_set():
                messages = self._gather()
                if messages:
                    self._pass_on(messages, take, stop)
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def _wait_connected(self) -> None:
        end = time.monotonic() + _CONNECT_S
        while not self._client.is_connected():
            if self._refused or time.monotonic() > end:
                raise BrokerUnavailableError(self.settings.host, self.settings.port, self._refused or "no answer")
            time.sleep(0.01)

    def _subscribe(
        self, client: paho.Client, _data: object, _flags: object, reason: Any, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
        else:
            client.subscribe(self.settings.topic, qos=_QOS)

    def _hold(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        # A full queue holds up the network thread, and with it the broker: nothing is dropped.
        self._arrived.put(message)

    def _gather(self) -> list[paho.MQTTMessage]:
        """Return what arrives within a short time of the first message; empty when nothing comes for a while."""
        try:
            messages = [self._arrived.get(timeout=_GATHER_S)]
        except queue.Empty:
            return []
        end = time.monotonic() + _GATHER_S
        while len(messages) < _MESSAGES_MAX and (left_s := end - time.monotonic()) > 0:
            try:
                messages.append(self._arrived.get(timeout=left_s))
            except queue.Empty:
                break
        return messages

    def _pass_on(
        self, messages: list[paho.MQTTMessage], take: Callable[[Chunk], object], stop: threading.Event
    ) -> None:
        for chunk in decode_messages([bytes(message.payload) for message in messages], f"mqtt:{self.settings.topic}"):
            while True:
                try:
                    take(chunk)
                except CitygateError as error:
                    if not error.retryable:
                        raise
                    if stop.wait(_RETRY_S):
                        return
                else:
                    break
        for message in messages:
            self._client.ack(message.mid, message.qos)
