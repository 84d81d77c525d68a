"""Reads that are tried by hand, connection tests that tell each read's answer, and what a document offers as a page."""

from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from connectors import actions
from connectors.models import Call, Connection
from connectors.redaction import HIDDEN
from tests.connectors.factories import SECRET, Played
from tests.connectors.openapi_world import Orders, document, make_api, operation

FREE = document({f"/part{number}": {"get": operation(operationId=f"getPart{number}")} for number in range(5)})
CHOSEN = {"chosen": ["part_0.get", "part_1.get", "part_2.get", "part_3.get"], "declarations": ""}


@pytest.fixture
def orders(db: None, played: Played) -> Orders:
    return Orders(played)


@pytest.fixture
def client(admin: User) -> Client:
    browser = Client()
    browser.force_login(admin)
    return browser


def address(connection: Connection, page: str = "connection-try") -> str:
    return reverse(f"admin:{page}", args=[connection.pk])


def sent(client: Client, connection: Connection, read: str, **arguments: str) -> str:
    given = {f"argument_{name}": value for name, value in arguments.items()}
    answer = client.post(address(connection), {"read": read, **given})
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


# --- trying a read ----------------------------------------------------------------------------------
def test_a_read_is_tried_with_arguments_and_tells_what_came_back(client: Client, orders: Orders) -> None:
    orders.put("7", note="Mind the step")
    connection = make_api(labels={"note": "personal"}, cleared=["personal"])

    page = client.get(address(connection) + "?read=order.get").content.decode()
    body = sent(client, connection, "order.get", id="7")

    assert 'name="argument_id"' in page
    assert "Answered 200 with 1 record, in 1 request" in body
    assert "<td>status</td><td>open</td>" in body
    assert f"<td>note</td><td>{HIDDEN}</td>" in body
    assert "Mind the step" not in body
    assert Call.objects.get().actor == "admin"


@pytest.mark.parametrize(
    ("read", "arguments", "said"),
    [
        ("order.get", {}, "This field is required."),
        ("order.get", {"id": "9"}, "with 0 records"),
        ("order.get", {"id": "x" * 41}, "at most 40 characters"),
        ("orders.list", {"reference": "r"}, "with 0 records"),
    ],
)
def test_what_is_wrong_with_a_try_is_said(
    client: Client, orders: Orders, read: str, arguments: dict[str, str], said: str
) -> None:
    assert said in sent(client, make_api(), read, **arguments)


def test_an_answer_that_repeats_the_key_does_not_show_it(client: Client, orders: Orders, played: Played) -> None:
    played.on("GET", "/v1/orders/7", httpx.Response(403, json={"title": f"{SECRET} may not"}))

    body = sent(client, make_api(), "order.get", id="7")

    assert "may not" in body
    assert SECRET not in body


def test_a_read_that_is_not_allowed_is_not_tried(client: Client, orders: Orders) -> None:
    body = sent(client, make_api(reads=["orders.list"]), "order.get", id="7")

    assert "order.get" in body
    assert orders.played.requests == []


def test_only_those_who_may_change_a_connection_try_its_reads(orders: Orders, viewer: User) -> None:
    browser = Client()
    browser.force_login(viewer)

    assert browser.get(address(make_api())).status_code in (302, 403)


# --- the connection test ----------------------------------------------------------------------------
def health_of(played: Played, **statuses: int) -> Any:
    for name, status in statuses.items():
        answer = httpx.Response(status, json=[{"id": "1"}] if status == 200 else {"title": "Closed"})
        played.on("GET", f"/{name}", answer)
    return actions.test_connection(make_api(FREE, config=CHOSEN), actor="test")


def test_a_connection_test_tells_what_each_read_answered_and_which_was_not_tried(db: None, played: Played) -> None:
    health = health_of(played, part0=200, part1=404, part2=200)

    assert not health.ok
    assert [tried.rpartition("/")[2] for tried in health.tried] == ["part0", "part1", "part2"]
    assert "part_0.get answers with 1 record;" in health.message
    assert "part_1.get does not answer:" in health.message
    assert "Closed" in health.message
    assert health.message.endswith("Not tried: part_3.get.")


def test_where_the_first_read_does_not_answer_no_other_is_tried(db: None, played: Played) -> None:
    health = health_of(played, part0=401, part1=200)

    assert not health.ok
    assert {request.url.path for request in played.requests} == {"/part0"}


# --- what it offers ---------------------------------------------------------------------------------
def test_what_a_document_offers_stands_beside_what_is_chosen_and_allowed(client: Client, orders: Orders) -> None:
    config = {"chosen": ["orders.list", "order.get", "order.update"], "waiting": ["order.delete"],
              "declarations": "order.update: {read_back: order.get, undo: order.update}"}  # fmt: skip
    connection = make_api(config=config, operations=["order.update"], reads=["order.get"])

    body = client.post(address(connection, "connection-discover")).content.decode()

    rows = {line.split("(")[-1].split(")")[0]: line for line in body.splitlines() if "<tr><td>" in line}
    assert "may use it" in rows["order.update"]
    assert "may read it" in rows["order.get"]
    assert "chosen, not allowed" in rows["orders.list"]
    assert "waits for its declaration" in rows["order.delete"]
    assert "not chosen" in rows["order.create"]
    assert orders.played.requests == []
