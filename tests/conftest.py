"""What many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the development data that a bare clone lacks."""
    path = Path(os.environ.get("CITYGATE_SHARED", Path(__file__).parents[2] / "shared"))
    if not (path / "data").is_dir():
        pytest.skip("the development data are not here; set CITYGATE_SHARED to their folder")
    return path
