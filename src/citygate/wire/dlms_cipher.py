"""The ciphers of DLMS: AES-GCM over messages, GMAC over challenges, and the key wrap.

References:
    [1] DLMS UA 1000-2, Green Book, clause 9.2: security suites 0 to 2, security control byte, initialisation vector,
        additional authenticated data, HLS mechanism 5 (GMAC).
    [2] NIST SP 800-38D (GCM); RFC 3394 (AES key wrap).
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

TAG_B, TITLE_B = 12, 8
#: Bytes of a key in suites 0, 1 and 2.
KEY_B = {0: 16, 1: 16, 2: 32}
AUTHENTICATED, ENCRYPTED, COMPRESSED = 0x10, 0x20, 0x80
_SUITE = 0x0F


@dataclass(frozen=True, slots=True)
class Keys:
    """What a meter's messages are opened with.

    Attributes:
        encryption: Block cipher key, 16 bytes, or 32 in suite 2. Global or dedicated.
        authentication: Authentication key of the same length; nothing opens messages without proof of their origin.
        title: System title of the sender, 8 bytes, where the message does not bring it.
    """

    encryption: bytes
    authentication: bytes | None = None
    title: bytes | None = None

    def __repr__(self) -> str:
        """Keys never reach a log."""
        return "Keys(***)"


@dataclass(frozen=True, slots=True)
class Opened:
    """A message in the clear: ``verified`` says whether its tag was proved."""

    plain: bytes
    verified: bool


@dataclass(frozen=True, slots=True)
class Shut:
    """Why a message stays closed: ``key_missing``, ``key_wrong``, ``mac_wrong``, ``too_short``, ``not_supported``."""

    reason: str
    detail: str


def parse_keys(raw: bytes, suite_code: int) -> Keys | None:
    """Split keys that are written in one: encryption key, then authentication key and system title where given."""
    width_b = KEY_B.get(suite_code, 16)
    title = raw[-TITLE_B:] if len(raw) % 16 == TITLE_B else None
    keys = raw[:-TITLE_B] if title is not None else raw
    if len(keys) not in (width_b, 2 * width_b):
        return None
    return Keys(keys[:width_b], keys[width_b:] or None, title)


def protect(control_code: int, counter: int, keys: Keys, plain: bytes) -> bytes:
    """Return security control byte, invocation counter and protected message [1].

    Args:
        control_code: Suite in the low four bits, 0x10 authenticated, 0x20 encrypted.
        counter: Invocation counter, below 2**32; never used twice with one key.
        keys: Keys with the system title of the sender.
        plain: Message.

    Raises:
        ValueError: The system title, or the key to authenticate with, is missing.
    """
    if keys.title is None or (control_code & AUTHENTICATED and keys.authentication is None):
        raise ValueError("protecting a message needs a system title, and authenticating it an authentication key")
    head, vector = _head(control_code, counter), keys.title + counter.to_bytes(4, "big")
    if not control_code & ENCRYPTED:
        return head + plain + (gmac(control_code, counter, keys, plain) if control_code & AUTHENTICATED else b"")
    associated = head[:1] + (keys.authentication or b"") if control_code & AUTHENTICATED else b""
    sealed = AESGCM(keys.encryption).encrypt(vector, plain, associated)
    return head + (sealed[: len(plain) + TAG_B] if control_code & AUTHENTICATED else sealed[: len(plain)])


def unprotect(content: bytes, keys: Keys) -> Opened | Shut:
    """Open what ``protect`` closed; the tag is compared in constant time.

    Without an authentication key an encrypted message is opened unproved, and one that is only authenticated stays
    shut: nothing of it would rest on the key.
    """
    if len(content) < 5:  # noqa: PLR2004 - control byte and counter
        return Shut("too_short", "There is no security header.")
    control_code, counter, body = content[0], int.from_bytes(content[1:5], "big"), content[5:]
    refusal = _refusal(control_code, keys, body)
    if refusal is not None:
        return refusal
    assert keys.title is not None  # noqa: S101 - _refusal has asked
    vector = keys.title + counter.to_bytes(4, "big")
    if not control_code & AUTHENTICATED:
        plain = _turn(keys.encryption, vector, body) if control_code & ENCRYPTED else body
        return Opened(plain, verified=False)
    if keys.authentication is None:
        return Opened(_turn(keys.encryption, vector, body[:-TAG_B]), verified=False)
    return _proved(control_code, vector, keys.encryption, keys.authentication, body)


def _proved(control_code: int, vector: bytes, key: bytes, authentication: bytes, body: bytes) -> Opened | Shut:
    text, tag = body[:-TAG_B], body[-TAG_B:]
    associated, encrypted = bytes([control_code]) + authentication, control_code & ENCRYPTED
    opener = Cipher(algorithms.AES(key), modes.GCM(vector, tag, TAG_B)).decryptor()
    opener.authenticate_additional_data(associated if encrypted else associated + text)
    try:
        plain = opener.update(text if encrypted else b"") + opener.finalize()
    except InvalidTag:
        return Shut("mac_wrong", "The authentication tag does not fit: another key, or the message was changed.")
    return Opened(plain if encrypted else text, verified=True)


def gmac(control_code: int, counter: int, keys: Keys, text: bytes) -> bytes:
    """Return the 12 bytes of GMAC over a text that stays in the clear: an HLS challenge, or a message.

    Raises:
        ValueError: The system title or the authentication key is missing.
    """
    if keys.title is None or keys.authentication is None:
        raise ValueError("GMAC needs a system title and an authentication key")
    vector = keys.title + counter.to_bytes(4, "big")
    associated = bytes([control_code]) + keys.authentication + text
    return AESGCM(keys.encryption).encrypt(vector, b"", associated)[:TAG_B]


def answer(challenge: bytes, counter: int, keys: Keys, control_code: int = AUTHENTICATED) -> bytes:
    """Return f(challenge) of HLS mechanism 5: control byte, counter and GMAC over the other side's challenge [1]."""
    return _head(control_code, counter) + gmac(control_code, counter, keys, challenge)


