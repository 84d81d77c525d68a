"""SAP orders cancelled and entered anew: links kept, stock and credit let go and taken again, and all of it undone."""

from typing import Any

import pytest

from connectors import gateway, registry
from connectors.base import NotFound, Refused, Unanswered, VersionConflict, Write
from connectors.kinds.sap import odata
from connectors.kinds.sap.orders import mark
from connectors.models import Connection
from tests.connectors.conftest import Simulated
from tests.connectors.sap_world import REPLACE, SERVICES, WRONG, make_sap, plant_wrong_order

KEY, SECOND, BACK, AGAIN = "a" * 40, "b" * 40, "c" * 40, "d" * 40
REJECT = {"order": WRONG, "reason": "Z9"}
CREDIT = {"services": f"{SERVICES}, Z_CREDIT_ACCOUNT_SRV", "credit_set": "Z_CREDIT_ACCOUNT_SRV/CreditAccountSet"}


@pytest.fixture
def sap(db: None, simulated: Simulated) -> Connection:
    """An order that was entered for the wrong sales organization: it holds all the lamps, and most of the credit."""
    plant_wrong_order(simulated)
    return make_sap(simulated.url, secret="simulator", config=CREDIT)


def do(sap: Connection, name: str, given: dict[str, Any], key: str = KEY, version: str = "") -> gateway.Answer:
    return gateway.call(sap, name, given, actor="test", effect_key=key, version=version)


def seen(sap: Connection, name: str, given: dict[str, Any]) -> list[Any]:
    return list(gateway.observe(sap, name, given, actor="test"))


def foreseen(sap: Connection, name: str, given: dict[str, Any]) -> tuple[Write, Any, list[Any]]:
    write = registry.operation_of(sap, name)
    assert isinstance(write, Write)
    records = seen(sap, name, given)
    return write, write.arguments.model_validate(given), records


def truth(simulated: Simulated, entity: str, key: str) -> dict[str, Any]:
    given = {"system": "sap", "entity": entity, "key": key}
    return dict(simulated.client.get("/control/records", params=given).raise_for_status().json()["fields"])


def stands(simulated: Simulated, order: str = WRONG) -> tuple[Any, ...]:
    """What an order asks for: lamps and shades that are confirmed, its worth, its state."""
    lines = [truth(simulated, "A_SalesOrderScheduleLine", f"{order}/{item}/1") for item in ("10", "20")]
    head = truth(simulated, "A_SalesOrder", order)
    confirmed = [float(line["ConfdOrderQtyByMatlAvailCheck"]) for line in lines]
    return (*confirmed, float(head["TotalNetAmount"]), head["OverallSDDocumentRejectionSts"])


def exposure(simulated: Simulated) -> float:
    return float(truth(simulated, "CreditAccountSet", "1000001")["CreditExposure"])


def entered(sap: Connection, key: str = SECOND) -> str:
    found = gateway.find(sap, "order.replace", REPLACE, effect_key=key, actor="test")
    assert found is not None
    return str(found.result["order"])


def same(value: Any, other: Any) -> bool:
    try:
        return float(value) == float(other)
    except (TypeError, ValueError):
        return bool(value == other)


@pytest.mark.parametrize(
    ("name", "given"),
    [("order.reject", REJECT), ("order.reopen", REJECT), ("order.replace", REPLACE), ("order.withdraw", {})],
)
def test_each_write_does_exactly_what_was_foreseen_stock_and_credit_included(
    sap: Connection, simulated: Simulated, name: str, given: dict[str, Any]
) -> None:
    if name != "order.reject":
        do(sap, "order.reject", REJECT, BACK)
    if name == "order.withdraw":
        do(sap, "order.replace", REPLACE, SECOND)
        given = {"order": WRONG, "reference": SECOND, "reason": "Z9"}
    write, args, before = foreseen(sap, name, given)
    changes = write.predict(args, before)

    do(sap, name, given, version=before[0].version)

    now = {(row.entity, row.key): row.fields for row in seen(sap, name, given)}
    wrong = [change for change in changes if not same(now[change.entity, change.key][change.field], change.after)]
    assert wrong == []
    told = {(change.entity, change.side_effect) for change in changes}
    assert ("CreditExposure", True) in told
    assert {True, False} == {side for _, side in told}
    assert len(simulated.effects(KEY)) == (1 if name == "order.replace" else 2)


