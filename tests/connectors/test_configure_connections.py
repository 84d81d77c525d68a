"""Connections through the actions, the admin and files: valid, audited, and with secrets as set or not set only."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.errors import Invalid
from audit.models import Entry
from connectors import actions, vault
from connectors.inbound.webhooks import hook_digest
from connectors.manifests import ConnectionDocument, apply_connection, plan_connection
from connectors.models import Call, Connection, Delivery, EmergencyStop
from tests.connectors.conftest import Simulated
from tests.connectors.factories import HOOK_SECRET, ROOT, SECRET, TENANT, Played, make_crm, make_fo

NEW_SECRET = "another-secret-altogether"
FORM = {
    "slug": "erp", "label": "Our ERP", "enabled": "on", "config_environment_url": ROOT, "config_tenant": TENANT,
    "config_client_id": "goldseam", "config_authority": "https://login.microsoftonline.com", "config_page_size": "500",
    "secret_client_secret": SECRET, "hook_secret": HOOK_SECRET, "operations": ["hold.release", "charge.update"],
    "change_reason": "First connection",
}  # fmt: skip


@pytest.fixture
def client(admin: User) -> Client:
    browser = Client()
    browser.force_login(admin)
    return browser


def entries(verb: str) -> list[Entry]:
    return list(Entry.objects.filter(verb=verb))


# --- actions ---------------------------------------------------------------------------------------
def test_a_new_connection_is_entered_in_the_ledger_without_its_secrets(db: None) -> None:
    make_fo(reason="For the demo")

    entry = entries("connection.added")[0]
    assert '"secret client_secret":"set"' in entry.body
    assert SECRET not in entry.body
    assert HOOK_SECRET not in entry.body
    assert entry.reason == "For the demo"


def test_a_change_names_what_changed_and_a_renewed_secret_as_renewed(db: None) -> None:
    connection = make_fo()

    actions.update_connection(connection, actor="automation", label="ERP", secrets={"client_secret": NEW_SECRET})

    body = entries("connection.changed")[0].body
    assert '"before":{"label":"fo"}' in body
    assert '"secrets_renewed":["client_secret"]' in body
    assert vault.open_sealed(connection, "client_secret", connection.secrets["client_secret"]) == NEW_SECRET


def test_a_change_of_nothing_is_not_entered(db: None) -> None:
    actions.update_connection(make_fo(), actor="automation", label="fo")

    assert entries("connection.changed") == []


def test_a_secret_can_be_set_alone_and_taken_away(db: None) -> None:
    connection = make_fo(secret="")

    actions.set_secret(connection, "client_secret", SECRET, actor="automation")
    was_set = "client_secret" in Connection.objects.get().secrets
    actions.set_secret(connection, "client_secret", "", actor="automation")

    assert was_set
    assert Connection.objects.get().secrets == {}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"config": {"environment_url": "not an address"}}, "environment_url"),
        ({"config": {"surprise": 1}}, "surprise"),
        ({"config": {"page_size": 0}}, "page_size"),
        ({"operations": ["order.get"]}, "operations"),
        ({"operations": ["drop.everything"]}, "operations"),
        ({"hook_secret": "short"}, "hook_secret"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_field(db: None, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        make_fo(**changes)

    assert field in refused.value.errors
    assert not Connection.objects.exists()


def test_unknown_kinds_secrets_and_taken_names_are_refused(db: None) -> None:
    connection = make_fo()

    with pytest.raises(Invalid, match="already"):
        make_fo()
    with pytest.raises(Invalid, match="no secret api_key"):
        actions.set_secret(connection, "api_key", SECRET, actor="automation")
    with pytest.raises(Invalid, match="no kind abacus"):
        actions.create_connection("s", "abacus", actor="automation")


def test_all_writes_are_written_out_when_all_are_allowed(db: None) -> None:
    connection = make_fo(operations=["*"])

    assert "invoice.credit" in connection.operations
    assert "order.get" not in connection.operations
    assert "*" not in connection.operations


def test_a_stop_needs_a_reason_is_one_and_ends_once(db: None) -> None:
    with pytest.raises(Invalid):
        actions.stop_everything(reason=" ", actor="operator")

    first = actions.stop_everything(reason="Wrong prices", actor="operator")
    second = actions.stop_everything(reason="Again", actor="approver")
    standing = actions.stopped()
    ended = actions.resume(reason="Right again", actor="operator")

    assert first == second == standing
    assert ended == 1
    assert actions.stopped() is None
    with pytest.raises(actions.NothingStopped):
        actions.resume(reason="Again", actor="operator")
    assert [len(entries(verb)) for verb in ("stop.started", "stop.ended")] == [1, 1]


def test_a_stop_of_one_connection_is_seen_there_only(db: None) -> None:
    fo, crm = make_fo(), make_crm()

    actions.stop_everything(reason="Credit notes look wrong", actor="operator", connection=fo)

    assert actions.stopped() is None
    assert actions.stopped(fo) is not None
    assert actions.stopped(crm) is None


# --- admin -----------------------------------------------------------------------------------------
def test_the_first_connection_is_made_step_by_step_and_shows_no_secret(client: Client) -> None:
    choice = client.get(reverse("admin:connectors_connection_add"))
    form = client.get(reverse("admin:connectors_connection_add") + "?kind=dynamics_fo")
    saved = client.post(reverse("admin:connectors_connection_add") + "?kind=dynamics_fo", FORM)

    connection = Connection.objects.get(slug="erp")
    page = client.get(reverse("admin:connectors_connection_change", args=[connection.pk])).content.decode()
    assert "?kind=salesforce" in choice.content.decode()
    assert "Environment URL" in form.content.decode()
    assert saved.status_code == 302
    assert connection.config["tenant"] == TENANT
    assert sorted(connection.operations) == ["charge.update", "hold.release"]
    assert connection.hook_secret_digest == hook_digest(HOOK_SECRET)
    assert page.count("Set. Leave blank to keep it.") == 2
    assert SECRET not in page
    assert HOOK_SECRET not in page
    assert connection.secrets["client_secret"] not in page
    assert entries("connection.added")[0].actor == "admin"
    assert entries("connection.added")[0].channel == "admin"


def test_saving_with_blank_secrets_keeps_them(client: Client) -> None:
    connection = make_fo(slug="erp")
    kept = connection.secrets

    client.post(
        reverse("admin:connectors_connection_change", args=[connection.pk]),
        {**FORM, "label": "ERP two", "secret_client_secret": "", "hook_secret": ""},
    )

    connection.refresh_from_db()
    assert (connection.label, connection.secrets) == ("ERP two", kept)
    assert connection.hook_secret_digest == hook_digest(HOOK_SECRET)
    assert len(entries("connection.changed")) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"config_environment_url": "nowhere"}, "config_environment_url"),
        ({"config_page_size": "0"}, "config_page_size"),
        ({"hook_secret": "short"}, "at least 16"),
        ({"operations": ["drop.everything"]}, "drop.everything"),
        ({"slug": "no spaces allowed"}, "slug"),
    ],
)
def test_a_wrong_entry_is_told_beside_its_field(client: Client, wrong: dict[str, Any], message: str) -> None:
    answer = client.post(reverse("admin:connectors_connection_add") + "?kind=dynamics_fo", {**FORM, **wrong})

    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert message in answer.content.decode()
    assert not Connection.objects.exists()


def test_the_button_shows_what_was_tried_and_what_came_back(client: Client, simulated: Simulated) -> None:
    connection = make_fo(f"{simulated.url}/fo", secret="simulator")

    page = client.post(reverse("admin:connection-test", args=[connection.pk]), follow=True).content.decode()

    connection.refresh_from_db()
    assert "Test connection" in page
    assert "signed in, but no customer is visible" in page
    assert f"POST {simulated.url}/fo/{TENANT}/oauth2/v2.0/token" in page
    assert connection.health == "ok"
    assert entries("connection.tested")[0].actor == "admin"


def test_a_failing_connection_says_why_without_the_secret(client: Client, simulated: Simulated) -> None:
    connection = make_fo(f"{simulated.url}/fo", secret="not-the-right-secret")

    page = client.post(reverse("admin:connection-test", args=[connection.pk]), follow=True).content.decode()

    connection.refresh_from_db()
    assert "Invalid client secret provided" in page
    assert "not-the-right-secret" not in page
    assert connection.health == "failing"


def test_several_connections_are_tried_from_the_list(client: Client, played: Played) -> None:
    played.on("GET", "/data/CustomersV3", httpx.Response(200, json={"value": []}))
    chosen = [make_fo().pk, make_crm().pk]

    client.post(reverse("admin:connectors_connection_changelist"), {"action": "test_now", "_selected_action": chosen})

    assert {row.slug: row.health for row in Connection.objects.all()} == {"fo": "ok", "crm": "failing"}


def test_nobody_tests_or_reads_connections_without_the_right_to(nobody: User, viewer: User) -> None:
    connection = make_fo()
    for person in (nobody, viewer):
        browser = Client()
        browser.force_login(person)

        answers = [
            browser.post(reverse("admin:connection-test", args=[connection.pk])),
            browser.get(reverse("admin:connectors_connection_change", args=[connection.pk])),
            browser.get(reverse("admin:connectors_connection_add")),
        ]

        assert all(answer.status_code in (302, 403) for answer in answers)
    assert not Call.objects.exists()


def test_the_button_answers_to_a_post_only(client: Client) -> None:
    connection = make_fo()

    assert client.get(reverse("admin:connection-test", args=[connection.pk])).status_code == 405
    assert client.post(reverse("admin:connection-test", args=[connection.pk + 1])).status_code in (302, 404)
    assert not Call.objects.exists()


def test_everything_is_stopped_and_let_go_in_the_admin(client: Client) -> None:
    client.post(reverse("admin:connectors_emergencystop_add"), {"connection": "", "reason": "Wrong prices"})
    stop = EmergencyStop.objects.get()
    standing = actions.stopped()
    page = client.get(reverse("admin:connectors_emergencystop_change", args=[stop.pk])).content.decode()

    client.post(reverse("admin:connectors_emergencystop_change", args=[stop.pk]), {"end_reason": "Right again"})

    assert standing == stop
    assert stop.actor == "admin"
    assert "Wrong prices" in page
    assert actions.stopped() is None
    assert entries("stop.ended")[0].reason == "Right again"


@pytest.mark.parametrize("model", ["call", "delivery"])
def test_history_is_read_only(client: Client, model: str) -> None:
    connection = make_fo()
    moment = connection.history.first().history_date
    row: Any = (
        Call.objects.create(
            connection=connection, operation="order.get", direction="read", actor="x", started_at=moment
        )
        if model == "call"
        else Delivery.objects.create(
            connection=connection, external_id="1", event="x", payload={"a": "<b>"}, received_at=moment
        )
    )

    answers = {
        "list": client.get(reverse(f"admin:connectors_{model}_changelist")).status_code,
        "one": client.get(reverse(f"admin:connectors_{model}_change", args=[row.pk])).status_code,
        "add": client.get(reverse(f"admin:connectors_{model}_add")).status_code,
        "delete": client.post(reverse(f"admin:connectors_{model}_delete", args=[row.pk])).status_code,
    }

    assert answers == {"list": 200, "one": 200, "add": 403, "delete": 403}


def test_the_history_of_a_connection_shows_fields_and_no_secret(client: Client) -> None:
    connection = make_fo()
    actions.update_connection(connection, actor="admin", label="ERP two", secrets={"client_secret": NEW_SECRET})

    page = client.get(reverse("admin:connectors_connection_history", args=[connection.pk])).content.decode()

    assert "ERP two" in page
    assert connection.secrets["client_secret"] not in page


# --- files -----------------------------------------------------------------------------------------
def document(**changes: Any) -> ConnectionDocument:
    given = {
        "kind": "connection", "slug": "fo", "connector": "dynamics_fo", "label": "ERP",
        "config": {"environment_url": "env:TEST_ERP_URL/fo", "tenant": TENANT, "client_id": "goldseam"},
        "secrets": {"client_secret": "env:TEST_ERP_SECRET"}, "operations": ["*"], "hook_secret": "env:TEST_HOOK_SECRET",
    }  # fmt: skip
    return ConnectionDocument.model_validate({**given, **changes})


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_ERP_URL", "https://erp.test")
    monkeypatch.setenv("TEST_ERP_SECRET", SECRET)
    monkeypatch.setenv("TEST_HOOK_SECRET", HOOK_SECRET)


def test_a_file_makes_a_connection_and_applying_it_again_changes_nothing(db: None) -> None:
    first = apply_connection(document(), "automation")
    second = apply_connection(document(), "automation")

    connection = Connection.objects.get()
    assert (first, second) == (True, False)
    assert connection.config["environment_url"] == "https://erp.test/fo"
    assert connection.hook_secret_digest == hook_digest(HOOK_SECRET)
    assert "invoice.credit" in connection.operations
    assert plan_connection(document()) == []
    assert len(entries("connection.added")) == 1


def test_a_plan_says_what_would_change_and_of_a_secret_only_that_it_would(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_connection(document(), "automation")
    monkeypatch.setenv("TEST_ERP_SECRET", NEW_SECRET)

    lines = plan_connection(document(label="ERP two", enabled=False))

    assert {line.field: (line.before, line.after) for line in lines} == {
        "label": ("ERP", "ERP two"),
        "enabled": (True, False),
        "secret client_secret": ("set", "changed"),
    }
    assert Connection.objects.get().label == "ERP"


def test_a_secret_may_stand_in_a_file_of_its_own(db: None, tmp_path: Path) -> None:
    place = tmp_path / "secret"
    place.write_text(f"{NEW_SECRET}\n")

    apply_connection(document(secrets={"client_secret": f"file:{place}"}), "automation")

    connection = Connection.objects.get()
    assert vault.open_sealed(connection, "client_secret", connection.secrets["client_secret"]) == NEW_SECRET


@pytest.mark.parametrize(
    "changes",
    [
        {"secrets": {"client_secret": SECRET}}, {"hook_secret": HOOK_SECRET}, {"connector": "abacus"}, {"surprise": 1},
        {"slug": "no spaces"},
    ],
)  # fmt: skip
def test_a_document_that_cannot_be_meant_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        document(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"secrets": {"client_secret": "env:TEST_NOT_SET"}},
        {"secrets": {"client_secret": "file:/nowhere/at/all"}},
        {"config": {"environment_url": "env:TEST_NOT_SET/fo", "tenant": TENANT, "client_id": "x"}},
        {"config": {"environment_url": "https://erp.test"}},
        {"operations": ["drop.everything"]},
        {"owner": "nobody-at-all"},
        {"secrets": {"password": "env:TEST_ERP_SECRET"}},
    ],
)
def test_a_document_that_cannot_be_carried_out_changes_nothing(db: None, changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        apply_connection(document(**changes), "automation")

    assert not Connection.objects.exists()


def test_a_connection_does_not_change_its_kind(db: None) -> None:
    make_crm(slug="fo")

    with pytest.raises(Invalid, match="of the kind salesforce"):
        plan_connection(document())
