"""Answers of other systems as JSON: bounded, read one way only, and with nothing in them that cannot be stored."""

import json
import tracemalloc

import pytest

from connectors.transport import NotJson, Reply
from connectors.wire.payloads import LIMITS, BadPayload, loads_answer
from tests.connectors.hostile import ANSWERS


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"\xef\xbb\xbf{}", {}),
        (b'{"id": 9007199254740993}', {"id": 9007199254740993}),
        (b"[" * LIMITS.depth + b"]" * LIMITS.depth, json.loads("[" * LIMITS.depth + "]" * LIMITS.depth)),
        (b"9" * LIMITS.digits, int("9" * LIMITS.digits)),
        (b'{"a\\u0000b": ["\\ud800x", "\\ud83d\\ude00"]}', {"a\ufffdb": ["\ufffdx", "\U0001f600"]}),
        ('"Ærø · 日本"'.encode(), "Ærø · 日本"),
    ],
)
def test_an_answer_is_read_as_it_is(body: bytes, value: object) -> None:
    assert loads_answer(body) == value


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b"NaN", "no JSON number"),
        (b"-1e999", "too large"),
        (b"9" * (LIMITS.digits + 1), "64 digits"),
        (b"[" * (LIMITS.depth + 1) + b"]" * (LIMITS.depth + 1), "64 levels"),
        (b"[" * 100_000, "64 levels"),
        (b"[" + b"{}," * LIMITS.containers + b"1]", "200,000 objects and lists"),
        (b"[" + b"1," * LIMITS.values + b"1]", "500,000 values"),
    ],
)
def test_what_cannot_be_relied_on_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(BadPayload, match=said):
        loads_answer(body)
    with pytest.raises(NotJson, match="not usable JSON"):
        Reply(200, {}, body).json()


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_bomb_costs_hardly_more_than_its_text(body: bytes) -> None:
    tracemalloc.start()

    with pytest.raises(BadPayload, match="it holds more than"):
        loads_answer(body)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # It is counted before anything is made of it: the decoded text alone stands beside the body.
    assert peak < 2 * len(body)
