"""The retry table, and the one translation from HTTP answers to exact failures."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from connectors.base import (
    Blocked,
    ConnectorError,
    Locked,
    NotFound,
    RateLimited,
    Refused,
    Unanswered,
    Unauthorized,
    Unreachable,
    VersionConflict,
)
from connectors.door import retry
from connectors.kit.answers import Explained, failure, raise_for, retry_after
from connectors.transport import Reply

KEY = "a" * 40


def reply(status: int, *, html: bool = False, **headers: str) -> Reply:
    body = b"<html>no</html>" if html else b'{"message": "told"}'
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def explain(answer: Reply) -> Explained:
    return Explained(answer.json()["message"])


@pytest.mark.parametrize(
    ("status", "wrote", "expected"),
    [
        (400, True, Refused), (401, True, Unauthorized), (403, True, Refused), (404, False, NotFound),
        (408, True, Unanswered), (409, True, Refused), (410, False, NotFound), (412, True, VersionConflict),
        (422, True, Refused), (429, True, RateLimited), (500, True, Unanswered), (502, False, Unanswered),
        (503, True, Unanswered), (503, False, Unanswered), (504, True, Unanswered), (301, True, Refused),
    ],
)  # fmt: skip
def test_each_status_has_one_meaning(status: int, wrote: bool, expected: type[ConnectorError]) -> None:
    assert type(failure(reply(status), label="X", wrote=wrote, explain=explain)) is expected


@pytest.mark.parametrize("status", [200, 302, 400, 403, 404, 500, 503])
def test_a_web_page_proves_nothing_about_a_write(status: int) -> None:
    with pytest.raises(Unanswered, match="web page") as lost:
        raise_for(reply(status, html=True), label="X", wrote=True, explain=explain)

    assert lost.value.effect_possible


def test_success_raises_nothing() -> None:
    for status in (200, 201, 204):
        raise_for(reply(status), label="X", wrote=True, explain=explain)

    assert not reply(204).is_page


def test_an_error_body_that_cannot_be_read_still_has_its_status() -> None:
    told = failure(Reply(400, {}, b"<broken"), label="X", wrote=True, explain=explain)

    assert (type(told), str(told)) == (Refused, "X answered 400.")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("", None), ("soon", None), ("nan", None), ("1e12", 86_400.0),
        ("60, 7", 60.0), ("7,60", 60.0), ("60, soon", None), ("9" * 5000, None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", None), ("Mon, 01 Jan 99999 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_seconds(text: str, seconds: float | None) -> None:
    assert retry_after(text) == seconds


def test_retry_after_is_read_as_a_date() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=60)

    seconds = retry_after(format_datetime(moment, usegmt=True))

    assert seconds is not None
    assert 50 < seconds <= 60


def test_a_date_is_held_against_the_clock_of_the_system_that_says_it() -> None:
    ours = datetime.now(UTC)
    # The system's clock is ten minutes behind ours, and it asks to wait for two.
    headers = {
        "retry-after": format_datetime(ours - timedelta(minutes=8), usegmt=True),
        "date": format_datetime(ours - timedelta(minutes=10), usegmt=True),
    }

    told = failure(Reply(429, headers, b""), label="X", wrote=False, explain=explain)

    assert (type(told), told.retry_after) == (RateLimited, 120.0)
    assert retry_after(headers["retry-after"], "yesterday") == 0.0


@pytest.mark.parametrize(
    ("error", "again", "read_back", "park"),
    [
        (Unreachable("x"), True, False, False),
        (RateLimited("x", retry_after=7), True, False, False),
        (Unanswered("x"), True, True, False),
        (VersionConflict("x"), False, False, True),
        (Unauthorized("x"), False, False, True),
        (Refused("x"), False, False, True),
        (NotFound("x"), False, False, True),
        (Locked("x"), True, False, False),
        (Blocked("x", code="stopped"), False, False, True),
        (Blocked("x", code="not_before", retry_after=30), True, False, False),
        (ConnectorError("x"), False, False, True),
    ],
)
def test_each_failure_of_a_write_has_one_consequence(
    error: ConnectorError, again: bool, read_back: bool, park: bool
) -> None:
    decision = retry.decide(error, wrote=True, attempt=1, key=KEY)

    assert (decision.again, decision.read_back, decision.park) == (again, read_back, park)
    assert decision.guidance


def test_a_read_without_an_answer_is_simply_asked_again() -> None:
    decision = retry.decide(Unanswered("x"), wrote=False, attempt=1, key=KEY)

    assert (decision.again, decision.read_back) == (True, False)


def test_waits_grow_to_their_cap_and_the_tries_end(settings: Any) -> None:
    waits = [retry.decide(Unreachable("x"), wrote=True, attempt=n, key=KEY).after_seconds for n in range(1, 7)]

    assert waits[4:] == [None, None]
    assert all(wait is not None and 0 <= wait <= min(60, 2.0**n) for n, wait in enumerate(waits[:4], start=1))


def test_the_same_key_waits_the_same_and_another_one_differently() -> None:
    def wait(key: str) -> float | None:
        return retry.decide(Unreachable("x"), wrote=True, attempt=3, key=key).after_seconds

    assert wait(KEY) == wait(KEY)
    assert len({wait(f"key {number}") for number in range(50)}) > 40


@pytest.mark.parametrize("attempt", range(1, 20))
def test_a_pause_that_was_asked_for_is_never_shortened(attempt: int) -> None:
    decision = retry.decide(RateLimited("x", retry_after=45), wrote=True, attempt=attempt, key=KEY)

    assert decision.after_seconds is not None
    assert 45 <= decision.after_seconds <= 46


@pytest.mark.parametrize("attempt", [1, 2, 3, 4])
def test_a_lock_is_waited_for_between_two_and_thirty_seconds(attempt: int) -> None:
    decision = retry.decide(Locked("x"), wrote=True, attempt=attempt, key=KEY)

    assert decision.after_seconds is not None
    assert 2 <= decision.after_seconds <= 30
    assert retry.decide(Locked("x"), wrote=True, attempt=5, key=KEY).park


def test_every_failure_there_is_stands_in_the_table() -> None:
    listed = {error for case in retry.TABLE for error in case.errors}

    assert {Blocked, RateLimited, Locked, Unreachable, Unanswered, VersionConflict, Unauthorized, Refused} <= listed
    assert all(case.name and case.guidance for case in retry.TABLE)
