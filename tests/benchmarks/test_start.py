"""A benchmark says what it would do before it does it, and leaves nothing of others' behind changed."""

import os

import pytest
import redis

from tests.benchmarks.__main__ import arguments, main
from tests.benchmarks.system import DidNotStart, broker


def test_help_explains_the_dose_and_starts_nothing(capsys, monkeypatch):
    monkeypatch.setenv("BENCH_SIGNALS", "123")

    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "--stages" in said
    assert "BENCH_SIGNALS=123" in said


def test_an_unknown_option_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--all"])

    assert ended.value.code == 2
    assert "--all" in capsys.readouterr().err


def test_without_options_the_environment_decides(monkeypatch):
    monkeypatch.setenv("BENCH_DATABASES", "sqlite")

    wanted = arguments([])

    assert (wanted.databases, wanted.stages, str(wanted.output)) == (
        "sqlite",
        "signals,pages,loop,door,hostile,insights",
        "bench.json",
    )


def test_a_broker_that_is_no_redis_is_refused(monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "memory://")

    with pytest.raises(DidNotStart, match="Redis"), broker():
        raise AssertionError("a broker was given")


@pytest.mark.services
def test_only_an_empty_database_of_the_broker_is_claimed_and_emptied():
    url = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")

    with broker() as first, broker() as second:
        with redis.Redis.from_url(first) as server:
            server.set("bell", "of this run")

        assert len({url, first, second}) == 3
        with redis.Redis.from_url(first) as server:
            assert server.dbsize() == 2

    with redis.Redis.from_url(first) as server:
        assert server.dbsize() == 0
