"""Bound actions of F&O: credit notes, their reversal, credit holds, and the closed period."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.simulator.bench import Bench

NAMESPACE = "Microsoft.Dynamics.DataEntities"
INVOICE = "SalesInvoiceHeadersV2(dataAreaId='demf',InvoiceNumber='INV-1')"
ORDER = "SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"


@pytest.fixture
def billed(sim: Bench) -> Bench:
    """A customer who owes one invoice of 250.10 and 1,000 besides."""
    sim.plant("fo", "CustomersV3", dataAreaId="demf", CustomerAccount="DE-001", OpenBalance=1250.1)
    sim.invoice("INV-1", 250.1)
    return sim


@pytest.fixture
def held(sim: Bench) -> Bench:
    """An order on credit hold."""
    state = {"CreditHold": "Yes", "CreditHoldReason": "Overdue", "SalesOrderProcessingStatus": "OnHold"}
    sim.order("SO-1", **state)
    return sim


def act(bench: Bench, record: str, action: str, **body: Any) -> httpx.Response:
    return bench.fo("POST", f"{record}/{NAMESPACE}.{action}", json=body)


def notes(bench: Bench) -> list[dict[str, Any]]:
    rows = bench.http.get("/control/records", params={"system": "fo", "entity": "FreeTextInvoiceHeaders"}).json()
    return [row["fields"] for row in rows]


def note_address(bench: Bench) -> str:
    return f"FreeTextInvoiceHeaders(dataAreaId='demf',InvoiceIdentifier={notes(bench)[-1]['InvoiceIdentifier']})"


def message(answer: httpx.Response) -> str:
    text: str = answer.json()["error"]["innererror"]["message"]
    return text


def close_period(bench: Bench, status: str = "Closed") -> None:
    month = datetime.now(UTC).strftime("%Y-%m")
    answer = bench.http.post("/control/period", json={"period": month, "status": status})
    assert answer.status_code == 200


def test_a_credited_invoice_owes_nothing_and_names_its_credit_note(billed: Bench):
    answer = act(billed, INVOICE, "CreditInvoice", Reason="Duplicate", Reference="key-1")

    invoice = billed.truth("fo", "SalesInvoiceHeadersV2", "INV-1")
    assert answer.status_code == 200
    assert answer.json()["value"] == invoice["CreditNoteNumber"] == "CN-900001"
    assert (invoice["CreditedAmount"], invoice["RemainingAmount"]) == (250.1, 0)


def test_a_credit_note_is_a_posted_correction_that_carries_the_callers_mark(billed: Bench):
    act(billed, INVOICE, "CreditInvoice", Reason="Duplicate", Reference="key-1")

    found = billed.fo("GET", "FreeTextInvoiceHeaders", params={"$filter": "CustomerReference eq 'key-1'"}).json()
    (note,) = found["value"]
    assert (note["IsPosted"], note["IsCorrection"], note["IsReversed"]) == ("Yes", "Yes", "No")
    assert (note["CorrectedInvoiceId"], note["InvoiceAmount"]) == ("INV-1", -250.1)


def test_a_credit_note_lowers_the_customers_balance_unasked(billed: Bench):
    act(billed, INVOICE, "CreditInvoice", Reference="key-1")

    assert billed.truth("fo", "CustomersV3", "DE-001")["OpenBalance"] == 1000
    assert [(row["entity"], row["kind"], row["effect_key"]) for row in billed.effects()] == [
        ("SalesInvoiceHeadersV2", "action:CreditInvoice", "key-1"),
        ("FreeTextInvoiceHeaders", "side_effect", "key-1"),
        ("CustomersV3", "side_effect", "key-1"),
    ]


def test_crediting_a_part_twice_makes_two_notes(billed: Bench):
    first = act(billed, INVOICE, "CreditInvoice", Amount=100, Reference="key-1")
    second = act(billed, INVOICE, "CreditInvoice", Amount=100, Reference="key-1")

    assert first.json()["value"] != second.json()["value"]
    assert billed.truth("fo", "SalesInvoiceHeadersV2", "INV-1")["RemainingAmount"] == 50.1
    assert [note["InvoiceAmount"] for note in notes(billed)] == [-100, -100]


def test_an_invoice_credited_in_full_is_not_credited_again(billed: Bench):
    act(billed, INVOICE, "CreditInvoice", Reference="key-1")

    answer = act(billed, INVOICE, "CreditInvoice", Reference="key-1")

    assert answer.status_code == 400
    assert "Infolog: Error: Invoice INV-1 is already credited in full." in message(answer)
    assert len(notes(billed)) == 1


@pytest.mark.parametrize("amount", [0, -5, 250.11, "250.10", True])
def test_a_credit_beyond_what_is_left_is_refused(billed: Bench, amount: object):
    answer = act(billed, INVOICE, "CreditInvoice", Amount=amount)

    assert answer.status_code == 400
    assert billed.effects() == []


def test_nothing_is_credited_in_a_closed_period(billed: Bench):
    close_period(billed)

    answer = act(billed, INVOICE, "CreditInvoice", Reference="key-1")

    assert answer.status_code == 400
    assert "is closed; posting is not allowed" in message(answer)
    assert notes(billed) == []


def test_a_period_that_opens_again_lets_the_credit_through(billed: Bench):
    close_period(billed)
    close_period(billed, "Open")

    assert act(billed, INVOICE, "CreditInvoice", Reference="key-1").status_code == 200


def test_one_companys_period_does_not_close_the_others(billed: Bench):
    month = datetime.now(UTC).strftime("%Y-%m")

    billed.http.post("/control/period", json={"period": month, "status": "Closed", "company": "usmf"})

    assert act(billed, INVOICE, "CreditInvoice", Reference="key-1").status_code == 200


def test_a_reversed_credit_note_puts_invoice_and_balance_back(billed: Bench):
    before = billed.truth("fo", "SalesInvoiceHeadersV2", "INV-1")
    act(billed, INVOICE, "CreditInvoice", Reference="key-1")

    answer = act(billed, note_address(billed), "ReverseCreditNote", Reason="Undo", Reference="key-2")

    assert answer.status_code == 200
    assert billed.truth("fo", "SalesInvoiceHeadersV2", "INV-1") == before
    assert billed.truth("fo", "CustomersV3", "DE-001")["OpenBalance"] == 1250.1
    assert (notes(billed)[0]["IsReversed"], notes(billed)[0]["ReversalReference"]) == ("Yes", "key-2")


def test_a_reversal_leaves_one_primary_effect_under_its_own_key(billed: Bench):
    act(billed, INVOICE, "CreditInvoice", Reference="key-1")
    act(billed, note_address(billed), "ReverseCreditNote", Reference="key-2")

    mine = [row for row in billed.effects() if row["effect_key"] == "key-2"]
    assert [(row["entity"], row["kind"]) for row in mine] == [
        ("FreeTextInvoiceHeaders", "action:ReverseCreditNote"),
        ("SalesInvoiceHeadersV2", "side_effect"),
        ("CustomersV3", "side_effect"),
    ]


def test_a_credit_note_is_reversed_once(billed: Bench):
    act(billed, INVOICE, "CreditInvoice", Reference="key-1")
    act(billed, note_address(billed), "ReverseCreditNote", Reference="key-2")

    answer = act(billed, note_address(billed), "ReverseCreditNote", Reference="key-2")

    assert answer.status_code == 400
    assert "already reversed" in message(answer)


def test_a_credit_note_is_not_reversed_in_a_closed_period(billed: Bench):
    act(billed, INVOICE, "CreditInvoice", Reference="key-1")
    close_period(billed)

    answer = act(billed, note_address(billed), "ReverseCreditNote", Reference="key-2")

    assert answer.status_code == 400
    assert billed.truth("fo", "CustomersV3", "DE-001")["OpenBalance"] == 1000


def test_reversing_one_of_two_part_credits_keeps_the_other(billed: Bench):
    act(billed, INVOICE, "CreditInvoice", Amount=100, Reference="key-1")
    act(billed, INVOICE, "CreditInvoice", Amount=50, Reference="key-2")

    act(billed, note_address(billed), "ReverseCreditNote", Reference="key-3")

    invoice = billed.truth("fo", "SalesInvoiceHeadersV2", "INV-1")
    assert (invoice["CreditedAmount"], invoice["RemainingAmount"]) == (100, 150.1)
    assert invoice["CreditNoteNumber"]


def test_a_draft_is_no_credit_note(sim: Bench):
    sim.plant("fo", "FreeTextInvoiceHeaders", dataAreaId="demf", InvoiceIdentifier=1)

    answer = act(sim, "FreeTextInvoiceHeaders(dataAreaId='demf',InvoiceIdentifier=1)", "ReverseCreditNote")

    assert answer.status_code == 400


def test_a_released_order_moves_on_and_says_by_whom(held: Bench):
    answer = act(held, ORDER, "ReleaseCreditHold", Reason="Paid", Reference="key-1")

    order = held.truth("fo", "SalesOrderHeadersV2", "SO-1")
    assert answer.json()["value"] == "No"
    assert (order["CreditHold"], order["CreditHoldReason"], order["CreditHoldReference"]) == ("No", "Paid", "key-1")
    assert order["SalesOrderProcessingStatus"] == "Confirmed"


def test_a_hold_that_is_placed_again_stops_the_order(held: Bench):
    act(held, ORDER, "ReleaseCreditHold", Reason="Paid", Reference="key-1")

    act(held, ORDER, "PlaceCreditHold", Reason="Overdue", Reference="key-2")

    order = held.truth("fo", "SalesOrderHeadersV2", "SO-1")
    assert (order["CreditHold"], order["SalesOrderProcessingStatus"]) == ("Yes", "OnHold")
    assert [row["kind"] for row in held.effects()] == ["action:ReleaseCreditHold", "action:PlaceCreditHold"]


@pytest.mark.parametrize(("first", "again"), [("ReleaseCreditHold", "not"), ("PlaceCreditHold", "already")])
def test_an_action_that_has_nothing_to_do_is_refused(held: Bench, first: str, again: str):
    if first == "ReleaseCreditHold":
        act(held, ORDER, "ReleaseCreditHold")

    answer = act(held, ORDER, first)

    assert answer.status_code == 400
    assert f"is {again} on credit hold" in message(answer)


def test_an_action_honours_if_match(held: Bench):
    etag = held.fo("GET", ORDER).json()["@odata.etag"]
    held.fo("PATCH", ORDER, json={"DeliveryModeCode": "X"})

    path = f"{ORDER}/{NAMESPACE}.ReleaseCreditHold"
    answer = held.fo("POST", path, json={}, headers={"If-Match": etag})

    assert answer.status_code == 412
    assert held.truth("fo", "SalesOrderHeadersV2", "SO-1")["CreditHold"] == "Yes"


def test_an_unknown_action_is_a_404_and_an_unknown_parameter_a_400(held: Bench):
    unknown = act(held, ORDER, "ShipForFree")
    extra = act(held, ORDER, "ReleaseCreditHold", Force=True)
    wrong = act(held, ORDER, "ReleaseCreditHold", Reason=5)

    assert (unknown.status_code, extra.status_code, wrong.status_code) == (404, 400, 400)
    assert held.effects() == []


def test_the_custom_service_releases_and_places_holds_too(held: Bench):
    body = {"company": "demf", "salesOrderId": "SO-1", "Reason": "Paid", "Reference": "key-1"}
    url = "/fo/api/services/CreditManagement/CreditHoldService"

    released = held.http.post(f"{url}/release", json=body, headers=held.fo_auth)
    placed = held.http.post(f"{url}/place", json=body, headers=held.fo_auth)

    assert (released.json(), placed.json()) == ({"CreditHold": "No"}, {"CreditHold": "Yes"})
    assert {row["effect_key"] for row in held.effects()} == {"key-1"}


@pytest.mark.parametrize("operation", ["CreditHoldService/explode", "CreditHoldService/release"])
def test_a_custom_service_without_its_target_is_a_404(sim: Bench, operation: str):
    answer = sim.http.post(f"/fo/api/services/CreditManagement/{operation}", json={}, headers=sim.fo_auth)

    assert answer.status_code == 404
