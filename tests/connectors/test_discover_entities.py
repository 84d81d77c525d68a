"""What a system offers, asked of it: by each ERP and CRM kind over HTTP, and on the admin's page."""

from typing import Any

import httpx
import pytest
from django.test import Client
from django.urls import reverse

from connectors import actions, gateway
from connectors.base import Blocked, Unanswered
from connectors.kit import discovering
from connectors.models import Call, Connection
from tests.connectors.conftest import Simulated
from tests.connectors.factories import Played, make_fo, make_model
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)
SOME = {
    "fo": {"SalesOrderHeadersV2", "SalesInvoiceHeadersV2", "CustomersV3"},
    "crm": {"Case", "Account"},
    "dv": {"account", "incident"},
    "sap": {"API_SALES_ORDER_SRV/A_SalesOrder"},
}


@pytest.mark.parametrize("name", sorted(SOME))
def test_each_system_says_what_it_offers_in_the_words_of_the_settings(name: str, request: Any) -> None:
    connection = request.getfixturevalue(name)
    found = gateway.discover(connection, actor="anna")

    assert set(found) >= SOME[name]
    assert found == sorted(set(found))
    row = Call.objects.get(operation="discover")
    assert (row.direction, row.outcome, row.answer) == ("check", "ok", {"count": len(found)})


def test_a_kind_that_cannot_ask_says_so(model: Any) -> None:
    with pytest.raises(Blocked, match="tells nothing of its entities"):
        gateway.discover(make_model(), actor="anna")


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"value": [{"name": "B", "kind": "EntitySet"}, {"name": "A"}, {"name": "F", "kind": "Other"}]}, ["A", "B"]),
        ({"d": {"EntitySets": ["B", "A", "A", 7, None, ""]}}, ["A", "B"]),
        ({"value": [7, None, {"name": None}, {"url": "x"}]}, []),
        ({"value": []}, []),
    ],
)  # fmt: skip
def test_a_service_document_is_read_in_both_versions(document: Any, found: list[str]) -> None:
    assert discovering.sets_of(document) == found


@pytest.mark.parametrize("document", [None, [], "x", {}, {"value": "A"}, {"d": {"EntitySets": "A"}}, {"d": {}}])
def test_what_is_no_list_of_entities_is_no_answer(document: Any) -> None:
    with pytest.raises(Unanswered):
        discovering.sets_of(document)


def test_names_from_outside_are_bounded_and_can_be_stored() -> None:
    found = discovering.names(["!" * 1000, "nul\x00", *map(str, range(30_000))])

    assert len(found) == discovering.MOST
    assert max(map(len, found)) == 200
    assert not any("\x00" in name for name in found)


# --- the admin's page ------------------------------------------------------------------------------
@pytest.fixture
def automation(client: Client) -> Client:
    client.force_login(make_user("autumn", role="automation_admin"))
    return client


def ask(client: Client, connection: Connection) -> Any:
    return client.post(reverse("admin:connection-discover", args=[connection.pk]), follow=True)


def test_the_page_marks_what_saved_queries_may_read(automation: Client, fo: Connection) -> None:
    config = {**fo.config, "query_entities": "CustomersV3, Unheard"}
    actions.update_connection(fo, actor="system:test", config=config)
    page = ask(automation, fo).content.decode()

    assert "<code>CustomersV3</code></td><td>may read it</td>" in page
    assert "<code>SalesOrderHeadersV2</code></td><td>–</td>" in page
    assert "not among them: Unheard" in page


def test_the_button_is_there_where_the_kind_can_ask(automation: Client, fo: Connection) -> None:
    model = make_model()
    shown = [
        reverse("admin:connection-discover", args=[one.pk])
        in automation.get(reverse("admin:connectors_connection_change", args=[one.pk])).content.decode()
        for one in (fo, model)
    ]

    assert shown == [True, False]


def test_a_system_that_does_not_answer_is_told_on_the_connections_page(
    automation: Client, fo: Connection, simulated: Simulated
) -> None:
    simulated.fault("500", "GET .*/data", count=3)
    page = ask(automation, fo)

    assert page.redirect_chain[-1][0] == reverse("admin:connectors_connection_change", args=[fo.pk])
    assert "did not say what it offers: Dynamics 365 F" in page.content.decode()


def test_an_empty_answer_says_what_to_do(automation: Client, played: Played) -> None:
    connection = make_fo()
    played.on("GET", "/data", httpx.Response(200, json={"value": []}))

    assert "Ask its administrator" in ask(automation, connection).content.decode()


def test_names_are_text_on_the_page(automation: Client, played: Played) -> None:
    connection = make_fo()
    played.on("GET", "/data", httpx.Response(200, json={"value": [{"name": "<script>x</script>"}]}))

    assert "<script>x</script>" not in ask(automation, connection).content.decode()


@pytest.mark.parametrize(("role", "status"), [("operator", 403), ("auditor", 403), ("automation_admin", 200)])
def test_only_who_configures_asks(client: Client, fo: Connection, role: str, status: int) -> None:
    client.force_login(make_user("somebody", role=role))

    assert ask(client, fo).status_code in (status, 302)
    assert Call.objects.filter(operation="discover").exists() is (status == 200)


def test_a_get_asks_nothing(automation: Client, fo: Connection) -> None:
    assert automation.get(reverse("admin:connection-discover", args=[fo.pk])).status_code == 405
    assert not Call.objects.filter(operation="discover").exists()
