"""What an answer belongs to is found by an index, whatever else is kept, and written down for what came before."""

from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from audit.clock import db_now
from connectors.base import Inbound
from connectors.door import threads
from connectors.kinds.mail import conversations
from connectors.models import BegunThread, Call, Connection, Delivery, EarlierMail

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 3_000


@pytest.fixture
def mail() -> Connection:
    return Connection.objects.create(slug="mail", kind="mail", label="Mail")


def payload(identifier: str, **changes: Any) -> dict[str, Any]:
    blank = {"thread": "", "conversation": identifier, "references": [], "mentions": {}, "automatic": ""}
    return {"message_id": identifier, **blank, **changes}


def plan_of(captured: CaptureQueriesContext) -> str:
    (sql,) = [one["sql"] for one in captured.captured_queries if 'FROM "connectors_' in one["sql"]]
    with database.cursor() as cursor:
        cursor.execute(f"{'EXPLAIN' if database.vendor == 'postgresql' else 'EXPLAIN QUERY PLAN'} {sql}")
        return "\n".join(str(line[-1]) for line in cursor.fetchall())


def analyze() -> None:
    with database.cursor() as cursor:
        cursor.execute("ANALYZE")


def test_an_earlier_mail_is_found_by_its_index(mail: Connection) -> None:
    told = [Inbound(f"{n}@x.test:0", "mail.received", payload(f"{n}@x.test")) for n in range(ROWS)]
    conversations.remember("mail", told)
    analyze()

    with CaptureQueriesContext(database) as captured:
        found = conversations.joined("mail", payload("new@x.test", references=["2127@x.test", "none@x.test"]), [])

    assert (found["thread"], found["conversation"]) == ("2127@x.test:0", "2127@x.test")
    assert "earlier_mail_by_identifier" in plan_of(captured)


def test_the_incident_of_a_thread_is_found_by_its_index(mail: Connection) -> None:
    BegunThread.objects.bulk_create(BegunThread(connection=mail, thread=f"T{n}", incident_id=n) for n in range(ROWS))
    analyze()

    with CaptureQueriesContext(database) as captured:
        assert threads.incident_of(mail.pk, "T2127") == 2127

    assert "one_row_per_thread" in (plan := plan_of(captured)) or "sqlite_autoindex_connectors_begunthread" in plan


def test_the_same_mail_polled_again_is_kept_once_and_what_no_person_wrote_not_at_all(mail: Connection) -> None:
    told = [
        Inbound("a@x.test:0", "mail.received", payload("a@x.test")),
        Inbound("b@x.test:0", "mail.automatic", payload("b@x.test", automatic="bulk")),
        Inbound("sha256:abc", "mail.received", payload("")),
    ]
    conversations.remember("mail", told)
    conversations.remember("mail", told)

    assert EarlierMail.objects.get().identifier == "a@x.test"


def make_call(mail: Connection, thread: Any, incident: int | None = 7, **columns: Any) -> None:
    given = {"operation": "mail.send", "direction": "tell", "actor": "system:telling", "outcome": "ok", **columns}
    answer = {"version": "", "result": {"thread": thread}}
    Call.objects.create(connection=mail, started_at=db_now(), incident_id=incident, answer=answer, **given)


def make_delivery(mail: Connection, said: Any, *, key: str, event: str = "mail.received", days: float = 1) -> None:
    at = db_now() - timedelta(days=days)
    Delivery.objects.create(connection=mail, external_id=key, event=event, payload=said, received_at=at)


def test_what_came_before_is_written_down_once_in_batches(mail: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    migration = import_module("connectors.migrations.0008_threads")
    monkeypatch.setattr(migration, "BATCH", 2)
    make_call(mail, "T1", 7)
    make_call(mail, "T1", 8)
    make_call(mail, "T2", None)
    make_call(mail, "T3", 9)
    make_call(mail, ["odd"])
    make_call(mail, "T4", direction="write")
    named = payload("a@x.test", references=["b@x.test"], mentions={"order": ["SO-1"]})
    make_delivery(mail, named, key="a@x.test:0")
    make_delivery(mail, payload("c@x.test"), key="c@x.test:0", days=181)
    make_delivery(mail, payload("d@x.test"), key="d@x.test:0", event="mail.automatic")
    make_delivery(mail, [1], key="odd")
    make_delivery(mail, payload("e@x.test"), key="e@x.test:0")

    for _ in range(2):
        migration.forwards(apps, SimpleNamespace(connection=database))

    assert sorted(BegunThread.objects.values_list("thread", "incident_id")) == [("T1", 7), ("T3", 9)]
    assert [row.identifier for row in EarlierMail.objects.order_by("pk")] == ["a@x.test", "e@x.test"]
    first = EarlierMail.objects.earliest("pk")
    assert (first.references, first.mentions) == (["b@x.test"], {"order": ["SO-1"]})
