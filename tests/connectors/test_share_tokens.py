"""Access tokens: one fetch for many threads, thrown away when refused, and never shown."""

import threading
import time
from types import SimpleNamespace

import pytest

from connectors.base import Unreachable
from connectors.kit import credentials
from connectors.kit.credentials import Token
from tests.racing import at_once, together


@pytest.fixture(autouse=True)
def _empty() -> None:
    credentials.forget_all()


def test_of_many_threads_one_fetches_and_all_get_the_same() -> None:
    fetched: list[int] = []

    def fetch() -> Token:
        fetched.append(1)
        return Token(f"token-{len(fetched)}")

    got = together(*[lambda: credentials.token_for("key", fetch).value] * 16)

    assert got == ["token-1"] * 16
    assert len(fetched) == 1


def test_a_token_about_to_end_is_fetched_anew() -> None:
    soon, later = time.monotonic() + 30, time.monotonic() + 3600
    credentials.token_for("key", lambda: Token("old", soon))

    assert credentials.token_for("key", lambda: Token("new", later)).value == "new"
    assert credentials.token_for("key", lambda: Token("newer", later)).value == "new"


def test_forgetting_a_refused_token_spares_the_newer_one_of_another_thread() -> None:
    old = credentials.token_for("key", lambda: Token("old"))
    credentials.forget("key", old)
    new = credentials.token_for("key", lambda: Token("new"))

    credentials.forget("key", old)

    assert credentials.token_for("key", lambda: Token("newest")) == new


def test_a_failed_fetch_leaves_nothing_behind() -> None:
    def fail() -> Token:
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        credentials.token_for("key", fail)

    assert credentials.token_for("key", lambda: Token("up")).value == "up"


def test_a_fetch_that_failed_has_failed_for_all_who_waited_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tries, looked, all_asked = [], [], threading.Event()

    def monotonic() -> float:
        # Whoever asks looks at the clock first.
        looked.append(1)
        if len(looked) == 8:
            all_asked.set()
        return time.monotonic()

    def fail() -> Token:
        tries.append(1)
        assert all_asked.wait(10)
        raise Unreachable("The token server is silent.", code="timeout", retry_after=7.0)

    monkeypatch.setattr(credentials, "time", SimpleNamespace(monotonic=monotonic))
    raised = at_once(*[lambda: credentials.token_for("key", fail)] * 8)

    assert len(tries) == 1
    assert len({id(error) for error in raised}) == len(raised) == 8
    assert {(type(error), str(error), error.code, error.retry_after) for error in raised} == {
        (Unreachable, "The token server is silent.", "timeout", 7.0)
    }
    assert credentials.token_for("key", lambda: Token("up")).value == "up", "whoever comes later tries again"


def test_a_token_shows_neither_itself_nor_the_secret_that_it_came_from() -> None:
    key = credentials.key_of("salesforce", "https://org.test", "a-secret")

    assert "a-secret" not in key
    assert "hidden-value" not in repr(Token("hidden-value"))
    assert key != credentials.key_of("salesforce", "https://org.test", "another")
