"""Many chosen writes: each has its sheet, those beyond the first few as headings that are opened one by one."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from connectors.kinds.openapi.declarations import declared
from connectors.kinds.openapi.drawing import MOST_DRAWN
from connectors.models import Connection
from tests.connectors.openapi_world import document, make_api, operation, parameter
from tests.connectors.page_form import PageForm

MANY = 60
THING = {"type": "object", "properties": {"id": {"type": "string"}, "state": {"type": "string"}}}
NAMES = [f"thing{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(MANY)]
PATHS = {
    f"/{name}/{{id}}": {
        "parameters": [parameter("id", "path")],
        "get": operation(operationId=f"get{name.title()}", answer=THING),
        "patch": operation(operationId=f"update{name.title()}", body=THING, answer=THING),
    }
    for name in NAMES
}
WRITES = [f"{name}.update" for name in NAMES]
QUESTION = "config_declarations:{}:{}"


@pytest.fixture
def client(admin: User) -> Client:
    browser = Client()
    browser.force_login(admin)
    return browser


@pytest.fixture
def connection(db: None) -> Connection:
    """Sixty writes that wait."""
    config = {"chosen": [], "waiting": WRITES, "declarations": ""}
    return make_api(document(PATHS), "https://things.test", config=config, operations=[])


def address(connection: Connection) -> str:
    return reverse("admin:connectors_connection_change", args=[connection.pk])


def page(client: Client, connection: Connection, **sent: Any) -> str:
    if not sent:
        return client.get(address(connection)).content.decode()
    return client.post(address(connection), sent).content.decode()


def headings(body: str) -> list[str]:
    return re.findall(r'data-operation="([^"]+)" data-folded', body)


def test_each_has_a_sheet_and_only_the_first_are_drawn(client: Client, connection: Connection) -> None:
    body = page(client, connection)

    sheets = re.findall(r'<details class="sheet suggested" data-operation="([^"]+)"', body)
    assert sheets == WRITES
    assert headings(body) == WRITES[MOST_DRAWN:]
    assert body.count('" open>') == 1
    assert "60 chosen writes wait for you" in body


def test_one_that_is_opened_shows_its_questions_and_keeps_what_was_answered(
    client: Client, connection: Connection
) -> None:
    last, first = WRITES[-1], WRITES[0]
    form = PageForm(page(client, connection)).choose(QUESTION.format(first, "risk"), "high")

    opened = page(client, connection, **form.sent(_open=last))

    again = PageForm(opened)
    assert again.values[QUESTION.format(last, "read_back")] == [f"{NAMES[-1]}.get"]
    assert again.values[QUESTION.format(first, "risk")] == ["high"]
    assert last not in headings(opened)
    assert f'data-operation="{last}" open>' in opened
    assert not Connection.objects.get().operations
    # What was opened stays drawn when the page is drawn anew.
    assert last not in headings(page(client, connection, **again.sent(_look="1")))


def test_all_can_be_opened_and_confirmed_in_one_save(client: Client, connection: Connection) -> None:
    form = PageForm(page(client, connection))
    form = PageForm(page(client, connection, **form.sent(_open=WRITES[MOST_DRAWN:])))
    for name in WRITES[:40]:
        form.tick(QUESTION.format(name, "confirmed")).tick(QUESTION.format(name, "allow"))
    sent = form.sent()

    answer = client.post(address(connection), sent)

    assert answer.status_code == 302, answer.context["adminform"].form.declaring.errors
    connection.refresh_from_db()
    assert sorted(declared(connection.config["declarations"])) == sorted(WRITES[:40])
    assert connection.operations == WRITES[:40]
    assert sorted(connection.config["waiting"]) == sorted(WRITES[40:])
    assert sum(len(values) for values in sent.values()) < settings.DATA_UPLOAD_MAX_NUMBER_FIELDS / 3


def test_what_stays_a_heading_stays_as_it_was_declared(client: Client, db: None) -> None:
    told = "\n".join(
        f"{one}: {{read_back: {name}.get, undo: {one}, risk: high}}" for name, one in zip(NAMES, WRITES, strict=True)
    )
    reads = [f"{name}.get" for name in NAMES[:40]]
    told = "\n".join(told.splitlines()[:40])
    config = {"chosen": [*reads, *WRITES[:40]], "declarations": told}
    connection = make_api(document(PATHS), "https://things.test", config=config)
    form = PageForm(page(client, connection))
    assert len(form.values) < 1000

    answer = client.post(address(connection), form.choose(QUESTION.format(WRITES[0], "risk"), "low").sent())

    assert answer.status_code == 302, answer.context["adminform"].form.declaring.errors
    connection.refresh_from_db()
    after = declared(connection.config["declarations"])
    assert after.pop(WRITES[0]).risk == "low"
    before = declared(told)
    before.pop(WRITES[0])
    assert after == before
    assert connection.operations == sorted(WRITES[:40])
