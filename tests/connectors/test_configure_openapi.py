"""REST APIs in the admin and in files: the document is kept apart, the choice is the form's, nothing is half saved."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from audit.errors import Invalid
from audit.models import Entry
from connectors import actions, gateway, registry, texts
from connectors.base import Blocked
from connectors.kinds.openapi import example
from connectors.manifests import ConnectionDocument, apply_connection, plan_connection
from connectors.models import Call, Connection, KeptText
from insights.detectors.queries import reads_of
from tests.connectors.factories import SECRET
from tests.connectors.openapi_world import HOST, SECRETS, document, make_api

ADD = "admin:connectors_connection_add"
FORM = {"slug": "api", "label": "Orders", "enabled": "on", "config_base_url": HOST, "secret_api_key": SECRET}


@pytest.fixture
def client(admin: User) -> Client:
    browser = Client()
    browser.force_login(admin)
    return browser


def post(client: Client, **changes: Any) -> Any:
    page = client.get(reverse(ADD) + "?kind=openapi")
    form = page.context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    started = {name: value for name, value in values.items() if value not in (None, "", False)}
    return client.post(reverse(ADD) + "?kind=openapi", {**started, **FORM, **changes})


def errors(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200
    return dict(answer.context["adminform"].form.errors)


# --- the document ----------------------------------------------------------------------------------
def test_the_document_is_kept_once_and_named_by_its_digest_in_row_history_and_ledger(db: None) -> None:
    connection = make_api()
    actions.update_connection(connection, actor="automation", label="Other")
    make_api(slug="second")

    named = texts.reference_to(example.DOCUMENT)
    assert connection.config["document"] == named
    assert KeptText.objects.count() == 1
    assert texts.text_of(named) == example.DOCUMENT
    assert "createOrder" not in "".join(Entry.objects.values_list("body", flat=True))
    assert "createOrder" not in str(list(Connection.history.values_list("config", flat=True)))


def test_a_reference_to_a_text_that_is_not_here_is_refused(db: None) -> None:
    with pytest.raises(Invalid) as refused:
        make_api(config={"document": "sha256:" + "0" * 64, "chosen": [], "declarations": ""})

    assert "enter it again" in refused.value.errors["document"][0]


def test_a_connection_whose_document_is_gone_does_nothing_and_says_so(db: None) -> None:
    connection = make_api()
    Connection.objects.filter(pk=connection.pk).update(config={**connection.config, "document": "sha256:" + "1" * 64})
    connection.refresh_from_db()

    with pytest.raises(Blocked, match="document"):
        gateway.call(connection, "order.get", {"id": "1"}, actor="test")

    assert registry.operations_of(connection) == ()
    assert Call.objects.get().outcome == "blocked"


@pytest.mark.parametrize(
    "address",
    ["ftp://h", "https://", "https://user:pw@h", "https://h?x=1", "https://h#x", "https://h/../x",
     "javascript:alert(1)",
     "https://{host}:{port}/x", "https://h:99999", "https://h\\@evil.test", "h", "https://h/%2e%2e"],
)  # fmt: skip
def test_an_address_that_does_not_say_everything_itself_is_refused(db: None, address: str) -> None:
    for name in ("base_url", "token_url"):
        with pytest.raises(Invalid) as refused:
            make_api(config={name: address})

        assert name in refused.value.errors


# --- the form --------------------------------------------------------------------------------------
def test_the_first_form_asks_for_the_document_and_the_next_offers_its_operations(client: Client) -> None:
    before = client.get(reverse(ADD) + "?kind=openapi").content.decode()
    answer = post(client, config_document=example.DOCUMENT)
    connection = Connection.objects.get(slug="api")
    page = client.get(reverse("admin:connectors_connection_change", args=[connection.pk])).content.decode()

    assert answer.status_code == 302
    assert "Nothing to choose from yet" in before
    assert "PATCH /orders/{id} – Change an order (order.update)" in page
    assert "0 of 5 chosen" in page
    assert f"Kept ({connection.config['document'][:19]}…)" in page
    assert "createOrder" not in page
    assert "js/offered.js" in page
    assert SECRET not in page


def test_choice_and_declarations_are_held_and_kept_and_what_they_make_can_be_allowed(client: Client) -> None:
    more = {"config_chosen": example.CHOSEN, "config_declarations": example.DECLARATIONS}

    answer = post(client, config_document=example.DOCUMENT, operations=["order.update"], reads=["order.get"], **more)

    connection = Connection.objects.get(slug="api")
    assert answer.status_code == 302
    assert (connection.operations, connection.reads) == (["order.update"], ["order.get"])
    assert connection.config["chosen"] == example.CHOSEN
    assert {name for name, _ in reads_of(connection)} == {"orders.list", "order.get"}


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({}, "config_document", "required"),
        ({"config_document": "{"}, "config_document", "not JSON"),
        ({"config_document": example.DOCUMENT, "config_chosen": ["drop.all"]}, "config_chosen", "has no drop.all"),
        ({"config_document": example.DOCUMENT, "config_chosen": ["order.get"],
          "config_declarations": "order.update: {}"}, "config_declarations", "order.update: declared, but not chosen"),
        ({"config_document": example.DOCUMENT, "operations": ["order.update"]}, "operations", "Unknown: order.update"),
        ({"config_document": example.DOCUMENT, "reads": ["order.get"]}, "reads", "order.get"),
        ({"config_document": example.DOCUMENT, "config_check_with": "order.get"}, "config_check_with", "no arguments"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_kept(
    client: Client, changes: dict[str, Any], field: str, said: str
) -> None:
    found = errors(post(client, **changes))

    assert said in str(found[field])
    assert not Connection.objects.exists()
    assert not KeptText.objects.exists()


def test_every_write_that_a_file_does_not_declare_is_named_with_a_proposal(db: None) -> None:
    with pytest.raises(Invalid) as refused:
        make_api(config={"declarations": ""})

    found = str(refused.value.errors)
    assert "order.create is not declared. Begin with “order.create: {read_back: orders.list, creates: true" in found
    assert "order.delete is not declared. Begin with “order.delete: {read_back: order.get, removes: true" in found


def test_a_document_can_be_uploaded_and_a_file_that_is_no_text_is_refused(client: Client) -> None:
    bad = post(client, config_document_file=SimpleUploadedFile("a.json", b"\xff\xfe\x00"))
    good = post(client, config_document_file=SimpleUploadedFile("a.json", example.DOCUMENT.encode()))

    assert "UTF-8" in str(errors(bad)["config_document_file"])
    assert good.status_code == 302
    assert Connection.objects.get().config["document"] == texts.reference_to(example.DOCUMENT)


def test_a_change_of_the_label_leaves_document_choice_and_operations_as_they_are(client: Client) -> None:
    connection = make_api()
    address = reverse("admin:connectors_connection_change", args=[connection.pk])
    form = client.get(address).context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    kept = {name: value for name, value in values.items() if value not in (None, "", False)}

    answer = client.post(address, {**kept, "label": "Other"})

    after = Connection.objects.get()
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert (after.label, after.config, after.operations) == ("Other", connection.config, connection.operations)


def test_a_document_of_hundreds_of_operations_is_offered_in_groups(client: Client) -> None:
    paths = {f"/part{number}": {"get": {"operationId": f"getPart{number}", "tags": [f"g{number % 9}"]}}
             for number in range(900)}  # fmt: skip
    post(client, config_document=document(paths))
    address = reverse("admin:connectors_connection_change", args=[Connection.objects.get().pk])

    page = client.get(address).content.decode()

    assert "0 of 900 chosen" in page
    assert page.count("offered-group") == 9


# --- stops, all writes, files ----------------------------------------------------------------------
def test_one_operation_of_one_connection_can_be_stopped_by_its_name(db: None) -> None:
    connection = make_api()

    actions.stop_everything(reason="Wrong", actor="operator", connection=connection, operation="order.update")
    actions.stop_everything(reason="Wrong", actor="operator", operation="order.create")

    with pytest.raises(Invalid, match="There is no operation order"):
        actions.stop_everything(reason="Wrong", actor="operator", connection=connection, operation="order.fly")
    with pytest.raises(Blocked, match="Emergency stop"):
        gateway.call(connection, "order.update", {"id": "1", "status": "held"}, actor="test", effect_key="k")


def test_all_writes_are_those_that_were_chosen_with_what_takes_them_back(db: None) -> None:
    assert make_api().operations == ["order.create", "order.delete", "order.delete_marked", "order.update"]


def test_a_file_describes_a_rest_api_and_is_applied_once(
    db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying = tmp_path / "orders.json"
    lying.write_text(example.DOCUMENT)
    monkeypatch.setenv("ORDERS_KEY", SECRETS["api_key"])
    written = ConnectionDocument.model_validate(
        {
            "kind": "connection", "slug": "api", "connector": "openapi", "operations": ["*"],
            "secrets": {"api_key": "env:ORDERS_KEY"},
            "config": {"base_url": HOST, "document": f"file:{lying}", "chosen": example.CHOSEN,
                       "declarations": example.DECLARATIONS},
        }
    )  # fmt: skip

    assert plan_connection(written)
    assert not KeptText.objects.exists()
    assert apply_connection(written, "automation")
    assert not apply_connection(written, "automation")
    assert plan_connection(written) == []
    assert len(registry.operations_of(Connection.objects.get())) == 6
