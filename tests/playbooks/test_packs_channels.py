"""What the demo's people and systems say of one order, by six ways, is one incident; nothing is lost or doubled."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from connectors import transport
from connectors.kit import credentials
from connectors.models import Delivery
from connectors.simulator.distributor import holding
from connectors.simulator.server import serve
from incidents.entity_models import Alias
from incidents.models import Comment, Incident, Signal
from incidents.states import Status
from playbooks.models import Plan
from tests.connectors.factories import HOOK_SECRET
from tests.factories import make_user
from tests.playbooks.driving import drive
from tests.playbooks.enterprise import Business, reach_by_hooks

pytestmark = pytest.mark.django_db
PACKS = ["o2c", "crosswise", "reports", "demo", "demo_crosswise", "demo_channels"]


@pytest.fixture
def business(db: None, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Business]:
    reach_by_hooks(monkeypatch)
    with serve(tmp_path, synchronous="OFF", mail=(0, 0)) as running:
        mail = running.server.control.mail or {}
        variables = {
            "URL": running.url, "SECRET": "simulator",
            "IMAP": mail["imap"].rpartition(":")[2], "SMTP": mail["smtp"].rpartition(":")[2],
        }  # fmt: skip
        for name, value in variables.items():
            monkeypatch.setenv(f"GOLDSEAM_SIMULATOR_{name}", value)
        monkeypatch.setenv("GOLDSEAM_HOOK_SECRET", HOOK_SECRET)
        monkeypatch.setenv("GOLDSEAM_SIGNING_SECRET", "whsec_" + "A" * 40)
        monkeypatch.setenv("GOLDSEAM_DEMO_PASSWORD", "correct horse battery staple")
        settings.OUTBOUND_ALLOW = [running.url.removeprefix("http://"), *mail.values()]
        credentials.forget_all()
        call_command("apply", pack=PACKS, stdout=io.StringIO())
        business = Business(running, idoc="sap", sf="crm", slack="slack")
        yield business
        business.http.close()
        transport.close_all()


@pytest.fixture
def day(business: Business) -> list[holding.Scene]:
    """All that the demo's people do, told and judged."""
    with business.running.store.read() as session:
        planned = holding.scenes(session)
    for moment in sorted({scene.at for scene in planned}):
        business.teller.play(planned, moment)
        business.tell()
    return planned


def stopped() -> Incident:
    return Incident.objects.filter(kind__code="held_elsewhere").earliest("pk")


def test_six_ways_tell_of_one_order_and_it_is_one_incident(day: Any) -> None:
    told = stopped().signals.values_list("source", flat=True)

    assert Counter(told) == {"dv": 1, "sap": 2, "crm": 1, "mail": 1, "slack": 1}
    assert Incident.objects.filter(entity_key=stopped().entity_key).count() == 1


def test_the_customers_second_mail_stands_with_the_incident_of_the_first(day: Any) -> None:
    comment = Comment.objects.get()

    assert comment.incident == stopped()
    assert comment.author.startswith("mail:purchasing@")
    assert comment.text.startswith("Any news?")


def test_what_people_write_of_other_things_ends_with_a_person_once(day: Any) -> None:
    others = Incident.objects.exclude(kind__code="held_elsewhere").order_by("pk")

    for incident in others:
        drive(incident)

    shown = [(one.kind.code, one.signals_count, one.status, one.queue.slug) for one in others.all()]
    assert shown == [
        ("reported_order", 2, Status.NEEDS_OPERATOR, "front-desk"),
        ("reported_message", 1, Status.NEEDS_OPERATOR, "front-desk"),
        ("reported_invoice", 1, Status.NEEDS_OPERATOR, "front-desk"),
    ]
    assert not Plan.objects.exists()


def test_a_machines_mail_is_kept_and_is_nobodys_problem(day: Any) -> None:
    assert list(Delivery.objects.filter(event="mail.automatic").values_list("outcome", flat=True)) == ["no_rule"]
    assert not Delivery.objects.exclude(outcome__in=("signal", "comment", "no_rule")).exists()


def test_told_and_polled_again_nothing_is_doubled(business: Business, day: Any) -> None:
    before = (Signal.objects.count(), Comment.objects.count(), Delivery.objects.count())
    with business.running.store.write() as session:
        session.set_meta("told", "0")

    business.tell()

    assert (Signal.objects.count(), Comment.objects.count(), Delivery.objects.count()) == before


def test_one_plan_mends_it_in_three_systems_and_answers_the_case(business: Business, day: Any) -> None:
    incident = drive(stopped())
    plan = Plan.objects.get(incident=incident)
    asked = ApprovalRequest.objects.get(incident_id=incident.pk)
    for name, role in (("ann", "approver"), ("carl", "compliance")):
        approvals.decide(asked, by=make_user(name, role=role), verdict="approve", digest=asked.digest)
        asked.refresh_from_db()
    drive(incident)

    assert [f"{step.connection}:{step.operation}" for step in plan.steps.order_by("number")] == [
        "sap:credit_block.release", "dv:record.update", "crm:case.comment", "crm:case.close"
    ]  # fmt: skip
    assert incident.status == Status.RESOLVED, incident.status_reason
    done = [row for row in business.effects() if row[0] in ("dv", "sap", "sf")]
    assert done == [("dv", "salesorder"), ("sap", "A_SalesOrder"), ("sf", "Case"), ("sf", "CaseComment")]


def test_an_order_that_somebody_says_is_held_and_nobody_holds_is_answered_by_a_person(business: Business) -> None:
    mail = {"from": "a@b.test", "subject": f"{business.number} on hold?", "text": "Why?", "id": "1@b.test"}
    business.http.post("/control/mail", json=mail).raise_for_status()
    business.tell()

    incident = drive(stopped())

    assert incident.entity_key == business.number
    assert incident.status == Status.NEEDS_OPERATOR
    assert incident.root_causes.get().cause == "held_nowhere"


def test_the_order_is_known_by_its_own_id_in_each_system(business: Business, day: Any) -> None:
    incident = drive(stopped())

    digits = incident.entity_key.removeprefix("SO-").lstrip("0")
    ids = Alias.objects.filter(type="order", resolves=True, field="")
    known = dict(ids.values_list("system", "value"))
    assert set(known) == {"fo", "sap", "dv", "crm"}
    assert known["sap"] == digits
    assert len(set(known.values())) == len(known)
