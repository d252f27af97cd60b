"""Commands in forked children of a process that has imported everything: many can be killed in little time.

Reads orders from standard input and answers each, one JSON object on a line.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class End:
    """How a child ended: exit code (negative for a signal) and what it wrote."""

    code: int
    out: str
    err: str


class Zygote:
    """The other end: gives orders."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-W", "ignore", __file__, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, *args: str, **order: Any) -> End:
        """Run `citygate ARGS`, or the function ``do`` with them.

        ``kill_s`` kills it after a time, ``die_at`` (place, number) at a call of a function (see `_mine`), ``set`` sets
        module variables by place, a place being ``module:name``.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"args": args, **order}) + "\n")
        self._process.stdin.flush()
        return End(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def compact(store: str) -> None:
    from citygate.store.city import City  # noqa: PLC0415 - only in the child
    from citygate.store.compaction import compact as merge  # noqa: PLC0415

    merge(City.open(Path(store)).readings)


def settle(store: str) -> None:
    from citygate.store.city import City  # noqa: PLC0415

    City.open(Path(store)).rollups.settle()


def _answer(order: dict[str, Any], folder: Path) -> dict[str, Any]:
    ready, tell = os.pipe()
    child = os.fork()
    if not child:
        os.close(ready)
        _be_child(order, folder, tell)
    os.close(tell)
    os.read(ready, 1)
    os.close(ready)
    if order.get("kill_s") is not None:
        time.sleep(order["kill_s"])
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"code": code, "out": (folder / "out").read_text(), "err": (folder / "err").read_text()}


def _be_child(order: dict[str, Any], folder: Path, tell: int) -> None:
    code = 99
    try:
        for name, handle in (("out", 1), ("err", 2)):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), handle)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for place, value in order.get("set", {}).items():
            module, name = place.split(":")
            setattr(importlib.import_module(module), name, value)
        if order.get("die_at"):
            _mine(*order["die_at"])
        os.write(tell, b"x")
        if order.get("do"):
            globals()[order["do"]](*order["args"])
        else:
            sys.argv = ["citygate", *order["args"]]
            importlib.import_module("citygate.cli.main").main()
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:  # noqa: BLE001 - the child must end here
        sys.excepthook(*sys.exc_info())
        code = 98
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _mine(place: str, number: int) -> None:
    """Let the process die before (1) or after (2) the first call of a function, before (3) or after (4) the second."""
    module, name = place.split(":")
    home = importlib.import_module(module)
    real, calls = getattr(home, name), 0

    def watched(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        last = calls > (number - 1) // 2
        if last and number % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **more)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(home, name, watched)


def main() -> None:
    importlib.import_module("citygate.cli.main")
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line), folder)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
