"""How far new readings reach: which parts gain meters, and which must have their consumption derived again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from citygate.quantity.clock import US_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from citygate.reading.partition import Partition
    from citygate.store.manifest import Bits, Part

Whole = npt.NDArray[np.int64]

#: Local hours begin at full, half or quarter hours of UTC.
_QUARTER_US = US_PER_HOUR // 4


def touched(
    fresh: pl.DataFrame, newest_us: Whole, presence: Mapping[Part, Bits], partition: Partition, last_us: int | None
) -> tuple[dict[Part, Bits], set[Part]]:
    """Return the new presence of the parts that gain meters, and the parts whose consumption changes.

    A reading changes the consumption from the reading before it to the one after it; a meter's first reading makes it
    expected from then on.

    Args:
        fresh: New readings, sorted by meter.
        newest_us: Newest reading of each meter before them, by code [µs UTC].
        presence: Which meters of each block had readings in each window before them.
        partition: Rule of the parts.
        last_us: Newest reading of all meters before them; None where there was none [µs UTC].
    """
    gained: dict[Part, Bits] = {}
    dirty: set[Part] = set()
    if not len(fresh):
        return gained, dirty
    code, at_us = fresh["meter"].to_numpy(), fresh["at_us"].to_numpy()
    window, size = partition.windows(at_us), partition.block_meters
    appended = at_us > newest_us[code]
    before = max((w for _, w in presence), default=int(window.max()))
    top = max(before, int(window.max()))
    for block in range(int(code[0]) // size, int(code[-1]) // size + 1):
        mine = slice(*np.searchsorted(code, [block * size, (block + 1) * size]))
        if mine.start == mine.stop:
            continue
        local = code[mine].astype(np.int64) - block * size
        known = sorted(w for b, w in presence if b == block)
        if not known:
            dirty |= {(block, w) for w in range(int(window[mine].min()), top + 1)}
        for w in range(int(window[mine].min()), int(window[mine].max()) + 1):
            here = window[mine] == w
            if not here.any():
                continue
            bits = presence.get((block, w), np.zeros(size, dtype=np.bool_))
            there = local[here]
            if not bits[there].all():
                gained[block, w] = bits.copy()
                gained[block, w][there] = True
            inside = np.unique(there[~(bits[there] & appended[mine][here])])
            dirty |= {(block, v) for v in _reach(block, w, inside, presence, known, top)} | {(block, w)}
    if last_us is not None and int(at_us.max()) // _QUARTER_US > (last_us - 1) // _QUARTER_US:
        # Another hour has happened: every meter was expected in it, also those that are silent.
        dirty |= {(block, w) for block in {b for b, _ in presence} for w in range(before, top + 1)}
    return gained, dirty


def _reach(
    block: int, window: int, local: Whole, presence: Mapping[Part, Bits], known: Sequence[int], top: int
) -> range:
    """Return the windows from the nearest earlier to the nearest later reading of some meters."""
    low = high = window
    left = local
    for w in reversed([w for w in known if w < window]):
        found = presence[block, w][left]
        low = w if found.any() else low
        left = left[~found]
    left = local
    for w in [w for w in known if w > window]:
        found = presence[block, w][left]
        high = w if found.any() else high
        left = left[~found]
    return range(low, (top if len(left) else high) + 1)
