"""Liveness, and readiness with each dependency named; only what stops signals from being kept is a failure."""

from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from django.db import DatabaseError, connection

from audit import triggers
from audit.clock import db_now
from audit.models import Entry, Head, Slot
from config import health
from connectors.models import Connection, Delivery
from incidents.models import Incident
from tests.audit.factories import make_entries

pytestmark = pytest.mark.django_db


def ready(client: Any) -> tuple[int, str, dict[str, Any]]:
    response = client.get("/health/ready")
    return response.status_code, response.json()["status"], response.json()["checks"]


def tick() -> None:
    Slot.objects.create(schedule="sweep", slot=1, taken_at=db_now())


def make_due_incident(seconds: int) -> Incident:
    now = db_now()
    return Incident.objects.create(
        code="late", fingerprint="f", title="t", entity_type="order", entity_key="1",
        first_signal_at=now, last_signal_at=now, opened_at=now, due_at=now - timedelta(seconds=seconds),
    )  # fmt: skip


def test_a_process_that_answers_is_alive(client):
    response = client.get("/health/live")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_nobody_needs_to_sign_in_and_nothing_is_written(client):
    assert client.post("/health/ready").status_code == 405
    assert client.get("/health/ready").status_code == 200


def test_each_dependency_is_named(client):
    tick()

    status, word, checks = ready(client)

    assert (status, word) == (200, "ok")
    assert set(checks) == {"database", "broker", "ledger", "work", "beat", "store"}
    assert {check["status"] for check in checks.values()} == {"ok"}


def test_a_scheduler_that_never_ticked_or_stands_still_is_a_warning(client):
    assert ready(client)[2]["beat"]["detail"] == "no schedule has ticked yet"

    tick()
    Slot.objects.update(taken_at=db_now() - timedelta(minutes=10))
    status, word, checks = ready(client)

    assert (status, word, checks["beat"]["status"]) == (200, "warn", "warn")
    assert 599 <= checks["beat"]["seconds"] <= 660


@pytest.mark.parametrize(("seconds", "status"), [(5, "ok"), (600, "warn")])
def test_work_that_is_long_due_is_a_warning_with_its_age(client, seconds, status):
    make_due_incident(seconds)

    work = ready(client)[2]["work"]

    assert work["status"] == status
    assert seconds <= work["seconds"] < seconds + 60


def test_deliveries_that_nobody_looks_at_are_late_work_too(client):
    connection_row = Connection.objects.create(slug="fo", kind="dynamics_fo", label="F&O")
    at = db_now() - timedelta(minutes=5)
    Delivery.objects.create(connection=connection_row, external_id="1", event="e", payload={}, received_at=at)

    assert ready(client)[2]["work"]["status"] == "warn"


def test_a_ledger_whose_end_does_not_fit_takes_the_process_out_of_service(client):
    make_entries(3)
    with triggers.lifted(connection):
        Entry.objects.filter(n=3).delete()

        status, word, checks = ready(client)

    assert (status, word) == (503, "fail")
    assert checks["ledger"]["detail"] == "the chain ends at 3, its last entry is 2"


def test_a_ledger_without_an_end_is_a_failure(client):
    Head.objects.all().delete()

    assert ready(client)[2]["ledger"]["status"] == "fail"


def test_a_database_that_does_not_answer_is_a_failure_without_its_words(client, monkeypatch):
    def gone() -> Any:
        raise DatabaseError("password of goldseam@db.example is wrong")

    monkeypatch.setitem(health.CHECKS, "database", gone)

    status, word, checks = ready(client)

    assert (status, word, checks["database"]["detail"]) == (503, "fail", "the database does not answer")


def test_a_broker_that_is_away_is_a_warning_because_rows_are_the_truth(client, settings, monkeypatch):
    settings.EMBEDDED = False
    asked = []

    def away() -> str:
        asked.append(1)
        return "OperationalError"

    monkeypatch.setattr(health, "_ask_broker", away)

    answers = [ready(client) for _ in range(3)]

    assert {(status, word) for status, word, _ in answers} == {(200, "warn")}
    assert "OperationalError" in answers[0][2]["broker"]["detail"]
    assert len(asked) == 1  # a dead broker answers slowly: the answer is kept for a few seconds


def test_a_broker_that_nobody_answers_for_is_told_by_the_kind_of_failure(client, settings, monkeypatch):
    settings.EMBEDDED = False
    # Celery lets the environment win over what an application says of its broker.
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    monkeypatch.setattr(health, "app", Celery("away", broker="redis://127.0.0.1:1/0", set_as_current=False))

    broker = ready(client)[2]["broker"]

    assert broker["status"] == "warn"
    assert "Error" in broker["detail"]
    assert "127.0.0.1" not in broker["detail"]


def test_a_broker_that_answers_is_fine(client, settings):
    settings.EMBEDDED = False  # the broker of the tests is a real one, in memory

    assert ready(client)[2]["broker"] == {"name": "broker", "status": "ok", "detail": "reachable", "seconds": None}
