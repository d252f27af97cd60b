"""The one base of every error that Citygate raises on purpose."""

from __future__ import annotations

from typing import ClassVar


class CitygateError(Exception):
    """Something that a user or an operator can act on.

    Attributes:
        code: Stable name of the error; the API shows it and ``docs/reference/errors.md`` lists it.
        retryable: Whether the same call may succeed later without a change.
    """

    code: ClassVar[str] = "citygate"
    retryable: ClassVar[bool] = False
