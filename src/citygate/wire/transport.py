"""Layers between the link and the records: extended link layer, authentication and fragmentation, transport header.

Encrypted bytes are replaced by plain ones in their place, so a byte's number stays true through all layers.

References:
    EN 13757-4 (extended link layer), EN 13757-7 (transport layer, AFL, security modes), OMS specification volume 2.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from citygate.wire import cipher
from citygate.wire.device import Device, from_transport, medium_name, status_names
from citygate.wire.framing import crc16
from citygate.wire.telegram import Part, Security, Telegram, Unread

ELL_SHORT, ELL_SECRET, ELL_ADDRESSED, ELL_BOTH, AFL = 0x8C, 0x8D, 0x8E, 0x8F, 0x90
LONG = frozenset({0x5B, 0x60, 0x64, 0x6B, 0x6C, 0x6F, 0x72, 0x73, 0x75, 0x7D, 0x7F, 0x80, 0x84, 0x8B})
SHORT = frozenset({0x5A, 0x61, 0x65, 0x67, 0x6A, 0x6D, 0x6E, 0x74, 0x7A, 0x7B, 0x7C, 0x7E, 0x85, 0x8A})
_LONG_B, _SHORT_B = 12, 4
_CHECK = b"\x2f\x2f"
_ENCRYPTED_WHOLE = 0x0F
_MAC_B = {3: 2, 4: 4, 5: 8, 6: 12, 7: 16}
#: Bits of a communication control field that a repeater may change: they count as 0 in the counter block.
_CC_REPEATED = 0x14
_RESERVED_FROM = 16

MODES = {
    0: "none",
    1: "mode 1 (manufacturer specific)",
    2: "mode 2 (DES-CBC)",
    3: "mode 3 (DES-CBC)",
    4: "mode 4 (AES-128-CBC, withdrawn)",
    5: "mode 5 (AES-128-CBC)",
    7: "mode 7 (AES-128-CBC, AES-CMAC)",
    8: "mode 8 (AES-128-CTR, AES-CMAC)",
    9: "mode 9 (AES-128-GCM)",
    10: "mode 10 (AES-128-CCM)",
    13: "mode 13 (TLS)",
    15: "mode 15 (manufacturer specific)",
}
#: Reason of a frame that is but a part of its message.
FRAGMENT = "fragment"
_CBC, _CBC_CMAC = 5, 7
_CTR_NAME = "extended link layer (AES-128-CTR)"


@dataclass(slots=True)
class Opened:
    """A frame on its way through the layers.

    Attributes:
        frame: Without checksums; plain where the key opened it.
        at_b: Next byte to read; at the end the first byte after the transport header.
        device: Whom the values belong to.
        ci_code: Control information of the application.
        status: Status byte.
        access: Access number.
        security: How it was protected.
        notes: What the reader should know.
        parts: Meaning of the bytes so far, when wanted.
    """

    frame: bytes
    at_b: int
    device: Device
    key: bytes | None
    ci_code: int = 0
    status: int = 0
    access: int = 0
    security: Security = field(default_factory=Security)
    notes: list[str] = field(default_factory=list)
    parts: list[Part] | None = None
    afl: Authentication | None = None

    def mark(self, layer: str, size_b: int, text: str) -> bytes:
        """Step over ``size_b`` bytes and say what they mean; return them."""
        raw = self.frame[self.at_b : self.at_b + size_b]
        if self.parts is not None:
            self.parts.append(Part(layer, self.at_b, raw, text))
        self.at_b += size_b
        return raw

    def lacks(self, size_b: int, what: str) -> Unread | None:
        """Return why fewer than ``size_b`` bytes are left, or None."""
        if len(self.frame) - self.at_b >= size_b:
            return None
        return self.unread("too_short", f"the frame ends within the {what}")

    def unread(self, reason: str, detail: str) -> Unread:
        """Return a reason at the present byte, with the identity so far."""
        return Unread(reason, detail, self.at_b, self.identity())

    def identity(self) -> Telegram:
        """Return the telegram so far, without values."""
        device = self.device
        return Telegram(
            *device.named(),
            status=status_names(self.status),
            security=self.security,
            notes=tuple(self.notes),
        )


@dataclass(frozen=True, slots=True)
class Authentication:
    """What the authentication and fragmentation layer says.

    Attributes:
        signed: Its fields that the authentication code covers.
        counter: Message counter as sent; empty when absent.
        mac: Authentication code; empty when absent.
        fragment_number: Number of the fragment; 0 or 1 when there is but one.
        follows: Whether more fragments follow.
    """

    signed: bytes
    counter: bytes
    mac: bytes
    fragment_number: int
    follows: bool


def open_layers(opened: Opened) -> Unread | None:
    """Go through all layers up to the application; None when ``opened`` has come to its data."""
    fault = open_fragment(opened)
    if fault:
        return fault
    if opened.afl and (opened.afl.follows or opened.afl.fragment_number > 1):
        return opened.unread(FRAGMENT, f"this is fragment {opened.afl.fragment_number} of a message in several frames")
    return open_message(opened)


def open_fragment(opened: Opened) -> Unread | None:
    """Go through the layers that each frame of a message has; None when ``opened`` has come to its payload."""
    while True:
        fault = opened.lacks(1, "control information")
        if fault:
            return fault
        ci = opened.frame[opened.at_b]
        if ELL_SHORT <= ci <= ELL_BOTH:
            fault = _extended_link(opened, ci)
        elif ci == AFL and opened.afl is None:
            fault = _authentication(opened)
        else:
            return None
        # A payload of a fragment may begin with any byte.
        if fault or (opened.afl and opened.afl.fragment_number > 1):
            return fault


def open_message(opened: Opened) -> Unread | None:
    """Read the transport header and decrypt; None when ``opened`` has come to the application's data."""
    return opened.lacks(1, "message") or _transport(opened, opened.frame[opened.at_b])