def test_a_cancelled_order_lets_stock_and_credit_go_and_its_replacement_takes_them(
    sap: Connection, simulated: Simulated
) -> None:
    assert (stands(simulated), exposure(simulated)) == ((8.0, 5.0, 130.0, ""), 130.0)

    do(sap, "order.reject", REJECT)
    assert (stands(simulated), exposure(simulated)) == ((0.0, 0.0, 0.0, "C"), 0.0)

    answer = do(sap, "order.replace", REPLACE, SECOND)
    assert answer.written is not None
    new = answer.written.result["order"]
    assert (stands(simulated, new), exposure(simulated)) == ((8.0, 5.0, 130.0, "A"), 130.0)
    assert truth(simulated, "A_SalesOrder", new)["TotalCreditCheckStatus"] == "A"


def test_links_are_kept(sap: Connection, simulated: Simulated) -> None:
    do(sap, "order.reject", REJECT)
    do(sap, "order.replace", REPLACE, SECOND)

    new = truth(simulated, "A_SalesOrder", entered(sap))
    assert new["PurchaseOrderByCustomer"] == "SO-4711"
    assert new["PurchaseOrderByShipToParty"] == mark(WRONG, SECOND)
    assert new["PurchaseOrderByShipToParty"].startswith("4711/")
    assert (new["SalesOrganization"], new["SoldToParty"], new["RequestedDeliveryDate"]) == (
        "1010", "1000001", "2026-02-10",
    )  # fmt: skip
    assert truth(simulated, "A_SalesOrderHeaderPartner", f"{new['SalesOrder']}/SH")["Customer"] == "1000009"
    assert truth(simulated, "A_SalesOrderItem", f"{new['SalesOrder']}/20")["Material"] == "SHADE"


def test_undone_from_the_last_to_the_first_everything_stands_as_before(sap: Connection, simulated: Simulated) -> None:
    write, args, before = foreseen(sap, "order.reject", REJECT)
    first = write.undo(args, before, KEY)
    do(sap, "order.reject", REJECT)
    write, args, records = foreseen(sap, "order.replace", REPLACE)
    second = write.undo(args, records, SECOND)
    do(sap, "order.replace", REPLACE, SECOND)
    assert first is not None
    assert second is not None

    do(sap, second.operation, second.arguments, BACK)
    do(sap, first.operation, first.arguments, AGAIN)

    assert (stands(simulated), exposure(simulated)) == ((8.0, 5.0, 130.0, "A"), 130.0)
    assert stands(simulated, entered(sap)) == (0.0, 0.0, 0.0, "C")
    now = {(row.entity, row.key): row for row in seen(sap, "order.reject", REJECT)}
    assert all(now[row.entity, row.key].version == row.version for row in before if row.entity == "OrderDocument")


def test_stock_that_went_to_somebody_else_meanwhile_is_seen_when_the_order_is_taken_up_again(
    sap: Connection, simulated: Simulated
) -> None:
    do(sap, "order.reject", REJECT)
    key = {"SalesOrder": "4712", "SalesOrderItem": "10"}
    simulated.plant("sap", "A_SalesOrderItem", **key, Material="LAMP", RequestedQuantity="6")
    taken = {"ScheduleLineOrderQuantity": "6", "ConfdOrderQtyByMatlAvailCheck": "6"}
    simulated.plant("sap", "A_SalesOrderScheduleLine", **key, ScheduleLine="1", **taken)
    write, args, records = foreseen(sap, "order.reopen", REJECT)
    changes = write.predict(args, records)

    do(sap, "order.reopen", REJECT, BACK)

    now = {(row.entity, row.key): row.fields for row in seen(sap, "order.reopen", REJECT)}
    short = [one for one in changes if not same(now[one.entity, one.key][one.field], one.after)]
    assert [(one.entity, one.after, one.side_effect) for one in short] == [("A_SalesOrderScheduleLine", 8.0, True)]
    assert stands(simulated)[0] == 2.0


def test_an_order_over_the_limit_is_blocked_by_sap_and_shown_so(sap: Connection, simulated: Simulated) -> None:
    do(sap, "order.reject", REJECT)
    simulated.edit("sap", "CreditAccountSet", "1000001", CreditLimit="100")

    do(sap, "order.replace", REPLACE, SECOND)

    shown = next(row for row in seen(sap, "order.replace", REPLACE) if row.entity == "OrderReplacement")
    assert shown.fields["TotalCreditCheckStatus"] == "B"


# --- what is refused -----------------------------------------------------------------------------
def test_nothing_is_entered_while_the_old_items_live(sap: Connection, simulated: Simulated) -> None:
    with pytest.raises(Refused, match="item 4711/10 is not rejected for Z9 yet: both would be delivered"):
        do(sap, "order.replace", REPLACE)

    assert simulated.effects(KEY) == []


