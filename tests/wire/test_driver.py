"""Every driver's telegrams say what its file says of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from citygate.wire import driver, mbus, wmbus
from citygate.wire.protocol import guess
from citygate.wire.telegram import Telegram

PROOFS = [
    pytest.param(each, proof, id=f"{each.name}-{place}")
    for each in driver.drivers()
    for place, proof in enumerate(each.proofs)
]


@pytest.mark.parametrize(("each", "proof"), PROOFS)
def test_telegrams_say_what_the_file_says(each, proof):
    frame = bytes.fromhex(proof.frame)
    codec = mbus if guess(frame) == "mbus" else wmbus
    said = codec.decode(frame, bytes.fromhex(proof.key) or None)
    assert isinstance(said, Telegram), said
    assert said.manufacturer == each.manufacturer
    assert said.medium == (proof.medium or "gas")
    assert said.status == proof.status
    first = {value.name: value.value for value in reversed(said.values)}
    for name, wanted in proof.values.items():
        got = first[name]
        assert got == (Decimal(wanted) if isinstance(got, int | Decimal) else wanted), name
    assert proof.source


def test_every_driver_proves_itself():
    assert [each.name for each in driver.drivers() if not each.proofs] == []


def test_an_unknown_key_is_refused():
    with pytest.raises(TypeError, match="colour"):
        driver.parse("mine", 'manufacturer = "ABC"\ncolour = "red"\n')
