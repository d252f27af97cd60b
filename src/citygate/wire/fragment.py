"""A message in several radio frames, put together again.

References:
    EN 13757-7, authentication and fragmentation layer; OMS specification volume 2, clause 6.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from citygate.wire.transport import Authentication, Opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citygate.wire.telegram import Unread


def join(pieces: Sequence[Opened]) -> Opened | Unread:
    """Return the whole message of fragments whose next byte is the first of their payload.

    The fields that an authentication code covers come in the first fragment, the code itself in the last.

    Args:
        pieces: In the order of their numbers, with their authentication layers read.
    """
    first, layers = pieces[0], [piece.afl for piece in pieces if piece.afl is not None]
    if len(layers) != len(pieces) or any(piece.device != first.device for piece in pieces):
        return first.unread("fragment", "the frames are not fragments of one meter's message")
    if [layer.fragment_number for layer in layers] != list(range(1, len(layers) + 1)):
        return first.unread("fragment", "fragments are missing, doubled or out of order")
    if [layer.follows for layer in layers] != [True] * (len(layers) - 1) + [False]:
        return first.unread("fragment", f"{len(layers)} fragments came and more are to follow")
    payload = b"".join(piece.frame[piece.at_b :] for piece in pieces)
    mac = next((layer.mac for layer in reversed(layers) if layer.mac), b"")
    whole = replace(first, frame=first.frame[: first.at_b] + payload, notes=list(first.notes))
    whole.afl = Authentication(layers[0].signed, layers[0].counter, mac, 0, follows=False)
    whole.notes.append(f"put together from {len(layers)} fragments")
    return whole
