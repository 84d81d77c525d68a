"""What the demo's detectors find, through the loop: told with what F&O says of the order, and handed to an operator."""

from datetime import UTC, datetime

import pytest

from connectors.simulator.distributor.business import planted
from connectors.simulator.server import serve
from incidents.intake import accept
from incidents.models import Incident, Statement
from incidents.normal import NormalSignal
from incidents.states import Status
from tests.playbooks import distributor
from tests.playbooks.driving import drive

pytestmark = pytest.mark.django_db
TOLD = "credit-eu-1 did both “Release credit hold” and “Confirm order”."
KINDS = ("duty_conflict", "slow_carrier", "price_rework", "skipped_goods_issue", "blocked_item", "slow_payment")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("simulator"), port=0, synchronous="OFF") as running:
        yield running


@pytest.fixture(autouse=True)
def installed(db, simulator, settings, monkeypatch):
    distributor.lead_to(simulator.url, settings, monkeypatch)
    distributor.install(simulator.url, "demo", "o2c")


def found(code, entity_type, entity_key, *, source="goldseam:detector:one"):
    one = NormalSignal(
        source=source, id=f"{code}:{entity_key}", time=datetime.now(UTC), channel="detector", code=code,
        entity_type=entity_type, entity_key=entity_key, business_unit="EU", text=TOLD,
    )  # fmt: skip
    return Incident.objects.get(pk=accept(one).incident.pk)


def an_order():
    return next(fact.order for fact in planted() if fact.business_unit == "EU")


def sentences(incident):
    rows = Statement.objects.filter(root_cause__incident=incident, verdict=Statement.Verdict.HOLDS)
    return " ".join(rows.values_list("text", flat=True))


@pytest.mark.parametrize("code", KINDS)
def test_a_finding_about_an_order_goes_to_an_operator_with_what_log_and_fo_say(code):
    order = an_order()

    incident = drive(found(code, "order", order))

    assert incident.status == Status.NEEDS_OPERATOR
    assert incident.status_reason
    assert TOLD in sentences(incident)
    assert f"F&O has order {order}" in sentences(incident)


def test_a_finding_about_a_region_rests_on_the_log_alone():
    incident = drive(found("order_intake_break", "series", "new cases per day"))

    assert incident.status == Status.NEEDS_OPERATOR
    assert TOLD in sentences(incident)


def test_what_somebody_else_says_is_not_told_as_a_detectors_word():
    incident = drive(found("duty_conflict", "order", an_order(), source="urn:distributor:edi-gateway"))

    assert incident.status == Status.NEEDS_OPERATOR
    assert TOLD not in sentences(incident)
