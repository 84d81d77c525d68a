"""Entities over HTTP and on the incident's page: found by any id, shown as far as one may see, decided by people."""

import json
from typing import Any

import pytest

from incidents.entity_models import Alias, AliasDecision, Entity
from incidents.models import Incident
from tests.factories import make_user
from tests.incidents.conftest import Systems
from tests.incidents.graph import SF_ORDER, case_record, order_kind, read, sales_record, stuck

pytestmark = pytest.mark.django_db


@pytest.fixture
def main(systems: Systems) -> Incident:
    order_kind()
    incident = stuck()
    read(systems, incident, sales_record(), cases=(case_record(),))
    return incident


@pytest.fixture
def rival(main: Incident, systems: Systems) -> Incident:
    """An incident whose order claims the same order of the CRM."""
    incident = stuck(entity_key="SO-698")
    read(systems, incident, sales_record("SO-698"))
    return incident


def claim(number: str) -> Alias:
    return Alias.objects.get(name=SF_ORDER.casefold(), entity__label=number)


def test_an_entity_is_found_by_the_id_that_any_system_uses(main, api, operator):
    for query in (f"id={SF_ORDER}", f"id={SF_ORDER}&system=crm", "id=demf/so-697", "id=SO-697&system=fo"):
        found = api(operator).get(f"/api/v1/entities/?{query}").json()["results"]
        assert [(one["type"], one["label"]) for one in found] == [("order", "SO-697")]


def test_an_id_of_another_system_finds_nothing(main, api, operator):
    assert api(operator).get(f"/api/v1/entities/?id={SF_ORDER}&system=fo").json()["results"] == []
    assert api(operator).get("/api/v1/entities/?system=fo").status_code == 400


def test_one_entity_is_shown_with_names_links_and_incidents(main, api, operator):
    order = Entity.objects.get(type="order")

    body = api(operator).get(f"/api/v1/entities/{order.pk}/").json()

    assert {(one["system"], one["value"]) for one in body["aliases"]} >= {("crm", SF_ORDER), ("fo", "demf/SO-697")}
    assert {one["field"] for one in body["links"]} == {"Customer", "Order_Number__c"}
    assert [one["id"] for one in body["incidents"]] == [main.pk]


def test_what_is_not_yours_is_not_there(main, api):
    order = Entity.objects.get(type="order")
    stranger = api(make_user("stranger", role="operator", units=["US"]))

    assert stranger.get(f"/api/v1/entities/?id={SF_ORDER}").json()["results"] == []
    assert stranger.get("/api/v1/entities/").json()["results"] == []
    assert stranger.get(f"/api/v1/entities/{order.pk}/").status_code == 404
    alias = claim("SO-697").pk
    for verb in ("confirm", "reject", "revert"):
        answer = stranger.post(f"/api/v1/entities/{order.pk}/{verb}-alias/", {"alias": alias, "reason": "Mine."})
        assert answer.status_code == 404


def test_a_dispute_is_decided_and_taken_back_by_the_api(rival, api, operator, auditor):
    alias = claim("SO-698")
    url = f"/api/v1/entities/{alias.entity_id}"
    told = {"alias": alias.pk, "reason": "The CRM was corrected."}

    assert api(auditor).post(f"{url}/confirm-alias/", told).status_code == 403
    assert api(operator).post(f"{url}/confirm-alias/", {**told, "reason": ""}).status_code == 400
    done = api(operator).post(f"{url}/confirm-alias/", told)
    assert done.status_code == 200
    assert {one["state"] for one in done.json()["aliases"] if one["value"] == SF_ORDER} == {"standing"}
    assert api(operator).post(f"{url}/revert-alias/", told).status_code == 200
    assert api(operator).post(f"{url}/reject-alias/", told).status_code == 200
    assert claim("SO-698").state == "rejected"


def test_the_page_shows_what_each_system_calls_the_order(main, client, operator):
    client.force_login(operator)

    page = client.get(main.get_absolute_url()).content.decode()

    assert "Order SO-697" in page
    assert SF_ORDER in page
    assert 'href="https://fo.example/SO-697"' in page


def test_the_page_says_that_two_claim_a_name_and_lets_operators_decide(rival, client, operator, auditor):
    client.force_login(auditor)
    assert "alias-confirm" not in client.get(rival.get_absolute_url()).content.decode()
    client.force_login(operator)
    page = client.get(rival.get_absolute_url()).content.decode()
    assert "Two claim crm" in page

    alias = claim("SO-698")
    url = f"/incidents/{rival.pk}/aliases/{alias.pk}"
    client.post(f"{url}/confirm/", {"reason": "The CRM was corrected."})
    assert claim("SO-698").state == "standing"
    assert "Take back" in client.get(rival.get_absolute_url()).content.decode()

    client.post(f"{url}/revert/", {"reason": "It was not."})
    assert AliasDecision.objects.get().reverted_at is not None


def test_a_page_of_somebody_else_decides_nothing(rival, client):
    client.force_login(make_user("stranger", role="operator", units=["US"]))

    answer = client.post(f"/incidents/{rival.pk}/aliases/{claim('SO-698').pk}/confirm/", {"reason": "Mine."})

    assert answer.status_code == 404
    assert claim("SO-698").state == "disputed"


def test_the_page_offers_to_merge_what_was_opened_under_a_name_learned_later(systems, client, operator):
    order_kind()
    early, main = stuck(entity_key=SF_ORDER), stuck()
    read(systems, main, sales_record())
    client.force_login(operator)

    page = client.get(main.get_absolute_url()).content.decode()
    assert "Merge it into this one" in page

    client.post(f"/incidents/{early.pk}/do/merge/", {"into": main.pk, "reason": "The same record."})
    early.refresh_from_db()
    assert early.merged_into == main


def test_the_explanation_of_a_signal_is_told_by_the_api(main, api, operator, integration):
    event: dict[str, Any] = {
        "source": "crm",
        "id": "again",
        "data": {"code": "credit_hold", "entity_type": "order", "entity_key": SF_ORDER, "business_unit": "EU"},
    }

    taken = api(integration).post("/api/v1/signals/", json.dumps(event), content_type="application/json").json()

    assert (taken["incident"], taken["merged"]) == (main.pk, True)
    told = api(operator).get(f"/api/v1/signals/{taken['signal']}/").json()
    assert f"is known as {SF_ORDER} in crm" in json.dumps(told["fingerprint"])