def test_an_order_is_replaced_once(sap: Connection, simulated: Simulated) -> None:
    do(sap, "order.reject", REJECT)
    do(sap, "order.replace", REPLACE, SECOND)
    write, args, records = foreseen(sap, "order.replace", REPLACE)

    with pytest.raises(Refused, match="replaces 4711 already"):
        write.predict(args, records)
    with pytest.raises(Refused, match="replaces 4711 already"):
        do(sap, "order.replace", REPLACE, AGAIN)

    assert simulated.effects(AGAIN) == []


def test_an_order_whose_replacement_was_withdrawn_may_be_replaced_again(sap: Connection, simulated: Simulated) -> None:
    do(sap, "order.reject", REJECT)
    do(sap, "order.replace", REPLACE, SECOND)
    do(sap, "order.withdraw", {"order": WRONG, "reference": SECOND, "reason": "Z9"}, BACK)

    do(sap, "order.replace", REPLACE, AGAIN)

    assert entered(sap, AGAIN) != entered(sap, SECOND)
    assert stands(simulated, entered(sap, AGAIN)) == (8.0, 5.0, 130.0, "A")


@pytest.mark.parametrize("name", ["order.reject", "order.replace"])
def test_what_is_delivered_is_not_cancelled(sap: Connection, simulated: Simulated, name: str) -> None:
    simulated.edit("sap", "A_SalesOrderItem", f"{WRONG}/20", DeliveryStatus="B")
    given = REJECT if name == "order.reject" else REPLACE
    write, args, records = foreseen(sap, name, given)

    with pytest.raises(Refused, match="item 4711/20 is delivered"):
        write.predict(args, records)
    with pytest.raises(Refused):
        do(sap, name, given)

    assert simulated.effects(KEY) == []


def test_an_order_without_the_customers_reference_is_not_replaced(sap: Connection, simulated: Simulated) -> None:
    simulated.edit("sap", "A_SalesOrder", WRONG, PurchaseOrderByCustomer="")

    with pytest.raises(Refused, match="has no customer reference"):
        seen(sap, "order.replace", REPLACE)


@pytest.mark.parametrize("name", ["order.reject", "order.reopen", "order.replace", "order.withdraw"])
def test_an_order_that_is_not_there_is_missing(sap: Connection, simulated: Simulated, name: str) -> None:
    more: dict[str, dict[str, Any]] = {"order.replace": {"items": ["10"]}, "order.withdraw": {"reference": KEY}}

    with pytest.raises(NotFound):
        do(sap, name, {"order": "999", "reason": "Z9", **more.get(name, {})})

    assert simulated.effects(KEY) == []


def test_items_that_were_rejected_for_another_reason_stay_so(sap: Connection, simulated: Simulated) -> None:
    simulated.edit("sap", "A_SalesOrderItem", f"{WRONG}/20", SalesDocumentRjcnReason="01")
    write, args, records = foreseen(sap, "order.reject", REJECT)
    undo = write.undo(args, records, KEY)
    assert undo is not None

    do(sap, "order.reject", REJECT)
    do(sap, undo.operation, undo.arguments, BACK)

    reasons = [truth(simulated, "A_SalesOrderItem", f"{WRONG}/{one}")["SalesDocumentRjcnReason"] for one in (10, 20)]
    assert (undo.arguments["items"], reasons) == (["10"], ["", "01"])


# --- half of it ----------------------------------------------------------------------------------
def test_where_sap_refuses_the_second_item_the_first_is_put_back(sap: Connection, simulated: Simulated) -> None:
    simulated.fault("422", "PATCH .*SalesOrderItem='20'", system="sap")

    with pytest.raises(Refused):
        do(sap, "order.reject", REJECT)

    assert stands(simulated) == (8.0, 5.0, 130.0, "A")
    kinds = [row["kind"] for row in simulated.effects(KEY)]
    assert kinds == ["update", "update"], "rejected, and taken up again"


def test_where_it_cannot_be_put_back_the_outcome_is_unknown(sap: Connection, simulated: Simulated) -> None:
    simulated.fault("slow", "PATCH .*SalesOrderItem='10'", system="sap", seconds=0.0)
    simulated.fault("422", "PATCH .*SalesOrderItem='(10|20)'", system="sap", count=2)

    with pytest.raises(Unanswered, match="4711/10 may have been changed before, and could not be put back") as half:
        do(sap, "order.reject", REJECT)

    assert half.value.effect_possible
    assert gateway.find(sap, "order.reject", REJECT, effect_key=KEY, actor="test") is None


def test_half_of_it_done_is_finished_under_the_same_key_and_version(sap: Connection, simulated: Simulated) -> None:
    version = seen(sap, "order.reject", REJECT)[0].version
    simulated.fault("fail_before", "PATCH .*SalesOrderItem='20'", system="sap")
    with pytest.raises(Unanswered):
        do(sap, "order.reject", REJECT, version=version)
    assert gateway.find(sap, "order.reject", REJECT, effect_key=KEY, actor="test") is None

    do(sap, "order.reject", REJECT, version=version)

    assert stands(simulated) == (0.0, 0.0, 0.0, "C")
    assert len(simulated.effects(KEY)) == 2, "each item once"


