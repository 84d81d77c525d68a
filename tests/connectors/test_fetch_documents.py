"""A document by its address: fetched on a click, through the door, shown before it is saved, and never followed."""

import json
from typing import Any

import httpx
import pytest
import yaml
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.models import Entry
from connectors import texts, transport
from connectors.kinds.openapi import example
from connectors.models import Call, Connection, KeptText
from tests.connectors.factories import SECRET, Played
from tests.connectors.openapi_world import HOST, document, make_api, operation
from tests.connectors.page_form import PageForm
from tests.factories import make_user

ADD = "admin:connectors_connection_add"
PLACE = "https://docs.contoso.test/openapi.json?group=orders"
FIELD, READ = "config_document_url", "config_document_url_read"


@pytest.fixture
def client(admin: User) -> Client:
    browser = Client()
    browser.force_login(admin)
    return browser


@pytest.fixture
def site(played: Played) -> Played:
    return played.on("GET", "/openapi.json", httpx.Response(200, text=example.DOCUMENT))


def fresh(client: Client, address: str = PLACE) -> PageForm:
    form = PageForm(client.get(reverse(ADD) + "?kind=openapi").content.decode())
    form.write("slug", "api").write("label", "Orders").write("config_base_url", HOST)
    return form.write(FIELD, address)


def change_of(connection: Connection) -> str:
    return reverse("admin:connectors_connection_change", args=[connection.pk])


def press(client: Client, form: PageForm, address: str = "", **more: Any) -> Any:
    """Press “Fetch”."""
    return client.post(address or reverse(ADD) + "?kind=openapi", form.sent(_fetch="1", **more))


def said(answer: Any) -> str:
    return " ".join(answer.context["adminform"].form.errors.get(FIELD, []))


def altered(change: Any) -> str:
    """The example's document, changed."""
    found = json.loads(example.DOCUMENT)
    change(found)
    return json.dumps(found)


# --- one click ---------------------------------------------------------------------------------------
def test_what_came_back_is_shown_and_becomes_the_document_only_by_saving(client: Client, site: Played) -> None:
    answer = press(client, fresh(client).write("config_document", "something pasted before"))
    body = answer.content.decode()

    assert not Connection.objects.exists()
    for shown in (
        "<b>Orders</b>",
        "version 1",
        "docs.contoso.test",
        f"<code>{texts.reference_to(example.DOCUMENT)[7:]}",
    ):
        assert shown in body
    assert "<dd>5</dd>" in body
    form = PageForm(body).tick("config_chosen", "order.get").write("secret_api_key", SECRET)
    assert form.values["config_document"] == [""]
    saved = client.post(reverse(ADD) + "?kind=openapi", form.sent())

    assert saved.status_code == 302
    config = Connection.objects.get().config
    assert (config["document"], config["document_url"]) == (texts.reference_to(example.DOCUMENT), PLACE)
    assert len(site.requests) == 1


def test_the_document_is_asked_for_once_without_any_secret_and_entered(client: Client, site: Played) -> None:
    press(client, fresh(client).write("secret_api_key", SECRET).write("hook_secret", SECRET))

    (request,) = site.requests
    assert str(request.url) == PLACE
    assert SECRET not in str(request.headers)
    assert "authorization" not in request.headers
    entry = Entry.objects.get(verb="document.fetched")
    assert entry.actor == "admin"
    assert '"host":"docs.contoso.test"' in entry.body
    assert texts.reference_to(example.DOCUMENT) in entry.body


@pytest.mark.parametrize("button", ["_look", "_save", "_continue"])
def test_no_other_button_fetches(client: Client, site: Played, button: str) -> None:
    client.post(reverse(ADD) + "?kind=openapi", fresh(client).sent(**{button: "1"}))

    assert not site.requests


def test_enter_in_a_field_looks_and_does_not_fetch(client: Client) -> None:
    body = client.get(reverse(ADD) + "?kind=openapi").content.decode()
    form = body[body.index('id="connection_form"') :]

    assert form.index('name="_look"') < form.index('name="_fetch"')


