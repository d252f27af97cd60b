"""The small city of the API's tests serves these tests too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "api"))

from serving import city, client  # noqa: F401 - fixtures
