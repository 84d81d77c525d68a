"""The demo as an outsider meets it: one process started, nobody touching it, then one mend approved and taken back."""

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.journeys.running import PATIENCE, Demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all of the journey; each test goes on where the last one ended."""
    running = Demo(tmp_path_factory.mktemp("demo") / "data")
    try:
        running.start()
        yield running
    finally:
        running.close()
        if running.process is not None and running.process.poll() is None:
            running.stop()


def pending(demo: Demo) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = demo.api.get("/approvals/", params={"state": "pending"}).json()["results"]
    return rows


def settled(demo: Demo, pk: int) -> str:
    """Say where an incident has come to rest; blank while the loop is at work on it."""
    status: str = demo.incident(pk)["status"]
    return "" if status in ("new", "triaged", "diagnosed") else status


def autonomous(demo: Demo) -> list[dict[str, Any]]:
    full = [demo.incident(row["id"]) for row in demo.incidents(status="resolved")]
    return [one for one in full if one["outcome"] and one["outcome"]["autonomous"]]


@pytest.mark.chaos
def test_it_mends_by_itself_and_each_mend_was_read_back(demo: Demo):
    done = demo.until(lambda: len(demo.incidents(status="resolved")) >= 10 and autonomous(demo))
    demo.until(lambda: len(done) >= 10 or len(autonomous(demo)) >= 10)

    for one in autonomous(demo):
        assert one["outcome"]["verified"]
        assert all(row["matched"] for row in one["outcome"]["read_back"] if not row["side_effect"])


@pytest.mark.chaos
def test_five_different_statuses_stand_side_by_side(demo: Demo):
    statuses = demo.until(lambda: (found := {row["status"] for row in demo.incidents()}) and len(found) >= 5 and found)

    assert {"resolved", "awaiting_approval", "needs_operator"} <= statuses


@pytest.mark.chaos
def test_a_kind_that_nobody_covers_goes_to_an_operator_with_a_reason(demo: Demo):
    unknown = demo.until(
        lambda: [row for row in demo.incidents(status="needs_operator") if row["code"] == "address_mismatch"]
    )

    assert "address_mismatch" in demo.incident(unknown[0]["id"])["status_reason"]


@pytest.mark.chaos
def test_one_is_approved_resolved_taken_back_and_each_effect_stands_once(demo: Demo):
    approver, second = demo.as_user("approver"), demo.as_user("approver2")
    operator = demo.as_user("operator")
    waiting = demo.until(
        lambda: [
            row
            for row in demo.api.get("/approvals/", params={"state": "pending"}).json()["results"]
            if row["required"] == 1 and row["kind"] == "plan"
        ]
    )
    asked = waiting[-1]
    wrong = approver.post(f"/approvals/{asked['id']}/approve/", json={"comment": "yes", "digest": "0" * 64})
    assert wrong.status_code == 409

    said = approver.post(f"/approvals/{asked['id']}/approve/", json={"comment": "yes", "digest": asked["digest"]})
    assert said.status_code in (200, 202), said.text
    mended = demo.until(lambda: (one := demo.incident(asked["incident"]))["status"] == "resolved" and one)
    execution = mended["outcome"]["execution"]
    back = operator.post(f"/executions/{execution}/rollback/", json={"reason": "The customer was right."})
    assert back.status_code == 202, back.text
    for request in demo.api.get("/approvals/", params={"state": "pending"}).json()["results"]:
        if request["kind"] == "rollback" and request["incident"] == asked["incident"]:
            body = {"comment": "put it back", "digest": request["digest"]}
            assert second.post(f"/approvals/{request['id']}/approve/", json=body).status_code in (200, 202)

    demo.until(lambda: demo.incident(asked["incident"])["status"] == "rolled_back")
    assert demo.effects_twice() == {}


@pytest.mark.chaos
def test_the_ledger_holds_and_the_viewer_sees_only_one_unit(demo: Demo):
    viewer = demo.as_user("viewer")
    checked = demo.audit_holds()

    seen = viewer.get("/incidents/", params={"page_size": "200"}).json()["results"]

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert {row["business_unit"] for row in seen} == {"EU"}
    assert {row["business_unit"] for row in demo.incidents()} >= {"EU", "US"}


def logs_of(client: Any) -> dict[str, dict[str, Any]]:
    rows = client.get("/event-logs/", params={"page_size": "200"}).json()["results"]
    return {row["name"]: row for row in rows if row["name"].startswith("Order to cash")}


@pytest.mark.chaos
def test_a_year_of_orders_is_there_and_what_detectors_find_in_it_goes_through_the_loop(demo: Demo):
    demo.until(lambda: {row["state"] for row in logs_of(demo.api).values()} == {"ready"})
    conflicts = demo.until(
        lambda: [row for row in demo.incidents(status="needs_operator") if row["code"] == "duty_conflict"]
    )

    signals = demo.api.get("/signals/", params={"page_size": "200"}).json()["results"]

    assert logs_of(demo.api)["Order to cash, Europe"]["cases"] >= 20_000
    assert demo.incident(conflicts[0]["id"])["status_reason"]
    assert any(one["source"].startswith("goldseam:detector:") for one in signals)


@pytest.mark.chaos
def test_a_log_and_what_was_found_in_it_belong_to_their_unit(demo: Demo):
    viewer = demo.as_user("viewer")
    found = {row["code"] for row in demo.incidents() if row["business_unit"] == "US"}

    seen = viewer.get("/incidents/", params={"page_size": "200"}).json()["results"]

    assert set(logs_of(viewer)) == {"Order to cash, Europe"}
    assert len(logs_of(demo.as_user("operator"))) == 2
    assert "duty_conflict" in found
    assert {row["business_unit"] for row in seen if row["code"] == "duty_conflict"} == {"EU"}


@pytest.mark.chaos
def test_both_processes_stand_side_by_side(demo: Demo):
    held = demo.until(
        lambda: [row for row in demo.incidents(status="resolved") if row["code"] == "duplicate_vendor_invoice"]
    )

    assert held


@pytest.mark.chaos
def test_an_order_that_six_ways_tell_of_is_one_incident_and_one_plan_mends_it_in_three_systems(demo: Demo):
    first = min(demo.until(lambda: [row["id"] for row in demo.incidents() if row["code"] == "held_elsewhere"]))
    held = demo.until(lambda: (one := demo.incident(first))["signals_count"] == 6 and one)
    asked = demo.until(
        lambda: next((one for one in pending(demo) if one["incident"] == held["id"]), None)  # as it stands now
    )
    for name in ("approver", "compliance"):
        body = {"comment": "F&O lets it go", "digest": asked["digest"]}
        said = demo.as_user(name).post(f"/approvals/{asked['id']}/approve/", json=body)
        assert said.status_code in (200, 202), said.text

    demo.until(lambda: demo.incident(held["id"])["status"] == "resolved")

    rows = demo.world.get("/ledger/effects", params={"limit": 100_000}).json()
    kinds = ("person", "side_effect")
    done = [(row["system"], row["entity"]) for row in rows if row["kind"] not in kinds]
    assert Counter(done)["dv", "salesorder"] == Counter(done)["sap", "A_SalesOrder"] == 1
    case = [row for row in rows if row["entity"] == "Case" and row["after"]["Type"] == "Order stopped"]
    assert [(row["kind"], row["after"]["Status"]) for row in case] == [("person", "New"), ("update", "Closed")]
    assert demo.effects_twice() == {}


@pytest.mark.chaos
def test_what_people_write_by_mail_and_in_chat_is_one_incident_each_and_waits_for_a_person(demo: Demo):
    codes = ("reported_order", "reported_message", "reported_invoice")
    ids = demo.until(
        lambda: len(found := [row["id"] for row in demo.incidents() if row["code"] in codes]) == 3 and found
    )

    demo.until(lambda: sorted(demo.incident(pk)["signals_count"] for pk in ids) == [1, 1, 2])
    assert {demo.until(partial(settled, demo, pk)) for pk in ids} == {"needs_operator"}


@pytest.mark.chaos
def test_it_tells_people_and_programs_outside_and_each_message_went_out_once(demo: Demo):
    def received(system: str, kind: str) -> list[dict[str, Any]]:
        rows = demo.world.get("/ledger/effects", params={"limit": 100_000}).json()
        return [row for row in rows if (row["system"], row["kind"]) == (system, kind)]

    mails = demo.until(lambda: received("mail", "create"))
    events = demo.until(lambda: received("receiver", "received"))
    posted = demo.until(lambda: received("slack", "create"))

    assert {tuple(row["after"]["recipients"]) for row in mails} == {("approvers@contoso.test",)}
    assert len({row["after"]["message_id"] for row in mails}) == len(mails)
    assert len({(row["after"]["source"], row["after"]["id"]) for row in events}) == len(events)
    assert {row["after"]["channel"] for row in posted} == {"C0ORDERS1"}
    assert demo.world.get("/control/stream").json()["errors"] == []


@pytest.mark.chaos
def test_it_stops_when_asked_and_goes_on_from_the_same_data(demo: Demo):
    before = {row["id"] for row in demo.incidents()}
    token = demo.ready["token"]

    assert demo.stop() == 0
    seconds = demo.start()

    assert demo.ready["token"] == token
    assert before <= {row["id"] for row in demo.incidents()}
    assert json.loads(demo.world.get("/ledger/effects", params={"limit": 1}).text)
    assert seconds < PATIENCE