def _extended_link(opened: Opened, ci: int) -> Unread | None:
    secret, addressed = ci in {ELL_SECRET, ELL_BOTH}, ci in {ELL_ADDRESSED, ELL_BOTH}
    fault = opened.lacks(3 + 8 * addressed + 6 * secret, "extended link layer")
    if fault:
        return fault
    opened.mark("extended link", 1, f"CI {ci:02X}: extended link layer")
    control = opened.mark("extended link", 1, "communication control")[0]
    access = opened.mark("extended link", 1, "access number")[0]
    opened.access = access
    address = opened.device.address
    if addressed:
        address = opened.mark("extended link", 8, "address of the other side")
        opened.notes.append(f"the extended link layer is addressed to {Device(address).serial}")
    return _session(opened, control) if secret else None


def _session(opened: Opened, control: int) -> Unread | None:
    session = opened.mark("extended link", 4, "session number")
    scheme = session[3] >> 5
    start_b = opened.at_b
    if scheme:
        opened.security = Security(_CTR_NAME)
        if opened.key is None and _checksum_right(opened.frame, start_b):
            opened.notes.append("the payload was already decrypted on arrival")
        elif scheme != 1:
            return opened.unread("security_unsupported", f"encryption {scheme} of the extended link layer is reserved")
        elif opened.key is None:
            return opened.unread(
                "key_missing", "the extended link layer is encrypted (AES-128-CTR) and no key is given"
            )
        else:
            plain = _turned(opened, control, session)
            if plain is None:
                return opened.unread("key_wrong", "the payload's checksum is wrong after decrypting: wrong key")
            opened.frame = plain
    elif not _checksum_right(opened.frame, start_b):
        return opened.unread("crc_wrong", "the payload's checksum in the extended link layer is wrong")
    opened.mark("extended link", 2, "checksum of the payload")
    return None


def _checksum_right(frame: bytes, start_b: int) -> bool:
    return crc16(frame[start_b + 2 :]) == int.from_bytes(frame[start_b : start_b + 2], "little")


