"""MQTT: messages become chunks, and are acknowledged when they are durable."""

from __future__ import annotations

import io
import json
import socket
import threading

import paho.mqtt.client as paho
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from citygate.link.broker import EmbeddedBroker
from citygate.link.mqtt import BrokerUnavailableError, MqttListener, MqttSettings, decode_messages
from citygate.reading.mapping import ROW
from citygate.store.records import StoreUnavailableError


def reading(number):
    return {"meter": f"M{number}", "time": "2026-01-01T00:00:00Z", "index_l": number}


def test_single_readings_batches_and_arrow():
    out = io.BytesIO()
    pl.DataFrame([reading(9)]).write_ipc_stream(out)
    payloads = [
        json.dumps(reading(1)).encode(),
        json.dumps([reading(2), reading(3)]).encode(),
        json.dumps({"readings": [reading(4)]}).encode(),
        (json.dumps(reading(5)) + "\n" + json.dumps(reading(6))).encode(),
        out.getvalue(),
        b"\xff\xff\xff\xffbroken",
        b"{",
        b"",
        b"7",
    ]
    chunks = decode_messages(payloads, "mqtt")
    assert [chunk.frame["meter"].to_list() for chunk in chunks] == [["M9"], ["M1", "M2", "M3", "M4", "M5", "M6"]]
    assert [row.code for row in chunks[1].unread] == ["arrow_broken", "json_broken", "json_broken", "json_broken"]
    assert len({*chunks[1].frame[ROW], *(row.row for row in chunks[1].unread)}) == chunks[1].count


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_any_payload_is_counted(payloads):
    assert sum(chunk.count for chunk in decode_messages(payloads, "mqtt")) >= len(payloads)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_nothing_is_lost_while_the_store_is_busy():
    port, stop = free_port(), threading.Event()
    seen, busy = [], [True]

    def take(chunk):
        if busy and busy.pop():
            raise StoreUnavailableError("busy")
        seen.extend(chunk.frame["index_l"].to_list())
        if len(seen) >= 50:
            stop.set()

    with EmbeddedBroker(port=port):
        sender = paho.Client(CallbackAPIVersion.VERSION2)
        sender.connect("127.0.0.1", port)
        sender.loop_start()
        listening = MqttListener(MqttSettings("127.0.0.1", port))
        thread = threading.Thread(target=listening.listen, args=(take, stop))
        thread.start()
        assert listening.subscribed.wait(10)
        for number in range(50):
            sender.publish(f"citygate/readings/M{number}", json.dumps(reading(number)), qos=1)
        thread.join(30)
        sender.disconnect()
        sender.loop_stop()
    assert sorted(set(seen)) == list(range(50))


def test_no_broker_is_a_typed_error():
    with pytest.raises(BrokerUnavailableError, match="127"):
        MqttListener(MqttSettings("127.0.0.1", free_port())).listen(print, threading.Event())
