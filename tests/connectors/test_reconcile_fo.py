"""F&O's events read back, because it gives them up after three tries; and holds that a custom service changes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit.clock import db_now
from connectors import actions, gateway
from connectors.base import NotFound, Record, Unanswered, VersionConflict
from connectors.inbound import polling
from connectors.kinds.dynamics_fo import reconciling
from connectors.models import Connection, Delivery
from tests.connectors.business import ORDER, plant_invoice, plant_order
from tests.connectors.conftest import Simulated
from tests.connectors.factories import HOOK_SECRET

INVOICES = (
    "SalesInvoicePostedBusinessEvent: SalesInvoiceHeadersV2 by InvoiceDate, InvoiceId=InvoiceNumber,"
    " SalesOrderId=SalesOrderNumber"
)
SERVICES = {
    "release_hold_service": "CreditManagement/CreditHoldService/release",
    "place_hold_service": "CreditManagement/CreditHoldService/place",
}
KEY = "r" * 40


def configure(connection: Connection, **config: Any) -> Connection:
    return actions.update_connection(connection, actor="system:test", config={**connection.config, **config})


def invoice(simulated: Simulated, number: str, *, days: float = 0) -> None:
    at = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT12:00:00Z")
    plant_invoice(simulated, InvoiceNumber=number, InvoiceDate=at)


# --- events that are read back ---------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_an_event_that_was_lost_is_told_by_its_record_once(fo: Connection, simulated: Simulated) -> None:
    configure(fo, reconcile=INVOICES)
    invoice(simulated, "INV-1")

    first = polling.poll_one(Connection.objects.get())
    again = polling.poll_one(Connection.objects.get())

    assert (first.accepted, again.accepted, again.repeated) == (1, 0, 1)
    kept = Delivery.objects.get()
    assert (kept.event, kept.external_id) == (
        "SalesInvoicePostedBusinessEvent",
        "reconciled:SalesInvoicePostedBusinessEvent:SalesInvoiceHeadersV2:demf/INV-1",
    )
    assert kept.payload == {
        "BusinessEventId": "SalesInvoicePostedBusinessEvent", "BusinessEventLegalEntity": "demf",
        "InvoiceId": "INV-1", "SalesOrderId": ORDER, "Reconciled": True,
    }  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_two_days_are_always_asked_for_again_and_what_is_older_is_not(fo: Connection, simulated: Simulated) -> None:
    configure(fo, reconcile=INVOICES)
    for number, days in (("INV-NEW", 0), ("INV-LATE", 1.5), ("INV-OLD", 4)):
        invoice(simulated, number, days=days)

    told, _ = gateway.poll(Connection.objects.get(), db_now(), actor="system:poll")

    assert {inbound.payload["InvoiceId"] for inbound in told} == {"INV-NEW", "INV-LATE"}


@pytest.mark.django_db(transaction=True)
def test_where_no_event_is_named_nothing_is_asked(fo: Connection, simulated: Simulated) -> None:
    before = len(simulated.requests())

    assert gateway.poll(fo, None, actor="system:poll")[0] == []
    assert len(simulated.requests()) == before


@pytest.mark.django_db
def test_a_missing_control_number_is_no_alarm_and_the_same_one_again_adds_nothing(client: Any, fo: Connection) -> None:
    def deliver(control: int) -> dict[str, int]:
        event = {"BusinessEventId": "AlertEvent", "BusinessEventLegalEntity": "demf", "ControlNumber": control}
        answer = client.post("/api/v1/hooks/fo/", event, "application/json", headers={"X-Goldseam-Secret": HOOK_SECRET})
        return dict(answer.json())

    assert [deliver(number)["accepted"] for number in (5, 9, 9, 7)] == [1, 1, 0, 1]
    assert set(Delivery.objects.values_list("external_id", flat=True)) == {f"AlertEvent:{n}" for n in (5, 9, 7)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Posted SalesInvoiceHeadersV2", "is no line"),
        ("Posted: SalesInvoiceHeadersV2", "is no line"),
        ("Posted: Unheard by InvoiceDate", "the key of Unheard is not known"),
        ("Posted: SalesInvoiceHeadersV2 by InvoiceDate, InvoiceId", "Member=Field"),
        ("Posted: SalesInvoiceHeadersV2 by InvoiceDate eq 1 or", "is no line"),
        ("\n".join(["Posted: SalesInvoiceHeadersV2 by InvoiceDate"] * 21), "at most 20"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_with_its_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        reconciling.lines_of(text)
    with pytest.raises(actions.Invalid) as refused:
        actions.valid_config(
            "dynamics_fo",
            {"environment_url": "https://fo.test", "tenant": "t", "client_id": "c", "reconcile": text},
        )
    assert says in str(refused.value.errors["reconcile"])


def test_a_long_key_is_known_by_its_digest() -> None:
    row = Record("fo", "SalesInvoiceHeadersV2", "demf/" + "9" * 300, "", {"dataAreaId": "demf", "InvoiceDate": None})
    [line] = reconciling.lines_of(INVOICES)
    found = reconciling._inbound(line, row)

    assert (len(found.external_id), found.occurred_at) == (len("reconciled:") + 64, None)


# --- holds by a custom service ---------------------------------------------------------------------
@pytest.fixture
def served(fo: Connection, simulated: Simulated) -> Connection:
    plant_order(simulated)
    return configure(fo, **SERVICES)


def change(connection: Connection, operation: str = "hold.release", **options: Any) -> gateway.Answer:
    arguments = {"company": "demf", "order": ORDER, "reason": "Paid"}
    return gateway.call(connection, operation, arguments, actor="system:loop", effect_key=KEY, **options)


def held(connection: Connection) -> Any:
    arguments = {"company": "demf", "order": ORDER, "reason": "Paid"}
    return gateway.observe(connection, "hold.release", arguments, actor="system:loop")[0]


@pytest.mark.django_db(transaction=True)
def test_a_hold_is_released_by_the_service_and_read_back(served: Connection, simulated: Simulated) -> None:
    before = held(served)
    change(served, version=before.version)

    assert (before.fields["CreditHold"], held(served).fields["CreditHold"]) == ("Yes", "No")
    assert len(simulated.effects(KEY)) == 1
    assert any(
        "/api/services/CreditManagement/CreditHoldService/release" in row["path"] for row in simulated.requests()
    )


@pytest.mark.django_db(transaction=True)
def test_its_undo_goes_by_the_other_service(served: Connection, simulated: Simulated) -> None:
    change(served)
    arguments = {"company": "demf", "order": ORDER, "reason": "Undo"}
    gateway.call(served, "hold.place", arguments, actor="system:loop", effect_key="u" * 40)

    assert held(served).fields["CreditHold"] == "Yes"


@pytest.mark.django_db(transaction=True)
def test_an_order_that_was_changed_is_left_alone_though_the_service_knows_no_etag(
    served: Connection, simulated: Simulated
) -> None:
    before = held(served)
    simulated.edit("fo", "SalesOrderHeadersV2", ORDER, CreditHoldReason="Somebody")

    with pytest.raises(VersionConflict):
        change(served, version=before.version)
    assert simulated.effects(KEY) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503"])
def test_a_lost_answer_of_the_service_is_found_by_its_reference(
    served: Connection, simulated: Simulated, fault: str
) -> None:
    simulated.fault(fault, "api/services")
    with pytest.raises(Unanswered):
        change(served)
    arguments = {"company": "demf", "order": ORDER, "reason": "Paid"}
    found = gateway.find(served, "hold.release", arguments, effect_key=KEY, actor="system:loop")

    assert found is not None
    assert len(simulated.effects(KEY)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_service_that_is_not_there_says_so_and_changes_nothing(served: Connection, simulated: Simulated) -> None:
    missing = configure(served, release_hold_service="CreditManagement/CreditHoldService/forget")

    with pytest.raises(NotFound):
        change(missing)
    assert held(missing).fields["CreditHold"] == "Yes"


@pytest.mark.parametrize("path", ["release", "a/b", "a/b/c/d", "../b/c", "a/b/c?x=1", "https://other.test/b/c"])
def test_a_service_is_named_by_group_service_and_operation(path: str) -> None:
    with pytest.raises(actions.Invalid) as refused:
        actions.valid_config(
            "dynamics_fo",
            {"environment_url": "https://fo.test", "tenant": "t", "client_id": "c", "release_hold_service": path},
        )
    assert "release_hold_service" in refused.value.errors