def _turned(opened: Opened, control: int, session: bytes) -> bytes | None:
    head, secret = opened.frame[: opened.at_b], opened.frame[opened.at_b :]
    for control_sent in dict.fromkeys((control, control & ~_CC_REPEATED)):
        counter = cipher.session_counter(opened.device.address, control_sent, session)
        plain = head + cipher.turn_ctr(opened.key or b"", counter, secret)
        if _checksum_right(plain, opened.at_b):
            return plain
    return None


def _authentication(opened: Opened) -> Unread | None:
    fault = opened.lacks(4, "authentication layer")
    if fault:
        return fault
    opened.mark("authentication", 1, "CI 90: authentication and fragmentation layer")
    size_b = opened.mark("authentication", 1, "length of the layer")[0]
    end_b = opened.at_b + size_b
    fault = opened.lacks(size_b, "authentication layer")
    if fault:
        return fault
    control = int.from_bytes(opened.mark("authentication", 2, "fragmentation control"), "little")
    message = opened.mark("authentication", 1, "message control") if control & 0x2000 else b""
    information = opened.mark("authentication", 2, "key information") if control & 0x0200 else b""
    counter = opened.mark("authentication", 4, "message counter") if control & 0x0800 else b""
    mac_b = _MAC_B.get(message[0] & 0x0F, 0) if message else end_b - opened.at_b
    mac = opened.mark("authentication", mac_b, "message authentication code") if control & 0x0400 else b""
    length = opened.mark("authentication", 2, "length of the message") if control & 0x1000 else b""
    if opened.at_b != end_b:
        return opened.unread("afl_wrong", "the fields of the authentication layer do not fill its length")
    signed = message + information + counter + length
    opened.afl = Authentication(signed, counter, mac, control & 0xFF, bool(control & 0x4000))
    return None


def _transport(opened: Opened, ci: int) -> Unread | None:
    start_b = opened.at_b
    header_b = _LONG_B if ci in LONG else _SHORT_B if ci in SHORT else 0
    fault = opened.lacks(1 + header_b, "transport header")
    if fault:
        return fault
    opened.ci_code = ci
    opened.mark("transport", 1, f"CI {ci:02X}: {_header_name(header_b)}")
    if not header_b:
        return None
    if header_b == _LONG_B:
        opened.device = from_transport(opened.frame[opened.at_b : opened.at_b + 8])
        device = opened.device
        opened.mark("transport", 4, f"serial {device.serial}")
        opened.mark("transport", 2, f"manufacturer {device.manufacturer}")
        opened.mark("transport", 1, f"version {device.version}")
        opened.mark("transport", 1, f"device type {device.kind:02X}: {medium_name(device.kind)}")
    opened.access = opened.mark("transport", 1, "access number")[0]
    opened.status = opened.frame[opened.at_b]
    opened.mark("transport", 1, f"status: {', '.join(status_names(opened.status)) or 'nothing reported'}")
    config = int.from_bytes(opened.frame[opened.at_b : opened.at_b + 2], "little")
    mode = config >> 8 & 0x1F
    opened.mark("transport", 2, f"configuration: security {MODES.get(mode, f'mode {mode} (reserved)')}")
    return _secured(opened, start_b, mode, config >> 4 & 0x0F)


def _header_name(header_b: int) -> str:
    return {_LONG_B: "transport with long header", _SHORT_B: "transport with short header"}.get(header_b, "no header")


def _secured(opened: Opened, start_b: int, mode: int, block_count: int) -> Unread | None:
    if mode == 0:
        return _proven(opened, start_b) if opened.afl and opened.afl.mac and opened.key else None
    opened.security = Security(MODES.get(mode, f"mode {mode} (reserved)"))
    if mode >= _RESERVED_FROM:
        opened.notes.append(f"security mode {mode} is reserved; the payload is read as plain")
        return None
    if mode not in {_CBC, _CBC_CMAC}:
        return opened.unread("security_unsupported", f"security {opened.security.mode} is not decoded")
    if mode == _CBC_CMAC:
        fault = opened.lacks(1, "configuration field extension")
        if fault:
            return fault
        opened.mark("transport", 1, "configuration field extension")
    left_b = len(opened.frame) - opened.at_b
    size_b = block_count * cipher.BLOCK_B
    if block_count == _ENCRYPTED_WHOLE:
        size_b = min(size_b, left_b - left_b % cipher.BLOCK_B)
    return _encrypted(opened, start_b, mode, size_b)


