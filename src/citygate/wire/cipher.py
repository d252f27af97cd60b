"""Ciphers of wireless M-Bus and OMS: how keys, counters and addresses make plain bytes of secret ones.

References:
    EN 13757-7 (security modes 5 and 7), EN 13757-4 (extended link layer), OMS specification volume 2, clause 9;
    RFC 4493 (AES-CMAC).
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

KEY_B = 16
BLOCK_B = 16
_PADDING = bytes([7]) * 7


def cmac(key: bytes, message: bytes) -> bytes:
    """Return the 16 bytes of AES-CMAC (RFC 4493)."""
    code = CMAC(algorithms.AES(key))
    code.update(message)
    return code.finalize()


def decrypt_cbc(key: bytes, start: bytes, secret: bytes) -> bytes:
    """Return the plain bytes of whole blocks of AES-CBC without padding."""
    turn = Cipher(algorithms.AES(key), modes.CBC(start)).decryptor()
    return turn.update(secret) + turn.finalize()


def encrypt_cbc(key: bytes, start: bytes, plain: bytes) -> bytes:
    """Return the secret bytes of whole blocks of AES-CBC without padding."""
    turn = Cipher(algorithms.AES(key), modes.CBC(start)).encryptor()
    return turn.update(plain) + turn.finalize()


def turn_ctr(key: bytes, counter: bytes, text: bytes) -> bytes:
    """Encrypt or decrypt with AES-CTR; the counter block counts up from ``counter``."""
    turn = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    return turn.update(text) + turn.finalize()


def start_mode_5(address: bytes, access: int) -> bytes:
    """Return the initial vector of mode 5: manufacturer, identity, version and type, and 8 times the access number.

    Args:
        address: The 8 bytes of manufacturer, identity, version and device type as the link layer orders them.
        access: Access number of the transport header.
    """
    return address + bytes([access]) * 8


def session_counter(address: bytes, control: int, session: bytes) -> bytes:
    """Return the first counter block of the extended link layer: address, CC, session number, frame and block 0."""
    return address + bytes([control]) + session + bytes(3)


def keys_mode_7(key: bytes, counter: bytes, identity: bytes) -> tuple[bytes, bytes]:
    """Return the keys for one message of a meter: for its cipher and for its authentication code.

    Args:
        key: The meter's master key.
        counter: Message counter as sent, 4 bytes.
        identity: Identity as sent, 4 bytes.
    """
    return tuple(cmac(key, bytes([use]) + counter + identity + _PADDING) for use in (0, 1))  # type: ignore[return-value]
