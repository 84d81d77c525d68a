"""Hold-outs on the pages, in the inbox and over HTTP."""

from decimal import Decimal

import pytest
from django.urls import reverse

from playbooks.console.needs import needs_of
from playbooks.holdout_actions import Terms, configure
from playbooks.holdout_models import HoldOutDraw
from playbooks.models import Playbook
from tests.factories import make_user
from tests.playbooks.cases import make_mend
from tests.playbooks.driving import drive
from tests.playbooks.trials import PURPOSE, begin, held


@pytest.fixture
def playbook(db) -> Playbook:
    return make_mend().playbook


@pytest.fixture
def operator(db):
    return make_user("operator", role="operator")


def test_the_page_says_that_it_is_held_out_and_hides_what_the_playbook_would_do(client, operator, world):
    incident, _ = held()
    client.force_login(operator)

    page = client.get(incident.get_absolute_url()).content.decode()

    assert "In the comparison group" in page
    assert PURPOSE in page
    assert "Work on it with the playbook" in page
    assert "Cause found" in page or "rate was not applied" in page
    assert 'id="plan"' not in page
    assert "84.00" not in page


def test_who_only_looks_sees_that_it_is_held_out_and_no_button(client, world):
    incident, _ = held()
    client.force_login(make_user("viewer", role="viewer"))

    page = client.get(incident.get_absolute_url()).content.decode()

    assert "In the comparison group" in page
    assert "Work on it with the playbook" not in page


def test_the_button_takes_it_out_with_a_reason_and_the_plan_is_shown_again(client, operator, world):
    incident, _ = held()
    client.force_login(operator)
    address = reverse("incident-act", args=[incident.pk, "leave-hold-out"])

    client.post(address, {"reason": ""})
    assert HoldOutDraw.objects.get().stands
    client.post(address, {"reason": "The customer waits."})
    drive(incident)

    page = client.get(incident.get_absolute_url()).content.decode()
    assert (HoldOutDraw.objects.get().left_reason, incident.status) == ("The customer waits.", "resolved")
    assert 'id="plan"' in page
    assert "In the comparison group" not in page
    assert "Taken out of the comparison group" in page


def test_the_inbox_says_held_out(operator, world):
    incident, _ = held()

    (need,) = needs_of(operator)

    assert (need.incident_id, need.why) == (incident.pk, "Held out")


def test_the_api_tells_the_lot_and_takes_it_out(api, operator, world):
    incident, _ = held()
    address = f"/api/v1/incidents/{incident.pk}/"

    told = api(operator).get(address).json()["hold_out"]
    refused = api(operator).post(f"{address}leave-hold-out/", {"reason": ""})
    left = api(operator).post(f"{address}leave-hold-out/", {"reason": "Now."})
    again = api(operator).post(f"{address}leave-hold-out/", {"reason": "Now."})

    assert (told["playbook"], told["held_out"], told["stands"], told["share"]) == ("mend", True, True, 20)
    assert "seed" not in str(told)
    assert (refused.status_code, left.status_code, again.status_code) == (400, 202, 409)
    assert left.json()["left_reason"] == "Now."
    assert again.json()["code"] == "not_held_out"


def test_the_api_refuses_who_only_looks_and_hides_what_is_of_another_unit(api, world):
    incident, _ = held()
    address = f"/api/v1/incidents/{incident.pk}/leave-hold-out/"
    viewer = make_user("viewer", role="viewer")
    american = make_user("american", role="operator", units=["US"])

    assert api(viewer).post(address, {"reason": "x"}).status_code == 403
    assert api(american).post(address, {"reason": "x"}).status_code == 404
    assert HoldOutDraw.objects.get().stands


def test_the_playbooks_page_and_api_tell_what_runs(api, client, operator, playbook):
    begin(playbook, max_amount=Decimal("90.00"), currency="EUR")
    client.force_login(operator)

    page = client.get(reverse("playbook", args=["mend"])).content.decode()
    (told,) = api(operator).get("/api/v1/playbooks/").json()["results"]

    assert "20 % of what it could mend alone" in page
    assert (told["hold_out"]["share"], told["hold_out"]["max_amount"]) == (20, "90.00")
    assert "secret_seed" not in told["hold_out"]
    configure(playbook, Terms(0), actor="keeper")
    assert api(operator).get("/api/v1/playbooks/").json()["results"][0]["hold_out"] is None
