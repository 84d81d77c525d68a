"""SAP's published document becomes a connection through the admin alone; a playbook mends by it, and takes it back."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from connectors import gateway
from connectors.base import VersionConflict
from connectors.kit import credentials
from connectors.models import Call, Connection
from incidents.states import Status
from playbooks import actions as mending
from playbooks.states import ExecutionState, StepState
from tests.connectors.openapi_world import sap_document
from tests.connectors.page_form import PageForm
from tests.connectors.sap_world import ORDER, plant_sap
from tests.playbooks.driving import begin, die_and_come_back, drive, states
from tests.playbooks.test_survive_crashes import POINTS
from tests.playbooks.world import World, make_incident, make_plan, running_world

SHEET = "config_declarations:a_sales_order.patch:{}"
UNBLOCK = ("orders", "a_sales_order.patch", {"sales_order": ORDER, "delivery_block_reason": ""})


@pytest.fixture
def world(db: None, tmp_path: Path) -> Iterator[World]:
    """The small business, with SAP in it."""
    credentials.forget_all()
    with running_world(tmp_path) as running:
        plant_sap(running)
        yield running


def connect(admin: User, world: World) -> Connection:
    """Make the connection with two saves, by forms alone: document and choice; the suggestion and its permission."""
    browser = Client()
    browser.force_login(admin)
    add = reverse("admin:connectors_connection_add") + "?kind=openapi"
    form = PageForm(browser.get(add).content.decode())
    form.write("slug", "orders").write("label", "Sales orders").write("config_base_url", world.url)
    form.write("config_user", "goldseam").write("config_csrf_path", "/")
    uploaded = SimpleUploadedFile("sales-order.json", sap_document().encode(), "application/json")
    offered = browser.post(add, form.sent(_look="1", config_document_file=uploaded)).content.decode()
    assert "0 of 158 chosen" in offered
    form = PageForm(offered).tick("config_chosen", "a_sales_order.get", "a_sales_order.patch")
    answer = browser.post(add, form.write("secret_password", "simulator").sent())
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    change = reverse("admin:connectors_connection_change", args=[Connection.objects.get(slug="orders").pk])
    form = PageForm(browser.get(change).content.decode())
    assert form.values[SHEET.format("read_back")] == ["a_sales_order.get"]
    form.tick(SHEET.format("confirmed")).tick(SHEET.format("allow")).choose(SHEET.format("risk"), "low")
    answer = browser.post(change, form.sent())
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    browser.post(reverse("admin:connection-test", args=[Connection.objects.get(slug="orders").pk]))
    return Connection.objects.get(slug="orders")


def test_a_published_document_becomes_a_connection_through_the_admin_and_a_playbook_mends_and_undoes_by_it(
    world: World, admin: User, operator: User
) -> None:
    connection = connect(admin, world)
    incident = make_incident()
    plan = make_plan(world, incident, UNBLOCK)

    execution = begin(plan)
    drive(incident)
    mended = world.truth("sap", "A_SalesOrder", ORDER)["DeliveryBlockReason"]
    execution.refresh_from_db()
    back = mending.roll_back(execution, by=operator, reason="wrong order")
    drive(incident)

    back.refresh_from_db()
    assert (connection.health, connection.operations) == ("ok", ["a_sales_order.patch"])
    assert connection.config["document"].startswith("sha256:")
    assert plan.steps.get().predicted[0] | {"entity": "", "key": ""} == {
        "entity": "", "key": "", "field": "DeliveryBlockReason", "before": "Z1", "after": "", "side_effect": False,
    }  # fmt: skip
    assert mended == ""
    assert (incident.status, back.state) == (Status.ROLLED_BACK, ExecutionState.VERIFIED)
    assert world.truth("sap", "A_SalesOrder", ORDER)["DeliveryBlockReason"] == "Z1"
    assert [row["effect_key"] for row in world.effects()] == [
        execution.step_runs.get().effect_key, back.step_runs.get().effect_key
    ]  # fmt: skip
    assert "simulator" not in json.dumps([row.arguments for row in Call.objects.all()])


def test_a_record_that_a_person_changed_meanwhile_is_not_overwritten(world: World, admin: User) -> None:
    connect(admin, world)
    incident = make_incident()
    plan = make_plan(world, incident, UNBLOCK)
    seen = plan.steps.get().sources[0]["version"]
    world.edit(system="sap", entity="A_SalesOrder", key=ORDER, changes={"ShippingCondition": "02"})

    with pytest.raises(VersionConflict):
        gateway.call(
            Connection.objects.get(slug="orders"), UNBLOCK[1], UNBLOCK[2], actor="test", effect_key="k1", version=seen
        )

    assert not [row for row in world.effects() if row["effect_key"]]


def test_an_expired_csrf_token_is_renewed_once_and_the_change_is_made_once(world: World, admin: User) -> None:
    connection = connect(admin, world)
    version = gateway.observe(connection, UNBLOCK[1], UNBLOCK[2], actor="test")[0].version
    gateway.call(connection, UNBLOCK[1], UNBLOCK[2], actor="test", effect_key="k1", version=version)
    world.http.post("/control/sap", json={"expire_csrf": True})
    version = gateway.observe(connection, UNBLOCK[1], UNBLOCK[2], actor="test")[0].version

    gateway.call(
        connection, UNBLOCK[1], {"sales_order": ORDER, "delivery_block_reason": "Z2"}, actor="test", effect_key="k2",
        version=version,
    )  # fmt: skip

    assert [row["effect_key"] for row in world.effects()] == ["k1", "k2"]


@pytest.mark.chaos
@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_any_point_leaves_one_effect(
    world: World, admin: User, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    connect(admin, world)
    incident = make_incident()
    execution = begin(make_plan(world, incident, UNBLOCK))
    module, name, replacement, fault = POINTS[point]
    if fault:
        world.fault(fault, match="^PATCH ", count=1)
    with monkeypatch.context() as dying_here:
        dying_here.setattr(module, name, replacement())
        die_and_come_back(incident)

    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert states(execution) == [StepState.VERIFIED]
    assert [row["effect_key"] for row in world.effects()] == [execution.step_runs.get().effect_key]