def test_yaml_is_read_and_a_mark_at_its_beginning_is_no_part_of_it(client: Client, played: Played) -> None:
    text = yaml.safe_dump(json.loads(example.DOCUMENT))
    played.on("GET", "/openapi.json", httpx.Response(200, content=text.encode("utf-8-sig")))

    answer = press(client, fresh(client))

    assert texts.text_of(texts.reference_to(text)) == text
    assert "version 1" in answer.content.decode()


def test_of_a_saved_connection_the_call_log_keeps_where_it_was_fetched(client: Client, site: Played) -> None:
    connection = make_api()
    form = PageForm(client.get(change_of(connection)).content.decode())

    press(client, form.write(FIELD, PLACE), change_of(connection))

    call = Call.objects.get(operation="document")
    assert (call.connection, call.outcome, call.status, call.requests) == (connection, "ok", 200, 1)
    assert call.arguments == {"address": PLACE}
    assert call.answer["document"] == texts.reference_to(example.DOCUMENT)


# --- who may, and where from -------------------------------------------------------------------------
@pytest.mark.parametrize("role", ["viewer", "auditor", "compliance"])
def test_who_may_not_change_connections_fetches_nothing(db: None, site: Played, role: str) -> None:
    connection = make_api()
    browser = Client()
    browser.force_login(make_user("reader", role=role))

    answers = [
        browser.post(address, {FIELD: PLACE, "_fetch": "1"})
        for address in (reverse(ADD) + "?kind=openapi", change_of(connection))
    ]

    assert {answer.status_code for answer in answers} <= {302, 403}
    assert not site.requests