def proves(answered: bytes, challenge: bytes, keys: Keys) -> bool:
    """Return whether the other side's answer to a challenge rests on the keys; ``keys.title`` is its system title.

    Raises:
        ValueError: The system title or the authentication key is missing.
    """
    if len(answered) != 5 + TAG_B or answered[0] & (AUTHENTICATED | ENCRYPTED) != AUTHENTICATED:
        return False
    expected = answer(challenge, int.from_bytes(answered[1:5], "big"), keys, answered[0])
    return compare_digest(answered, expected)


def wrap_key(master: bytes, key: bytes) -> bytes:
    """Return a key wrapped with the master key, as key transfer sends it [2]."""
    return aes_key_wrap(master, key)


def unwrap_key(master: bytes, wrapped: bytes) -> bytes | None:
    """Return the key, or nothing where the master key is not the one that wrapped it."""
    try:
        return aes_key_unwrap(master, wrapped)
    except (InvalidUnwrap, ValueError):
        return None


def _head(control_code: int, counter: int) -> bytes:
    return bytes([control_code]) + counter.to_bytes(4, "big")


def _refusal(control_code: int, keys: Keys, body: bytes) -> Shut | None:
    width_b = KEY_B.get(control_code & _SUITE)
    if width_b is None or control_code & COMPRESSED:
        return Shut("not_supported", f"Security control {control_code:02X} is a suite or a compression not known.")
    if keys.title is None or len(keys.title) != TITLE_B:
        return Shut("key_missing", "The system title of the sender is not known.")
    lengths_b = {len(keys.encryption), len(keys.authentication or keys.encryption)}
    if lengths_b != {width_b}:
        return Shut("key_wrong", f"Keys of suite {control_code & _SUITE} have {width_b} bytes.")
    if control_code & AUTHENTICATED and len(body) < TAG_B:
        return Shut("too_short", "The authentication tag is cut off.")
    if control_code & AUTHENTICATED and not control_code & ENCRYPTED and keys.authentication is None:
        return Shut("key_missing", "The authentication key is not known.")
    return None


def _turn(key: bytes, vector: bytes, text: bytes) -> bytes:
    """GCM without its tag is counter mode that starts at block 2 [2]."""
    turn = Cipher(algorithms.AES(key), modes.CTR(vector + b"\0\0\0\2")).decryptor()
    return turn.update(text) + turn.finalize()
