"""REST APIs declared by their forms alone: suggestions, questions, refusals beside them, the same text as in files."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from connectors import actions, gateway
from connectors.base import Reversible, Write
from connectors.kinds.openapi import example
from connectors.kinds.openapi.declarations import declared
from connectors.kinds.openapi.material import Material
from connectors.kinds.openapi.suggesting import suggested
from connectors.models import Connection, KeptText
from connectors.registry import operation_of, operations_of
from tests.connectors.factories import SECRET, Played
from tests.connectors.openapi_world import HOST, Orders, document, make_api, operation, parameter
from tests.connectors.page_form import PageForm

ADD = "admin:connectors_connection_add"
SHEET = "config_declarations:{}:{}"


@pytest.fixture
def client(admin: User) -> Client:
    browser = Client()
    browser.force_login(admin)
    return browser


def asked(operation: str, question: str) -> str:
    return SHEET.format(operation, question)


def fresh(client: Client, text: str = example.DOCUMENT) -> PageForm:
    form = PageForm(client.get(reverse(ADD) + "?kind=openapi").content.decode())
    form.write("slug", "api").write("label", "Orders").write("config_base_url", HOST)
    return form.write("config_document", text)


def look(client: Client, form: PageForm, address: str = "") -> PageForm:
    """Press “List what the document offers”."""
    answer = client.post(address or reverse(ADD) + "?kind=openapi", form.sent(_look="1"))
    assert answer.status_code == 200
    return PageForm(answer.content.decode())


def save(client: Client, form: PageForm, address: str = "", **more: Any) -> Any:
    return client.post(address or reverse(ADD) + "?kind=openapi", form.sent(**more))


def change_of(connection: Connection) -> str:
    return reverse("admin:connectors_connection_change", args=[connection.pk])


def page(client: Client, connection: Connection) -> PageForm:
    return PageForm(client.get(change_of(connection)).content.decode())


def refused(answer: Any) -> dict[tuple[str, str], str]:
    form = answer.context["adminform"].form
    return dict(form.declaring.errors) or {("form", name): str(said) for name, said in form.errors.items()}


# --- two saves -------------------------------------------------------------------------------------
def test_from_a_pasted_document_two_saves_lead_to_a_write_that_is_allowed(client: Client, played: Played) -> None:
    orders = Orders(played)
    orders.put("7")
    offered = look(client, fresh(client))
    assert not Connection.objects.exists()
    assert not KeptText.objects.exists()

    first = save(client, offered.tick("config_chosen", "order.get", "order.update").write("secret_api_key", SECRET))
    connection = Connection.objects.get()
    form = page(client, connection)
    form.tick(asked("order.update", "confirmed")).tick(asked("order.update", "allow"))
    second = save(client, form, change_of(connection))

    connection.refresh_from_db()
    assert (first.status_code, second.status_code) == (302, 302), second.status_code == 200 and refused(second)
    assert (connection.operations, connection.config["waiting"]) == (["order.update"], [])
    assert connection.config["chosen"] == ["order.get", "order.update"]
    assert connection.config["declarations"] == "order.update:\n  read_back: order.get\n  undo: order.update"
    assert actions.test_connection(connection, actor="test").ok
    gateway.call(connection, "order.update", {"id": "7", "status": "held"}, actor="test", effect_key="k1")
    assert orders.rows["7"]["status"] == "held"


def test_a_chosen_write_waits_until_its_suggestion_is_confirmed(client: Client) -> None:
    save(client, look(client, fresh(client)).tick("config_chosen", "order.get", "order.update"))
    connection = Connection.objects.get()
    body = client.get(change_of(connection)).content.decode()

    save(client, page(client, connection), change_of(connection))

    connection.refresh_from_db()
    assert (connection.config["waiting"], connection.config["declarations"]) == (["order.update"], "")
    assert [one.name for one in operations_of(connection)] == ["order.get"]
    assert "1 chosen write waits for you" in body
    assert "GET /orders/{id} shows the same record, before and after." in body


def test_looking_keeps_what_was_entered_and_says_what_is_wrong_with_the_document_alone(client: Client) -> None:
    form = fresh(client).write("slug", "not a slug").write("config_document", "{")
    answer = client.post(reverse(ADD) + "?kind=openapi", form.sent(_look="1"))

    assert set(answer.context["adminform"].form.errors) == {"config_document"}
    assert PageForm(answer.content.decode()).values["slug"] == ["not a slug"]


def test_no_secret_is_sent_back_into_the_page_by_looking(client: Client) -> None:
    answer = client.post(reverse(ADD) + "?kind=openapi", fresh(client).write("secret_api_key", SECRET).sent(_look="1"))

    assert SECRET not in answer.content.decode()


# --- every question is heard ------------------------------------------------------------------------
def test_a_creation_is_declared_with_its_mark_and_taken_back_by_it(client: Client, played: Played) -> None:
    orders = Orders(played)
    form = look(client, fresh(client)).tick("config_chosen", *example.CHOSEN)
    form = look(client, form)
    for name in ("order.create", "order.delete", "order.update"):
        form.tick(asked(name, "confirmed"))

    answer = save(client, form.tick(asked("order.create", "allow")), secret_api_key=SECRET)

    assert answer.status_code == 302, answer.status_code == 200 and refused(answer)
    connection = Connection.objects.get()
    assert connection.operations == ["order.create", "order.delete_marked"]
    told = declared(connection.config["declarations"])["order.create"]
    assert (told.creates, told.marker, told.undo, told.undo_with) == (
        True, "reference", "order.delete", {"id": "found.id"}
    )  # fmt: skip
    gateway.call(connection, "order.create", {"status": "open"}, actor="test", effect_key="k1")
    assert orders.rows["O-1"]["reference"] == "k1"
    gateway.call(connection, "order.delete_marked", {"key": "k1"}, actor="test", effect_key="k2")
    assert orders.rows == {}


BILL = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "state": {"type": "string"}, "total": {"type": "number"},
                   "currency": {"type": "string"}, "payer_email": {"type": "string"}, "paid": {"type": "boolean"}},
}  # fmt: skip
KEY = parameter("Idempotency-Key", "header")
PAYER = {"type": "object", "properties": {"payer_email": {"type": "string"}}}
QUERY = {"type": "object", "properties": {"q": {"type": "string"}}}
UPLOAD = {"required": True, "content": {"multipart/form-data": {"schema": {"type": "object"}}}}
BILLS = document(
    {
        "/bills/{id}": {"parameters": [parameter("id", "path")], "get": operation(operationId="getBill", answer=BILL)},
        "/bills/{id}/pay": {
            "parameters": [parameter("id", "path"), KEY],
            "post": operation(operationId="payBill", body=PAYER),
        },
        "/bills/{id}/unpay": {"parameters": [parameter("id", "path"), KEY], "post": operation(operationId="unpayBill")},
        "/bills/search": {"post": operation(operationId="searchBills", body=QUERY)},
        "/files": {"post": {"operationId": "uploadFile", "requestBody": UPLOAD, "responses": {}}},
    }
)  # fmt: skip


def test_what_a_hand_written_document_suggests_of_each_operation() -> None:
    known = Material(BILLS, "bills.test")

    paying, searching = suggested(known, "bill.pay"), suggested(known, "bills.search")

    assert paying.parts == {
        "read_back": "bill.get", "undo": "bill.unpay", "idempotency_key": "Idempotency-Key", "financial": True,
        "amount": "before.total", "currency": "before.currency", "risk": "high",
    }  # fmt: skip
    assert paying.labels == {"payer_email": "personal"}
    assert "name a field and its value" in " ".join(paying.reasons)
    assert searching.parts == {"reads": True}


def test_money_marks_header_and_labels_are_answered_without_yaml(client: Client) -> None:
    offered = look(client, fresh(client, BILLS))
    form = look(client, offered.tick("config_chosen", "bill.pay", "bill.unpay", "bills.search"))
    for name, value in (("bill.pay", "true"), ("bill.unpay", "false")):
        form.tick(asked(name, "confirmed")).write(asked(name, "becomes_field"), "paid")
        form.write(asked(name, "becomes_value"), value)
    form.choose(asked("bill.unpay", "amount"), "before.total").write(asked("bill.unpay", "currency"), "EUR")
    form.tick(asked("bills.search", "confirmed")).tick(asked("bill.pay", "allow"))

    answer = save(client, form)

    assert answer.status_code == 302, answer.status_code == 200 and refused(answer)
    connection = Connection.objects.get()
    told = declared(connection.config["declarations"])
    assert told["bill.pay"].becomes == {"paid": True}
    assert told["bill.unpay"].becomes == {"paid": False}
    assert (told["bill.unpay"].amount, told["bill.unpay"].currency) == ("before.total", "=EUR")
    assert told["bills.search"].reads
    assert connection.labels == {"payer_email": "personal"}
    assert connection.operations == ["bill.pay", "bill.unpay"]
    assert connection.config["chosen"] == ["bill.pay", "bill.unpay", "bills.search", "bill.get"]
    pay = operation_of(connection, "bill.pay")
    assert isinstance(pay, Write)
    assert (pay.financial, pay.reversible) == (True, Reversible.EXACT)


def test_an_operation_that_cannot_be_used_says_why_and_asks_nothing(client: Client) -> None:
    form = look(client, look(client, fresh(client, BILLS)).tick("config_chosen", "file.upload"))
    body = client.post(reverse(ADD) + "?kind=openapi", form.sent(_look="1")).content.decode()

    assert asked("file.upload", "what") not in form.values
    assert "only JSON can be sent" in body


@pytest.mark.parametrize(
    ("answers", "operation", "question", "said"),
    [
        ({"read_back": ""}, "order.update", "read_back", "Choose the read that shows the record."),
        ({"undo": "none"}, "order.update", "undo_reason", "Say why nothing takes it back"),
        ({"idempotency_key": "bad header"}, "order.update", "idempotency_key", "no header that can be sent"),
        ({"amount": "argument.status", "currency": ""}, "order.update", "currency", "Say in which currency"),
        ({"amount": "argument.status", "currency": "euros"}, "order.update", "currency", "argument.NAME"),
        ({"undo": "order.delete"}, "order.update", "undo", "order.delete is not declared yet"),
        ({"marker": "reference", "finder": ""}, "order.create", "finder", "Choose the read that finds"),
        ({"finder_argument": ""}, "order.create", "finder_argument", "Choose the argument"),
        ({"finder_text": "ref eq 'x'"}, "order.create", "finder_text", "Write {effect_key}"),
        ({"marker": ""}, "order.create", "idempotency_key", "could be done twice"),
    ],
)  # fmt: skip
def test_a_refusal_stands_beside_its_question(
    client: Client, answers: dict[str, str], operation: str, question: str, said: str
) -> None:
    form = look(client, look(client, fresh(client)).tick("config_chosen", "order.get", "orders.list", operation))
    form.tick(asked(operation, "confirmed"))
    if answers.get("marker") == "":
        form.choose(asked(operation, "undo"), "none")
        form = look(client, form)
        form.write(asked(operation, "undo_reason"), "Nothing does.")
    sent = form.sent(**{asked(operation, name): value for name, value in answers.items()})

    answer = client.post(reverse(ADD) + "?kind=openapi", sent)

    assert said in refused(answer)[operation, question], refused(answer)
    assert said.replace("'", "&#x27;") in answer.content.decode()
    assert not Connection.objects.exists()
    # What was answered stands there still.
    assert PageForm(answer.content.decode()).values[asked(operation, "confirmed")] == ["on"]


# --- one text ---------------------------------------------------------------------------------------
def test_what_a_file_declares_stands_in_the_form_and_saving_it_unchanged_changes_nothing(client: Client) -> None:
    connection = make_api(config={"declarations": "# ours\n" + example.DECLARATIONS})
    before = dict(connection.config)

    answer = save(client, page(client, connection), change_of(connection))

    connection.refresh_from_db()
    assert answer.status_code == 302, answer.status_code == 200 and refused(answer)
    assert sorted(connection.config.pop("chosen")) == sorted(before.pop("chosen"))
    assert connection.config == before


def test_one_answer_is_changed_and_all_else_that_was_declared_stays(client: Client) -> None:
    connection = make_api()
    form = page(client, connection).choose(asked("order.update", "risk"), "high")

    save(client, form, change_of(connection))

    connection.refresh_from_db()
    before, after = declared(example.DECLARATIONS), declared(connection.config["declarations"])
    assert after.pop("order.update").risk == "high"
    before.pop("order.update")
    assert after == before


def test_a_change_in_the_text_is_heard_and_one_in_both_places_is_refused(client: Client) -> None:
    connection = make_api()
    text = example.DECLARATIONS.replace("undo: order.update", "undo: order.update\n  risk: low")
    answer = save(client, page(client, connection).write("config_declarations", text), change_of(connection))
    connection.refresh_from_db()
    assert answer.status_code == 302, answer.status_code == 200 and refused(answer)
    assert connection.config["declarations"] == text.strip()
    form = page(client, connection).write("config_declarations", text.replace("risk: low", "settle_seconds: 9"))

    both = save(client, form.choose(asked("order.update", "risk"), "high"), change_of(connection))

    assert "order.update was changed here and in its sheet" in refused(both)["", ""]


def test_an_operation_that_is_no_longer_chosen_is_neither_declared_nor_allowed(client: Client) -> None:
    connection = make_api()
    form = page(client, connection)
    form.values["config_chosen"] = ["orders.list", "order.get", "order.update"]

    answer = save(client, form, change_of(connection))

    connection.refresh_from_db()
    assert answer.status_code == 302, answer.status_code == 200 and refused(answer)
    assert connection.operations == ["order.update"]
    assert set(declared(connection.config["declarations"])) == {"order.update"}


def test_a_read_is_told_which_field_names_its_records_and_where_their_version_stands(client: Client) -> None:
    connection = make_api()
    form = page(client, connection).choose(asked("order.get", "version"), "note")
    form.choose(asked("order.get", "key"), "reference")

    answer = save(client, form, change_of(connection))

    connection.refresh_from_db()
    assert answer.status_code == 302, answer.status_code == 200 and refused(answer)
    told = declared(connection.config["declarations"])["order.get"]
    assert (told.key, told.version) == ({"reference": "id"}, "note")


# --- labels -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("operation", ["order.create", "order.update"])
def test_a_label_is_ticked_on_a_sheet_and_taken_away_there_and_others_stay(client: Client, operation: str) -> None:
    connection = make_api(labels={"note": "personal", "City": "personal"})
    boxes = asked(operation, "personal[]")
    save(client, page(client, connection).tick(boxes, "status"), change_of(connection))
    connection.refresh_from_db()
    ticked = dict(connection.labels)
    form = page(client, connection)
    form.values[boxes] = [name for name in form.values[boxes] if name != "status"]

    save(client, form, change_of(connection))

    connection.refresh_from_db()
    assert ticked == {"note": "personal", "City": "personal", "status": "personal"}
    assert connection.labels == {"note": "personal", "City": "personal"}
