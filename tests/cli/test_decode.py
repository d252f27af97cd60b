"""`citygate decode` as a person and as a program use it."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.cli import main
from citygate.cli.decode import answers

ANNEX_N = (
    "2E44931578563412330333637A2A0020255923C95AAA26D1B2E7493BC2AD013EC4A6F6D3529B520EDFF0EA6DEFC955B29D6D69EBF3EC8A"
)
KEY = "0102030405060708090A0B0C0D0E0F11"
WIRED = "6820206808FD7278563412931533032A0000000C1427048502046D32371F1502FD1700008916"
FIELDS = {"id", "ok", "manufacturer", "serial", "version", "medium", "time", "values", "status", "security"}


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that types a command, with standard input, and gives exit code, output and messages."""

    def typed(*words, given=b""):
        monkeypatch.setattr("sys.argv", ["citygate", "decode", *words])
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        with pytest.raises(SystemExit) as ended:
            main.main()
        return (ended.value.code or 0, *capsys.readouterr())

    return typed


def requests(*rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_one_line_out_for_each_line_in(run):
    given_lines = requests(
        {"id": "a", "protocol": "wmbus", "hex": ANNEX_N, "key": KEY},
        {"id": 2, "protocol": "mbus", "hex": WIRED},
        {"id": 3, "protocol": "wmbus", "hex": ANNEX_N},
        {"id": 4, "protocol": "smoke signals", "hex": "00"},
        {"id": 5, "protocol": "wmbus", "hex": "ZZ"},
        {"id": 6, "protocol": "wmbus"},
        {"id": 7, "hex": "00"},
        {"id": 8, "protocol": "wmbus", "hex": ANNEX_N, "key": "xy"},
        {"id": 9, "protocol": "wmbus", "hex": ANNEX_N, "key": 7},
    )
    code, out, _ = run("--format", "jsonl", given=given_lines + b"no json\n\n[1]\n\xff\xfe\n")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["id"] for row in rows] == ["a", 2, 3, 4, 5, 6, 7, 8, 9, None, None, None, None]
    assert [row.get("reason") for row in rows] == [
        None,
        None,
        "key_missing",
        "protocol_not_supported",
        "hex_wrong",
        "line_wrong",
        "line_wrong",
        "key_wrong",
        "key_wrong",
        "line_wrong",
        "line_wrong",
        "line_wrong",
        "line_wrong",
    ]
    assert all(row.keys() >= FIELDS for row in rows)
    assert rows[0]["security"] == {"mode": "mode 5 (AES-128-CBC)", "verified": False}
    assert (rows[2]["serial"], rows[2]["values"]) == ("12345678", [])


def test_values_are_exact_numbers(run):
    _, out, _ = run("--format", "jsonl", given=requests({"id": 1, "protocol": "mbus", "hex": WIRED}))
    assert '"value":28504.27,' in out
    assert json.loads(out)["values"][0] == {
        "name": "volume",
        "value": 28504.27,
        "unit": "m3",
        "storage": 0,
        "tariff": 0,
        "function": "instantaneous",
        "basis": None,
        "subunit": 0,
    }


def test_a_frame_is_taken_apart(run):
    code, out, _ = run(ANNEX_N, "--key", KEY)
    assert code == 0
    assert "  23  04 6D 32 37 1F 15  datetime: 2008-05-31T23:50" in out
    assert "unverified" in out


def test_a_frame_of_the_wire_is_known_by_its_bytes(run):
    code, out, _ = run(WIRED)
    assert (code, "mbus: ELS 12345678 gas" in out) == (0, True)


def test_what_cannot_be_read_is_explained(run):
    code, out, _ = run(ANNEX_N)
    assert code == 1
    assert "cannot be read from byte 15 on: key_missing" in out
    assert "manufacturer ELS" in out
    assert run("--format", "jsonl", "zz")[0] == 1


def test_neither_a_frame_nor_lines_is_wrong_usage(run):
    code, _, said = run()
    assert code == 2
    assert "--format jsonl" in said


def test_other_protocols_answer_too(run):
    text = "/KFM5KAIFA-METER\r\n\r\n1-3:0.2.8(42)\r\n!9A1B\r\n"
    _, out, _ = run("--format", "jsonl", given=requests({"id": 1, "protocol": "p1", "text": text}))
    assert json.loads(out)["id"] == 1


@given(st.lists(st.binary(max_size=80).map(lambda line: line.replace(b"\n", b"")), max_size=5))
def test_any_lines_are_answered(lines):
    assert len(list(answers(lines))) == len(lines)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["wmbus", "mbus", "dlms", "p1", "lorawan", "lwm2m", "cjt188", "ctr"])


@given(
    st.fixed_dictionaries(
        {"id": anything, "protocol": names | anything},
        optional={"hex": st.binary(max_size=80).map(bytes.hex) | anything, "text": anything, "key": anything},
    )
)
def test_any_request_is_answered(request_row):
    (line,) = answers([json.dumps(request_row).encode()])
    answer = json.loads(line)
    assert answer.get("reason") != "codec_failed"
    assert answer.keys() >= FIELDS


def test_a_deep_line_is_a_wrong_line():
    (line,) = answers([b'{"id":' * sys.getrecursionlimit() * 2])
    assert json.loads(line)["reason"] == "line_wrong"
