"""One incident over HTTP: its cause, its evidence, its timeline, its history, and what other floors know of it."""

from decimal import Decimal

import pytest

from audit.clock import db_now
from audit.proofs import digest
from incidents import contributions
from incidents.actions import change, comment, move
from incidents.contributions import Happening
from incidents.models import Citation, Escalation, Evidence, Incident, RootCause, Statement
from tests.incidents.factories import later, make_incident, make_kind, make_policy

pytestmark = pytest.mark.django_db


def url(incident: Incident, part: str = "") -> str:
    return f"/api/v1/incidents/{incident.pk}/{part}"


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Without what the floors above contribute."""
    for name in ("_parts", "_tellers", "_waiting"):
        monkeypatch.setattr(contributions, name, {})


@pytest.fixture
def incident(db):
    make_kind()
    make_policy()
    return make_incident()


def make_record(incident: Incident, name: str = "invoice", round_: int = 1) -> Evidence:
    content = {"InvoiceNumber": "CIV-000697", "Amount": 1234.5}
    return Evidence.objects.create(
        incident=incident,
        form="record",
        name=name,
        system="fo",
        entity="SalesInvoiceHeadersV2",
        record_id="demf/CIV-000697",
        version='W/"7"',
        captured_at=later(1),
        digest=digest(content),
        content=content,
        round=round_,
    )


def diagnose(incident: Incident, round_: int = 1) -> RootCause:
    return RootCause.objects.create(
        incident=incident,
        round=round_,
        engine="built-in",
        cause="sent_twice",
        summary="Sent twice.",
        created_at=later(2),
        inputs_digest="0" * 64,
    )


def state(cause: RootCause, number: int, verdict: str, *evidence: Evidence) -> Statement:
    statement = Statement.objects.create(
        root_cause=cause,
        number=number,
        hypothesis=f"h{number}",
        text=f"Statement {number}",
        grade="observed",
        verdict=verdict,
        refuted_by="amounts differ" if verdict == "ruled_out" else "",
    )
    for row in evidence:
        Citation.objects.create(statement=statement, evidence=row, field="Amount", value=1234.5)
    return statement


def test_an_incident_reads_as_the_contract_says(api, viewer, incident):
    answer = api(viewer).get(url(incident))

    body = answer.json()
    named = {"status", "severity", "domain", "revenue_at_risk", "entity", "business_unit", "region", "signals_count"}
    assert named | {"sla", "root_cause", "plan", "approval", "execution", "outcome"} <= body.keys()
    assert {"acknowledge_due", "resolve_due", "breached"} <= body["sla"].keys()
    assert [body[name] for name in ("root_cause", "plan", "approval", "execution", "outcome")] == [None] * 5
    assert (body["entity"], body["signals_count"]) == ({"type": "invoice", "key": "CIV-000697"}, 1)
    assert answer["ETag"] == '"1"'


def test_the_cause_tells_what_holds_first_and_what_was_ruled_out_apart(api, viewer, incident):
    invoice, twin = make_record(incident), make_record(incident, "twin")
    diagnose(incident, 1)
    cause = diagnose(incident, 2)
    state(cause, 1, "ruled_out", invoice)
    state(cause, 2, "untested")
    state(cause, 3, "holds", twin, invoice, twin)

    body = api(viewer).get(url(incident)).json()["root_cause"]

    assert (body["engine"], body["cause"], body["summary"], body["round"]) == (
        "built-in",
        "sent_twice",
        "Sent twice.",
        2,
    )
    assert [one["verdict"] for one in body["statements"]] == ["holds", "untested"]
    assert body["statements"][0]["citations"] == [twin.pk, invoice.pk]
    assert body["statements"][0]["checks"][0] == {"evidence": twin.pk, "field": "Amount", "value": 1234.5, "held": True}
    assert (body["ruled_out"][0]["refuted_by"], body["ruled_out"][0]["citations"]) == ("amounts differ", [invoice.pk])


def test_the_floors_above_add_their_parts(api, viewer, incident):
    contributions.contribute("plan", lambda one, user: {"incident": one.pk, "for": user.username})
    contributions.contribute("approval", lambda one, user: None)

    body = api(viewer).get(url(incident)).json()

    assert body["plan"] == {"incident": incident.pk, "for": "viewer"}
    assert (body["approval"], body["execution"]) == (None, None)


def test_money_has_two_places_and_its_currency(api, viewer, incident):
    Incident.objects.update(revenue_at_risk=Decimal("0.1"))

    assert api(viewer).get(url(incident)).json()["revenue_at_risk"] == {"amount": "0.10", "currency": "EUR"}


def test_the_version_rises_with_each_change(api, operator, incident):
    change(incident, "incident.renamed", actor="operator", title="Another title")

    assert api(operator).get(url(incident))["ETag"] == '"2"'


# --- Evidence --------------------------------------------------------------------------------------


def test_evidence_shows_where_it_comes_from_and_its_digest(api, viewer, incident):
    record = make_record(incident)

    rows = api(viewer).get(url(incident, "evidence/")).json()["results"]

    assert [row["form"] for row in rows] == ["signal", "record"]
    assert rows[1] == {
        "id": record.pk,
        "form": "record",
        "name": "invoice",
        "round": 1,
        "system": "fo",
        "entity": "SalesInvoiceHeadersV2",
        "record_id": "demf/CIV-000697",
        "version": 'W/"7"',
        "captured_at": "2026-11-03T12:01:00Z",
        "digest": digest(record.content),
        "content": record.content,
        "url": "",
        "signal": None,
    }
    assert rows[0]["signal"] == incident.signals.get().pk


def test_evidence_is_paged_and_filtered(api, viewer, incident):
    rows = [make_record(incident, round_=round_) for round_ in (1, 1, 2)]
    client = api(viewer)

    page = client.get(url(incident, "evidence/?page_size=2&form=record")).json()
    last = client.get(page["next"]).json()

    assert [row["id"] for row in page["results"] + last["results"]] == [row.pk for row in rows]
    assert [row["id"] for row in client.get(url(incident, "evidence/?round=2")).json()["results"]] == [rows[2].pk]


# --- Timeline and history --------------------------------------------------------------------------


def test_the_timeline_tells_everything_in_order(api, operator, incident):
    contributions.contribute_happenings(
        "test", lambda one, user: [Happening(later(9_999_999), "execution", "system:loop", "Step 1 sent", {"step": 1})]
    )
    move(incident, "needs_operator", actor="system:loop", reason="No playbook.")
    comment(incident, by=operator, text="I ask the customer.")
    Escalation.objects.create(incident=incident, level=1, role="approver", justification="Late.", created_at=db_now())

    lines = api(operator).get(url(incident, "timeline/")).json()["results"]

    assert [line["what"] for line in lines] == ["signal", "entry", "entry", "comment", "escalation", "execution"]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    assert lines[0]["data"]["signal"] == incident.signals.get().pk
    assert (lines[2]["data"]["verb"], lines[2]["data"]["reason"]) == ("incident.needs_operator", "No playbook.")
    assert lines[2]["data"]["before"] == {"status": "new"}
    assert (lines[3]["actor"], lines[3]["text"]) == ("operator", "I ask the customer.")
    assert lines[5]["data"] == {"step": 1}


def test_the_timeline_is_paged(api, operator, incident):
    for number in range(4):
        comment(incident, by=operator, text=f"Comment {number}")
    client = api(operator)

    first = client.get(url(incident, "timeline/?page_size=4")).json()
    second = client.get(first["next"]).json()

    assert [line["text"] for line in second["results"]] == ["Comment 2", "Comment 3"]
    assert (first["previous"], second["next"]) == (None, None)
    assert client.get(second["previous"]).json()["results"] == first["results"]


def test_history_tells_each_field_before_and_after(api, operator, incident):
    change(incident, "incident.assigned", actor="operator", reason="Mine.", by=operator, assignee_id=operator.pk)

    lines = api(operator).get(url(incident, "history/")).json()["results"]

    assert (lines[0]["who"], lines[0]["reason"], lines[0]["act"]) == ("operator", "Mine.", "changed")
    assert {"field": "assignee", "label": "Assignee", "before": None, "after": "operator"} in lines[0]["changes"]
    assert lines[-1]["act"] == "added"


@pytest.mark.parametrize("part", ["", "evidence/", "timeline/", "history/"])
def test_what_is_not_yours_to_see_is_not_there(api, viewer, part):
    elsewhere = make_incident(business_unit="US", region="US-EAST")

    answer = api(viewer).get(url(elsewhere, part))

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("part", ["", "evidence/", "timeline/", "history/"])
def test_without_a_token_nothing_is_told(api, incident, part):
    assert api().get(url(incident, part)).status_code == 401


def test_one_incident_takes_a_constant_number_of_statements(api, viewer, incident, django_assert_num_queries):
    client = api(viewer)
    cause = diagnose(incident)
    state(cause, 1, "holds", make_record(incident))
    client.get(url(incident))  # the first call notes that the token is in use
    with django_assert_num_queries(8):
        client.get(url(incident))

    for number in range(2, 9):
        state(cause, number, "holds", make_record(incident), make_record(incident))
    with django_assert_num_queries(8):
        client.get(url(incident))
