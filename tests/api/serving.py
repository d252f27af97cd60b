from __future__ import annotations

from typing import TYPE_CHECKING

import city_of_five
import pytest
from starlette.testclient import TestClient

from citygate.cli.site import site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from citygate.store.city import City


@pytest.fixture
def city(tmp_path: Path) -> City:
    return city_of_five.make(tmp_path / "store")


@pytest.fixture
def client(city: City) -> Iterator[TestClient]:
    app = site(city, now_us=lambda: city_of_five.NOW_US)
    with TestClient(app, base_url="http://127.0.0.1:8080", raise_server_exceptions=True) as found:
        yield found
