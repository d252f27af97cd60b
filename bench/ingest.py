"""Durable validated ingest, beside a plain Parquet write and DuckDB's own insert of the same rows."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import duckdb
import httpx2 as httpx
import polars as pl

from bench.measure import Results, peak_mib, timed
from bench.traffic import batches, named, names, registry
from citygate.flow.ingest import Intake, Strangers
from citygate.reading.batch import ValidatedBatch
from citygate.store.city import City
from citygate.store.readings import now_us

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, meters: int, hours: int) -> Results:
    results = Results(f"Durable validated ingest: {meters:,} meters, {hours} hours, rows shuffled")
    known = names(meters)
    parts = [named(frame, known) for frame in batches(meters, hours, 1, full=False, hours_at_once=48)]
    rows = pl.concat(parts)
    rows.write_parquet(folder / "rows.parquet", row_group_size=1_000_000)
    count = len(rows)
    plain = _plain_write(folder, parts)
    results.add("plain Parquet write (zstd, fsync)", f"{count / plain:,.0f} rows/s")
    raw = _duckdb(folder, rows)
    results.add("DuckDB insert of the raw rows, checkpoint", f"{count / raw:,.0f} rows/s")
    codes = list(batches(meters, hours, 1, full=False, hours_at_once=48))
    with timed() as watch:
        city = City.create(folder / "raw")
        city.register(registry(meters))
        for frame in codes:
            city.readings.append(ValidatedBatch.of(frame), source="bench", recorded_us=now_us())
    results.add(
        "store alone: rows as they are, deduplicated",
        f"{count / watch.seconds:,.0f} rows/s",
        f"{raw / watch.seconds:.2f} x DuckDB",
    )
    seconds = _file(folder)
    results.add(
        "validated, from Parquet, durable",
        f"{count / seconds:,.0f} rows/s",
        f"{raw / seconds:.2f} x DuckDB, {plain / seconds:.2f} x plain write",
    )
    with timed() as settle:
        City.open(folder / "file").rollups.settle()
    results.add("deriving consumption of all of it afterwards", f"{count / settle.seconds:,.0f} rows/s")
    seconds = _http(folder, parts, meters)
    results.add(
        "validated, from HTTP as Arrow, durable",
        f"{count / seconds:,.0f} rows/s",
        f"{raw / seconds:.2f} x DuckDB, {plain / seconds:.2f} x plain write",
    )
    results.add("peak memory of this process", f"{peak_mib():,.0f} MiB")
    return results


def _plain_write(folder: Path, parts: list[pl.DataFrame]) -> float:
    with timed() as watch:
        for number, frame in enumerate(parts):
            with (folder / f"plain-{number}.parquet").open("wb") as file:
                frame.write_parquet(file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
    return watch.seconds


def _duckdb(folder: Path, rows: pl.DataFrame) -> float:
    table = rows.to_arrow()
    with timed() as watch, duckdb.connect(str(folder / "raw.duckdb")) as connection:
        connection.execute("CREATE TABLE readings (meter VARCHAR, at_us BIGINT, index_l BIGINT)")
        connection.register("rows", table)
        connection.execute("INSERT INTO readings SELECT * FROM rows")
        connection.execute("CHECKPOINT")
    return watch.seconds


def _file(folder: Path) -> float:
    city = City.create(folder / "file")
    city.register(registry(names_of(folder)))
    intake = Intake(city, now_us, strangers=Strangers.REFUSE)
    with timed() as watch:
        counted = intake.ingest(folder / "rows.parquet")
    assert counted.read == counted.stored + counted.duplicate + counted.revised
    return watch.seconds


def names_of(folder: Path) -> int:
    return pl.scan_parquet(folder / "rows.parquet").select(pl.col("meter").n_unique()).collect().item()


def _http(folder: Path, parts: list[pl.DataFrame], meters: int) -> float:
    City.create(folder / "http").register(registry(meters))
    bodies = [_arrow(piece) for frame in parts for piece in frame.iter_slices(250_000)]
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "citygate",
        "serve",
        "--store",
        str(folder / "http"),
        "--port",
        str(port),
        "--no-rounds",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            _wait(client)
            kind = {"content-type": "application/vnd.apache.arrow.stream"}
            with timed() as watch:
                for body in bodies:
                    client.post("/v1/readings", content=body, headers=kind).raise_for_status()
    finally:
        server.terminate()
        server.wait(30)
    return watch.seconds


def _arrow(frame: pl.DataFrame) -> bytes:
    import io  # noqa: PLC0415

    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()


def _wait(client: httpx.Client) -> None:
    for _ in range(300):
        try:
            client.get("/v1/status").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the server did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