@pytest.mark.parametrize(
    "edit",
    [
        ("A_SalesOrder", WRONG, {"ShippingCondition": "02"}),
        ("A_SalesOrderItem", f"{WRONG}/20", {"RequestedQuantity": "6"}),
    ],
)
@pytest.mark.parametrize("name", ["order.reject", "order.replace"])
def test_an_order_that_somebody_changed_is_left_alone(
    sap: Connection, simulated: Simulated, name: str, edit: tuple[str, str, dict[str, Any]]
) -> None:
    given = REJECT if name == "order.reject" else REPLACE
    if name == "order.replace":
        do(sap, "order.reject", REJECT, BACK)
    version = seen(sap, name, given)[0].version
    simulated.edit("sap", edit[0], edit[1], **edit[2])

    with pytest.raises(VersionConflict):
        do(sap, name, given, version=version)

    assert simulated.effects(KEY) == []


# --- answers that were lost ------------------------------------------------------------------------
@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503"])
def test_an_order_that_was_entered_without_an_answer_is_found_by_its_mark(
    sap: Connection, simulated: Simulated, fault: str
) -> None:
    do(sap, "order.reject", REJECT)
    assert gateway.find(sap, "order.replace", REPLACE, effect_key=SECOND, actor="test") is None
    simulated.fault(fault, "POST .*A_SalesOrder", system="sap")

    with pytest.raises(Unanswered):
        do(sap, "order.replace", REPLACE, SECOND)

    assert stands(simulated, entered(sap)) == (8.0, 5.0, 130.0, "A")
    assert len(simulated.effects(SECOND)) == 1
    assert gateway.find(sap, "order.replace", REPLACE, effect_key=AGAIN, actor="test") is None


def test_an_answer_that_names_no_order_is_looked_for(sap: Connection, simulated: Simulated) -> None:
    do(sap, "order.reject", REJECT)
    simulated.client.post("/control/sap", json={"repeatability": True}).raise_for_status()
    do(sap, "order.replace", REPLACE, SECOND)
    do(sap, "order.withdraw", {"order": WRONG, "reference": SECOND, "reason": "Z9"}, BACK)

    # SAP recognises the RequestID, does nothing, and no longer says which order it was.
    with pytest.raises(Unanswered, match="does not say which order it entered"):
        do(sap, "order.replace", REPLACE, SECOND)

    assert len(simulated.effects(SECOND)) == 1


def test_another_customer_brings_partners_of_its_own(sap: Connection, simulated: Simulated) -> None:
    simulated.plant("sap", "CreditAccountSet", BusinessPartner="1000002", CreditLimit="500", Currency="EUR")
    given = {**REPLACE, "sold_to": "1000002"}
    do(sap, "order.reject", REJECT)
    write, args, records = foreseen(sap, "order.replace", given)
    changes = {
        (one.entity, one.key): one.after for one in write.predict(args, records) if one.entity == "CreditExposure"
    }

    do(sap, "order.replace", given, SECOND)

    new = entered(sap)
    assert truth(simulated, "A_SalesOrderHeaderPartner", f"{new}/SP")["Customer"] == "1000002"
    assert changes == {("CreditExposure", "1000002"): 130.0}
    assert float(truth(simulated, "CreditAccountSet", "1000002")["CreditExposure"]) == 130.0


def test_without_a_set_that_shows_it_no_exposure_is_foreseen(db: None, simulated: Simulated) -> None:
    plant_wrong_order(simulated)
    plain = make_sap(simulated.url, secret="simulator")
    write, args, records = foreseen(plain, "order.reject", REJECT)

    changes = write.predict(args, records)

    assert {one.entity for one in changes} == {"A_SalesOrder", "A_SalesOrderItem", "A_SalesOrderScheduleLine"}
    assert write.amount is not None
    assert write.amount(args, records) == ("130.00", "EUR")


def test_a_day_is_written_as_version_2_has_it() -> None:
    assert odata.day_value("2026-01-01") == "/Date(1767225600000)/"
    assert odata.plain(odata.day_value("2026-01-01")) == "2026-01-01"


def test_a_mark_is_the_same_for_life_names_the_old_order_and_fits_its_field() -> None:
    assert mark("0000004711", KEY) == mark("4711", KEY)
    assert mark("4711", KEY) != mark("4711", SECOND)
    assert len(mark("9" * 10, KEY)) == 27
