"""A worker dies at each of nine points of SAP's kinds of write: nothing is lost, nothing is done twice."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from incidents.states import Status
from playbooks.states import StepState
from tests.connectors.sap_world import (
    BILL,
    COMPANY,
    ENTRY,
    INVOICE,
    JSON_GATEWAY,
    ORDER,
    YEAR,
    make_sap,
    plant_sap,
)
from tests.playbooks import world as worlds
from tests.playbooks.driving import begin, drive, states
from tests.playbooks.test_survive_crashes import POINTS, die_at
from tests.playbooks.world import World, make_incident, make_plan

JOURNAL = {"company": COMPANY, "year": YEAR, "document": ENTRY}
CANCELLED = {"invoice": INVOICE, "year": YEAR, "reason": "01", "posting_date": "2026-02-01"}
ASKED = {**JSON_GATEWAY, "reversal_check": "BAPI_ACC_DOCUMENT_REV_CHECK"}
IDOC = {
    "basic_type": "ORDERS05",
    "message_type": "ORDCHG",
    "reference": "INC-7",
    "segments": [{"segment": "E1EDK01", "fields": {"BELNR": ORDER}}],
}
# A field under a version, a function import, a function with commit, a message without an answer, an IDoc.
WRITES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "field": ("order.set_delivery_block", {"order": ORDER, "block": ""}),
    "function import": ("billing.cancel", {"billing": BILL}),
    "function": ("journal.reverse", {**JOURNAL, "reason": "01", "posting_date": "2026-02-01"}),
    "another cancel": ("supplier_invoice.cancel", CANCELLED),
    "message": ("payment_block.set", {**JOURNAL, "item": "1", "block": "A"}),
    "idoc": ("idoc.send", IDOC),
}


@pytest.mark.chaos
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_death_at_any_point_leaves_one_effect(
    world: World, monkeypatch: pytest.MonkeyPatch, point: str, write: tuple[str, Mapping[str, Any]]
) -> None:
    plant_sap(world)
    world.connections["sap"] = make_sap(world.url, secret="simulator", config=ASKED)
    monkeypatch.setattr(worlds, "_cel", json.dumps)  # lists too: JSON is CEL
    incident = make_incident()
    execution = begin(make_plan(world, incident, ("sap", *write)))
    die_at(world, monkeypatch, incident, point, match="^(POST|PATCH) (?!.*(BAPI_ACC|ROLLBACK))")

    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert states(execution) == [StepState.VERIFIED]
    assert len(world.effects()) == 1
    assert world.effects()[0]["effect_key"] == execution.step_runs.get().effect_key
