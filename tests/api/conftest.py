from __future__ import annotations

from serving import city, client  # noqa: F401 - fixtures
