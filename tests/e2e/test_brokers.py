"""Readings over real brokers: durable once, also when the subscriber is killed between two messages."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as paho
import polars as pl
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from citygate.link.broker import EmbeddedBroker
from citygate.store.city import City

METERS = 20
#: Listens and stores, and nothing else: what `citygate serve --mqtt` does beside serving.
LISTEN = """
import sys, threading
from pathlib import Path
from citygate.flow.ingest import Intake
from citygate.link.mqtt import MqttListener, MqttSettings
from citygate.store.city import City
from citygate.store.readings import now_us
intake = Intake(City.open(Path(sys.argv[1])), now_us)
MqttListener(MqttSettings("127.0.0.1", int(sys.argv[2]))).listen(intake.take, threading.Event())
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def mosquitto():
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    return found if found and Path(found).exists() else None


@pytest.fixture(params=["embedded", "mosquitto"])
def broker(request, tmp_path):
    port = free_port()
    if request.param == "embedded":
        with EmbeddedBroker(port=port):
            yield port
        return
    program = mosquitto()
    if program is None:
        pytest.skip("the broker mosquitto is not installed")
    # Without limits of its own: the subscriber decides how much it holds.
    limits = "max_inflight_messages 0\nmax_queued_messages 0\n"
    (tmp_path / "broker.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n{limits}")
    with subprocess.Popen([program, "-c", str(tmp_path / "broker.conf")], stderr=subprocess.DEVNULL) as child:
        for _ in range(100):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
        child.terminate()


@pytest.fixture
def store(tmp_path):
    city = City.create(tmp_path / "store")
    city.register(pl.DataFrame({"meter": [f"M{k}" for k in range(METERS)]}))
    city.close()
    return tmp_path / "store"


def listening(store, port):
    return subprocess.Popen([sys.executable, "-c", LISTEN, str(store), str(port)])


def reading(number):
    meter, hour = number % METERS, number // METERS
    moment = f"2026-01-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z"
    return {"meter": f"M{meter}", "time": moment, "index_l": number}


def held(store):
    with closing(sqlite3.connect(store / "records.db")) as connection:
        return connection.execute("select coalesce(sum(stored), 0) from commits").fetchone()[0]


def wait_for(store, rows, wait_s=60.0):
    end = time.monotonic() + wait_s
    while held(store) < rows:
        assert time.monotonic() < end, f"{held(store)} of {rows} rows arrived"
        time.sleep(0.05)


class Sender:
    """Publishes at QoS 1 and waits for the broker's word."""

    def __init__(self, port):
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.max_inflight_messages_set(1_000)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def send(self, *payloads):
        for told in [self.client.publish("citygate/readings/x", payload, qos=1) for payload in payloads]:
            told.wait_for_publish(30)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.mark.slow
def test_readings_arrive_once_through_kills_of_the_subscriber(broker, store, request):
    # The broker inside forgets what a killed subscriber had not acknowledged; it is for demos, not for the field.
    keeps = request.node.callspec.params["broker"] == "mosquitto"
    count = 1_200
    single = [json.dumps(reading(number)).encode() for number in range(count // 2)]
    batched = [
        json.dumps([reading(number) for number in range(first, first + 30)]).encode()
        for first in range(count // 2, count, 30)
    ]
    child = listening(store, broker)
    sender = Sender(broker)
    try:
        # The broker keeps messages for a subscriber that it knows: wait until the first arrives.
        while held(store) == 0:
            assert child.poll() is None
            sender.send(single[0])
            time.sleep(0.2)
        for start in range(1, len(single), 150):
            sender.send(*single[start : start + 150])
            if keeps:
                child.send_signal(signal.SIGKILL)
                child.wait()
                child = listening(store, broker)
        sender.send(*batched)
        wait_for(store, count)
    finally:
        sender.close()
        child.kill()
        child.wait()
    city = City.open(store)
    rows = city.readings.scan(None, 0, 2**62)
    assert sorted(rows["index_l"].to_list()) == list(range(count))
    assert int(city.readings.commits()["stored"].sum()) == count
    assert int(city.readings.commits()["revised"].sum()) == 0
    assert city.quarantine.counts() == {}
    city.close()


@pytest.mark.slow
def test_the_server_takes_readings_from_a_broker(broker, store):
    command = [sys.executable, "-m", "citygate", "serve", "--store", str(store), "--port", str(free_port())]
    child = subprocess.Popen([*command, "--mqtt", f"mqtt://127.0.0.1:{broker}"], stderr=subprocess.PIPE, text=True)
    sender = Sender(broker)
    try:
        while held(store) == 0:
            assert child.poll() is None, child.stderr.read()
            sender.send(json.dumps(reading(0)).encode(), b"{broken")
            time.sleep(0.3)
        sender.send(json.dumps([reading(number) for number in range(100)]).encode())
        wait_for(store, 100)
    finally:
        sender.close()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert "Traceback" not in err
    city = City.open(store)
    assert set(city.quarantine.counts()) == {"json_broken"}
    city.close()