def _encrypted(opened: Opened, start_b: int, mode: int, size_b: int) -> Unread | None:
    """Open the first ``size_b`` bytes of the payload."""
    if opened.key is None:
        if size_b == 0:
            return None
        if opened.frame[opened.at_b : opened.at_b + 2] == _CHECK:
            opened.notes.append("the payload was already decrypted on arrival")
            opened.mark("transport", len(_CHECK), "check bytes of the decryption")
            return None
        return opened.unread("key_missing", f"the payload is encrypted, {opened.security.mode}, and no key is given")
    if mode == _CBC:
        size_b = _whole_blocks_b(opened, size_b)
    fault = opened.lacks(size_b, "encrypted payload") or (_proven(opened, start_b) if mode == _CBC_CMAC else None)
    return fault or (_decrypted(opened, mode, size_b) if size_b else None)


def _whole_blocks_b(opened: Opened, size_b: int) -> int:
    """Bytes to decrypt: less than announced where the last block is cut, whose bytes are then lost."""
    left_b = len(opened.frame) - opened.at_b
    if not 0 < size_b - left_b < cipher.BLOCK_B or left_b < cipher.BLOCK_B:
        return size_b
    whole_b = left_b - left_b % cipher.BLOCK_B
    opened.notes.append(f"the last encrypted block is cut: {left_b - whole_b} bytes are lost")
    opened.frame = opened.frame[: opened.at_b + whole_b]
    return whole_b


def _decrypted(opened: Opened, mode: int, size_b: int) -> Unread | None:
    key, at_b = opened.key or b"", opened.at_b
    start = cipher.start_mode_5(opened.device.address, opened.access)
    if mode == _CBC_CMAC:
        counter = opened.afl.counter if opened.afl else b""
        key, start = cipher.keys_mode_7(key, counter, opened.device.address[2:6])[0], bytes(cipher.BLOCK_B)
    plain = cipher.decrypt_cbc(key, start, opened.frame[at_b : at_b + size_b])
    if not plain.startswith(_CHECK):
        return opened.unread("key_wrong", "the decrypted payload does not begin with 2F2F: wrong key")
    opened.frame = opened.frame[:at_b] + plain + opened.frame[at_b + size_b :]
    opened.mark("transport", len(_CHECK), "check bytes of the decryption")
    if mode == _CBC:
        opened.notes.append("decrypted, unverified: mode 5 has no authentication code")
    return None


def _proven(opened: Opened, start_b: int) -> Unread | None:
    """Check the authentication code over the layer's own fields and the transport layer as received."""
    afl = opened.afl
    if afl is None or not afl.counter:
        return opened.unread("afl_missing", "mode 7 needs the message counter of the authentication layer")
    if not afl.mac:
        return opened.unread("mac_missing", "mode 7 needs a message authentication code")
    use = cipher.keys_mode_7(opened.key or b"", afl.counter, opened.device.address[2:6])[1]
    wanted = cipher.cmac(use, afl.signed + opened.frame[start_b:])[: len(afl.mac)]
    if not hmac.compare_digest(wanted, afl.mac):
        return opened.unread("mac_wrong", "the message authentication code is wrong: wrong key or a changed message")
    opened.security = Security(opened.security.mode, verified=True)
    return None


def key_fault(key: bytes | None) -> Unread | None:
    """Return why a key cannot be one, or None."""
    if key is None or len(key) == cipher.KEY_B:
        return None
    return Unread("key_length", f"a key has {cipher.KEY_B} bytes, this one {len(key)}")
