"""Strict JSON: what two readers could read differently is refused, with words that help."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.strictjson import BadJson, StrictJSONParser, TooLarge, loads, read_limited


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "Not JSON"),
        (b"{", r"line 1, column 2"),
        (b'{"a":1,\n "b" 2}', r"line 2, column 6"),
        (b"{'a': 1}", "Not JSON"),
        (b'{"a": 1} x', "Extra data"),
        (b'{"a":1,"a":2}', "'a' stands twice"),
        (b'{"x":[{"k":1,"j":2,"k":3}]}', "'k' stands twice"),
        (b"NaN", "NaN is no JSON number"),
        (b'{"a": Infinity}', "Infinity is no JSON number"),
        (b"[-Infinity]", "-Infinity is no JSON number"),
        (b"1e999", "too large"),
        (b"-1e999", "too large"),
        (b"1" * 31, "more than 30 digits"),
        (b"-" + b"1" * 31, "more than 30 digits"),
        (b"0." + b"1" * 31, "more than 30 digits"),
        (b"[" * 33 + b"]" * 33, "32 levels"),
        (b"[" * 20_000, "32 levels"),
        (b"[" * 20_000 + b"]" * 20_000, "32 levels"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "32 levels"),
        (b"[" + b"{}," * 200_000 + b"1]", "more than 200,000 objects and lists"),
        (b"\xff", "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\\u0000"', r"U\+0000"),
        (b'{"\\u0000": 1}', r"U\+0000"),
        (b'[{"a": ["x\\u0000y"]}]', r"U\+0000"),
        (b'"a\x00b"', "Not JSON"),
        (b'"\\ud800"', "half a character"),
        (b'{"a": "\\uDC00 x"}', "half a character"),
        (b"\xef\xbb\xbf{}", "Not JSON"),
    ],
)
def test_it_refuses(raw, words):
    with pytest.raises(BadJson, match=words) as refusal:
        loads(raw)

    assert (refusal.value.status, list(refusal.value.errors)) == (400, ["body"])


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"null", None),
        (b' {"a": [1, -2, 3.5, true, "\xc3\xa9"]} ', {"a": [1, -2, 3.5, True, "é"]}),
        (b"1" * 30, int("1" * 30)),
        (b"[" + b"[]," * 199_998 + b"[]]", [[]] * 199_999),
        (b"[" * 32 + b"]" * 32, json.loads("[" * 32 + "]" * 32)),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\\\u0000"', "\\u0000"),
        (b'[{"k":1},{"k":1}]', [{"k": 1}, {"k": 1}]),
        (b"[" + b"{}," * 99 + b"{}]", [{}] * 100),
    ],
)
def test_it_takes(raw, value):
    assert loads(raw) == value


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**29), 10**29) | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcä", max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(value=values, ascii_only=st.booleans())
def test_whatever_is_plain_json_comes_through_unchanged(value, ascii_only):
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(raw=st.binary(max_size=60))
def test_no_bytes_at_all_break_it(raw):
    try:
        again = json.dumps(loads(raw), allow_nan=False)
    except BadJson:
        again = ""

    assert isinstance(again, str)


def test_a_body_over_the_limit_is_refused_by_what_it_says_and_by_what_it_is(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10

    assert read_limited(io.BytesIO(b"0123456789")) == b"0123456789"
    with pytest.raises(TooLarge, match="has 11 bytes"):
        read_limited(io.BytesIO(b""), 11)
    with pytest.raises(TooLarge, match="more than 10 bytes"):
        read_limited(io.BytesIO(b"0123456789a"))


def test_the_parser_reads_a_stream():
    assert StrictJSONParser().parse(io.BytesIO(b'{"a": 1}')) == {"a": 1}


def test_nothing_compressed_is_unpacked(api, integration):
    answer = api(integration).post(
        "/api/v1/signals/", b"\x1f\x8b", content_type="application/json", headers={"Content-Encoding": "gzip"}
    )

    assert answer.status_code == 415
    assert answer.json()["detail"] == "Send the body as it is: nothing compressed is unpacked here."