@pytest.mark.parametrize(
    ("address", "refusal"),
    [
        ("", "Enter the address of the document first"),
        ("docs.contoso.test/openapi.json", "write it as https://host/path"),
        ("https://someone:word@docs.contoso.test/openapi.json", "no user name"),
        ("https://docs.contoso.test/openapi.json?access_token=deadbeef", "a secret stands in it"),
        ("ftp://docs.contoso.test/openapi.json", "write it as https://host/path"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_before_anything_is_sent(
    client: Client, site: Played, address: str, refusal: str
) -> None:
    answer = press(client, fresh(client, address))

    assert refusal in said(answer)
    assert not site.requests


@pytest.mark.parametrize("address", ["https://10.0.0.5/openapi.json", "http://127.0.0.1:9/x", "https://[::1]/x"])
def test_an_inner_address_is_fetched_from_only_where_it_is_allowed(client: Client, db: None, address: str) -> None:
    transport.close_all()

    answer = press(client, fresh(client, address))

    assert "OUTBOUND_ALLOW" in said(answer)
    assert not KeptText.objects.exists()


# --- what comes instead ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("reply", "refusal"),
    [
        (httpx.Response(302, headers={"Location": "https://elsewhere.test/api.json?sig=abc"}),
         "sends on to https://elsewhere.test/api.json, which is not followed"),
        (httpx.Response(301), "sends on to another address"),
        (httpx.Response(401), "choose its file instead"),
        (httpx.Response(404), "often lie at /openapi.json"),
        (httpx.Response(500), "answered with 500. Try again later"),
        (httpx.Response(429, headers={"Retry-After": "3600"}), "answered with 429"),
        (httpx.Response(200, html="<html><title>Swagger UI</title>"), "answered with a web page"),
        (httpx.Response(200, text=""), "answered with nothing"),
        (httpx.Response(200, content=b"\xff\xfe\x00"), "no text in UTF-8"),
        (httpx.Response(200, text='{"swagger": "2.0"}'), "This is Swagger 2.0"),
        (httpx.Response(200, text="just words"), "no OpenAPI 3.0 or 3.1 document"),
        (httpx.ConnectError("refused"), "cannot be reached"),
        (httpx.ReadTimeout("slow"), "did not answer in time. Download it"),
    ],
)  # fmt: skip
def test_what_is_no_document_is_said_with_what_to_do_and_leaves_everything_as_it_was(
    client: Client, played: Played, reply: Any, refusal: str
) -> None:
    connection = make_api()
    before = dict(connection.config)
    played.on("GET", "/openapi.json", reply)
    form = PageForm(client.get(change_of(connection)).content.decode()).write(FIELD, PLACE)

    answer = press(client, form, change_of(connection))

    assert refusal in said(answer)
    connection.refresh_from_db()
    assert connection.config == before
    assert (connection.health, connection.not_before) == ("unknown", None)
    assert KeptText.objects.count() == 1
    assert '"failed"' in Entry.objects.get(verb="document.fetched").body
    assert len(played.requests) == 1


def test_more_than_may_be_taken_is_refused(client: Client, site: Played, settings: Any) -> None:
    settings.OUTBOUND_MAX_BYTES = 100

    assert "more than 100 bytes. Download it" in said(press(client, fresh(client)))


# --- where a document leads --------------------------------------------------------------------------
def test_references_and_servers_elsewhere_are_named_and_never_followed(client: Client, played: Played) -> None:
    elsewhere = {"$ref": "https://schemas.elsewhere.test/order.json#/Order"}
    text = document(
        {"/orders": {"get": operation(operationId="listOrders", answer=elsewhere)},
         "/notes": {"get": operation(operationId="listNotes", answer={"type": "array", "items": {"type": "object"}})}},
        servers=[{"url": "https://api.elsewhere.test/v9"}],
    )  # fmt: skip
    played.on("GET", "/openapi.json", httpx.Response(200, text=text))

    answer = press(client, fresh(client))
    body = answer.content.decode()
    form = PageForm(body).tick("config_chosen", "notes.list").write("secret_api_key", SECRET)
    client.post(reverse(ADD) + "?kind=openapi", form.sent())

    assert "1 other place, such as https://schemas.elsewhere.test/order.json#/Order" in body
    assert "They are not followed" in body
    assert "<dd>api.elsewhere.test</dd>" in body
    assert "Only orders.contoso.test, the base address that you entered, is called" in body
    assert {request.url.host for request in played.requests} == {"docs.contoso.test"}
    # The host stays the one that was entered, as with a document that was pasted.
    assert Connection.objects.get().config["base_url"] == HOST


def test_what_a_document_says_of_itself_is_shown_as_text(client: Client, played: Played) -> None:
    text = altered(lambda found: found["info"].update(title="<script>x</script>", version="<b>1</b>"))
    played.on("GET", "/openapi.json", httpx.Response(200, text=text))

    body = press(client, fresh(client)).content.decode()

    assert "&lt;script&gt;x&lt;/script&gt;" in body
    assert "<script>x</script>" not in body
    assert "<b>1</b>" not in body


# --- fetching again ----------------------------------------------------------------------------------
def _body_of(found: Any, path: str, method: str) -> Any:
    return found["paths"][path][method]["requestBody"]["content"]["application/json"]


def _gone(found: Any) -> None:
    del found["paths"]["/orders/{id}"]["delete"]


def _renamed(found: Any) -> None:
    found["paths"]["/orders/{id}"]["delete"]["operationId"] = "dropOrder"


def _needs_more(found: Any) -> None:
    found["components"]["schemas"]["Order"]["properties"]["unit"] = {"type": "string"}
    found["components"]["schemas"]["Order"]["required"].append("unit")


def _other_type(found: Any) -> None:
    found["components"]["schemas"]["Order"]["properties"]["reference"] = {"type": "string", "maxLength": 9}


def _less(found: Any) -> None:
    del found["components"]["schemas"]["Order"]["properties"]["note"]


def _parameter(found: Any) -> None:
    found["paths"]["/orders"]["get"]["parameters"].append({"name": "unit", "in": "query", "required": True})


def _moved(found: Any) -> None:
    found["servers"] = [{"url": "/v2"}]


def _signs(found: Any) -> None:
    for scheme in found["components"]["securitySchemes"].values():
        scheme["name"] = "X-Other-Key"


@pytest.mark.parametrize(
    ("change", "name", "told"),
    [
        (_gone, "order.delete", "is not in the other document"),
        (_renamed, "order.delete", "is called order.drop now: choose it anew"),
        (_needs_more, "order.create", "needs a new argument: unit"),
        (_other_type, "order.create", "takes other values in: reference"),
        (_less, "order.create", "no longer takes: note"),
        (_less, "order.get", "no longer answers: note"),
        (_parameter, "orders.list", "needs a new argument: unit"),
        (_moved, "order.get", "is served at https://orders.contoso.test/v2 now"),
        (_signs, "order.get", "signs in in another way"),
    ],
)
def test_what_another_document_changes_is_told_and_not_taken_before_it_is_read(
    client: Client, played: Played, change: Any, name: str, told: str
) -> None:
    connection = make_api()
    before = dict(connection.config)
    played.on("GET", "/openapi.json", httpx.Response(200, text=altered(change)))
    form = PageForm(client.get(change_of(connection)).content.decode()).write(FIELD, PLACE)

    answer = press(client, form, change_of(connection))
    changes = {one.name: one.changes for one in answer.context["adminform"].form.fields[FIELD].widget.differences}
    unread = client.post(change_of(connection), PageForm(answer.content.decode()).sent())

    assert told in changes[name]
    assert told in answer.content.decode()
    assert "read what it changes and tick the box" in said(unread)
    connection.refresh_from_db()
    assert connection.config == before


def test_what_was_read_is_taken_and_what_is_gone_is_neither_chosen_nor_allowed(client: Client, played: Played) -> None:
    connection = make_api()
    played.on("GET", "/openapi.json", httpx.Response(200, text=altered(_gone)))
    form = PageForm(client.get(change_of(connection)).content.decode()).write(FIELD, PLACE)
    shown = PageForm(press(client, form, change_of(connection)).content.decode()).tick(READ, _digest(altered(_gone)))
    for name, question in (("order.create", "undo"), ("order.create", "undo_reason")):
        shown.values.pop(f"config_declarations:{name}:{question}", None)
    declared = {"config_declarations:order.create:undo": "none",
                "config_declarations:order.create:undo_reason": "Nothing deletes orders any more."}  # fmt: skip

    answer = client.post(change_of(connection), shown.sent(**declared))

    assert answer.status_code == 302, answer.context["adminform"].form.declaring.errors
    connection.refresh_from_db()
    assert connection.config["document"] == texts.reference_to(altered(_gone))
    assert "order.delete" not in connection.config["chosen"]
    assert not [name for name in connection.operations if name.startswith("order.delete")]


def test_a_tick_holds_for_the_document_that_was_shown_and_no_other(client: Client, played: Played) -> None:
    connection = make_api()
    played.on("GET", "/openapi.json", httpx.Response(200, text=altered(_moved)))
    form = PageForm(client.get(change_of(connection)).content.decode()).write(FIELD, PLACE)
    shown = PageForm(press(client, form, change_of(connection)).content.decode()).tick(READ, _digest(altered(_moved)))
    shown.write("config_document", altered(_less))

    answer = client.post(change_of(connection), shown.sent())

    assert "read what it changes" in said(answer)


def test_another_text_that_changes_nothing_that_is_used_needs_no_tick(client: Client, played: Played) -> None:
    def said_otherwise(found: Any) -> None:
        found["info"]["version"] = "2"
        found["paths"]["/orders"]["get"]["summary"] = "All orders"
        found["components"]["schemas"]["Order"]["properties"]["note"]["description"] = "What people write."
        found["paths"]["/others"] = {"get": operation(operationId="listOthers", answer={"type": "object"})}

    connection = make_api()
    text = altered(said_otherwise)
    played.on("GET", "/openapi.json", httpx.Response(200, text=text))
    form = PageForm(client.get(change_of(connection)).content.decode()).write(FIELD, PLACE)
    shown = PageForm(press(client, form, change_of(connection)).content.decode())

    answer = client.post(change_of(connection), shown.sent())

    assert answer.status_code == 302, answer.context["adminform"].form.errors
    connection.refresh_from_db()
    assert connection.config["document"] == texts.reference_to(text)


def test_a_pasted_document_is_held_in_the_same_way(client: Client, db: None) -> None:
    connection = make_api()
    form = PageForm(client.get(change_of(connection)).content.decode()).write("config_document", altered(_needs_more))

    answer = client.post(change_of(connection), form.sent())
    again = PageForm(answer.content.decode())

    assert "needs a new argument: unit" in answer.content.decode()
    taken = client.post(change_of(connection), again.tick(READ, _digest(altered(_needs_more))).sent())
    assert taken.status_code == 302, taken.context["adminform"].form.declaring.errors


def _digest(text: str) -> str:
    return texts.reference_to(text).removeprefix("sha256:")
