"""The packs' rules for cases that are created or changed: of Dataverse and of Salesforce, about the same orders."""

from typing import Any

import pytest
from django.core.management import call_command

from connectors.inbound import polling, webhooks
from connectors.models import Connection
from connectors.simulator import telling
from connectors.simulator.telling import Change
from incidents.entity_models import Entity
from incidents.models import ExceptionKind, Incident
from incidents.states import Status
from playbooks.manifests.installer import PACKS
from tests.connectors.business import CUSTOMER, ORDER, plant_case, plant_order
from tests.connectors.conftest import Simulated
from tests.connectors.factories import make_crm, make_dv, make_fo
from tests.tickets.worlds import judge, look_into

pytestmark = pytest.mark.django_db
WHEN = "2026-11-03T12:00:00.000Z"


@pytest.fixture
def dv(simulated: Simulated) -> Connection:
    """F&O and Dataverse with one order in both, and the pack."""
    make_fo(f"{simulated.url}/fo", secret="simulator")
    plant_order(simulated, Region="DE")
    call_command("apply", *sorted(map(str, (PACKS / "tickets").glob("*.yaml"))), verbosity=0)
    config = {"tables": "incident, annotation", "tracked": "incident"}
    return make_dv(f"{simulated.url}/dv", secret="simulator", operations=["case.tell"], poll=True, config=config)


def opened(simulated: Simulated, **changes: Any) -> dict[str, Any]:
    case = {"title": f"Where is {ORDER}?", "new_ordernumber": ORDER, "prioritycode": 1}
    return simulated.plant("dv", "incident", **{**case, **changes})


def told(dv: Connection, number: int, before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[str]:
    """Let Dataverse tell of a change by its webhook, and judge it."""
    message = telling.message_of(Change(number, WHEN, "dv", "incident", before, after))
    assert message is not None
    webhooks.receive(dv, message.body, message.headers)
    return judge()


def test_a_case_that_is_opened_in_dataverse_is_an_incident_with_its_order(simulated: Simulated, dv: Connection) -> None:
    case = opened(simulated)

    assert told(dv, 1, None, case) == ["signal"]
    incident = look_into(Incident.objects.get())

    assert (incident.code, incident.entity_key) == ("service_case", case["ticketnumber"])
    assert (incident.status, incident.severity, incident.queue.slug) == (
        Status.NEEDS_OPERATOR, "medium", "service-desk",
    )  # fmt: skip
    assert set(incident.evidence.filter(form="record").values_list("name", "entity")) == {
        ("request", "incident"), ("order", "SalesOrderHeadersV2"),
    }  # fmt: skip
    assert {(one.type, one.label) for one in Entity.objects.all()} == {
        ("case", case["ticketnumber"]), ("order", ORDER), ("account", CUSTOMER),
    }  # fmt: skip
    assert list(incident.tickets.values_list("key", flat=True)) == [case["incidentid"]]


def test_a_case_that_is_changed_joins_its_incident_and_says_what_changed(simulated: Simulated, dv: Connection) -> None:
    case = opened(simulated, prioritycode=2)
    told(dv, 1, None, case)
    changed = {**case, "prioritycode": 1}

    assert told(dv, 2, case, changed) == ["signal"]
    incident = Incident.objects.get()
    assert incident.signals_count == 2
    assert incident.signals.order_by("-pk").first().raw["Target"]["prioritycode"] == 1
    assert told(dv, 3, changed, {**changed, "modifiedon": WHEN}) == ["nothing_wrong"]


def test_change_tracking_finds_it_as_well_and_it_is_the_same_incident(simulated: Simulated, dv: Connection) -> None:
    case = opened(simulated)
    told(dv, 1, None, case)
    polling.poll_one(dv)
    judge()

    assert Incident.objects.get().entity_key == case["ticketnumber"]


@pytest.mark.parametrize("state", [(1, 5), (2, 6)])
def test_a_case_that_was_closed_before_it_could_be_read_is_none(
    simulated: Simulated, dv: Connection, state: tuple[int, int]
) -> None:
    case = opened(simulated, statecode=state[0], statuscode=state[1])

    assert told(dv, 1, None, case) == ["nothing_wrong"]
    assert Incident.objects.count() == 0


def test_a_case_that_is_resolved_there_closes_its_incident(simulated: Simulated, dv: Connection) -> None:
    case = opened(simulated)
    told(dv, 1, None, case)
    incident = look_into(Incident.objects.get())
    simulated.edit("dv", "incident", case["incidentid"], statecode=1, statuscode=5)

    told(dv, 2, case, {**case, "statecode": 1, "statuscode": 5})

    incident.refresh_from_db()
    assert look_into(incident).status == Status.DISMISSED
    assert "the case is closed." in incident.status_reason


def test_a_deleted_case_raises_nothing(simulated: Simulated, dv: Connection) -> None:
    case = opened(simulated)

    assert told(dv, 1, case, None) == ["no_rule"]


def test_cases_of_both_systems_about_one_order_lead_to_the_same_order(simulated: Simulated, dv: Connection) -> None:
    make_crm(f"{simulated.url}/sf", secret="simulator", poll=True)
    call_command("apply", *sorted(map(str, (PACKS / "o2c").glob("*.yaml"))), verbosity=0)
    ExceptionKind.objects.exclude(code__in=("customer_request", "service_case")).update(enabled=False)
    plant_case(simulated, Business_Unit__c="EU", Region__c="DE")
    polling.poll_one(Connection.objects.get(slug="crm"))
    told(dv, 1, None, opened(simulated))
    judge()
    for incident in Incident.objects.all():
        look_into(incident)

    order = Entity.objects.get(type="order")
    assert {mention.incident.code for mention in order.mentions.select_related("incident")} == {
        "customer_request", "service_case",
    }  # fmt: skip
    assert {(one.tickets.get().system) for one in Incident.objects.all()} == {"crm", "dv"}


def test_the_planted_businesses_have_cases_about_the_same_orders(simulated: Simulated) -> None:
    simulated.client.post("/control/reset", json={"business": "demo"}).raise_for_status()
    rows = simulated.client.get("/control/records", params={"system": "dv", "entity": "incident"}).json()
    orders = simulated.client.get("/control/records", params={"system": "fo", "entity": "SalesOrderHeadersV2"}).json()

    named = [row["fields"]["new_ordernumber"] for row in rows]
    assert len(named) == 3
    assert set(named) <= {row["fields"]["SalesOrderNumber"] for row in orders}
    simulated.client.post("/control/reset", json={"business": "empty"}).raise_for_status()
