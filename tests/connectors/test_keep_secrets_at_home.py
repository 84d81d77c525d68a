"""Who may change a connection never sees its secrets, and cannot have them sent to an address of his own either."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.errors import Invalid
from connectors import actions, repointing, vault
from connectors.base import Connector
from connectors.manifests import ConnectionDocument, apply_connection
from connectors.models import Connection
from tests.connectors.factories import ROOT, SECRET, TENANT, make_crm, make_fo
from tests.contracts.test_connector_kinds import KINDS, example_config

pytestmark = pytest.mark.django_db
ELSEWHERE = "https://elsewhere.test"
# Each setting to which something secret is sent, and another value that it may have.
SENT_TO = {
    "cloudevents": {"endpoint_url": f"{ELSEWHERE}/in"},
    "dataverse": {"environment_url": ELSEWHERE, "authority": ELSEWHERE},
    "dynamics_fo": {"environment_url": ELSEWHERE, "authority": ELSEWHERE},
    "mail": {
        "imap_host": "elsewhere.test", "imap_port": 1993, "smtp_host": "elsewhere.test", "smtp_port": 1587,
        "authority": ELSEWHERE,
    },
    "openai": {"base_url": f"{ELSEWHERE}/v1"},
    "openapi": {"base_url": ELSEWHERE, "token_url": f"{ELSEWHERE}/token"},
    "salesforce": {"login_url": ELSEWHERE},
    "sap": {"base_url": ELSEWHERE, "token_url": f"{ELSEWHERE}/token"},
    "slack": {"base_url": f"{ELSEWHERE}/api"},
    "teams": {},
}  # fmt: skip
PLACES = [
    pytest.param(kind, name, SENT_TO[slug][name], id=f"{slug} {name}") for slug, kind in KINDS for name in SENT_TO[slug]
]
# Settings that look like an address, and nothing secret is sent to.
HARMLESS = {"front_end_url", "document_url", "webhook_host", "workflow_host", "idoc_sender_port"}


def whole(kind: type[Connector], **changes: Any) -> dict[str, Any]:
    """A configuration in which every address is set, mail servers too."""
    hosts = {"imap_host": "mail.test", "smtp_host": "mail.test", "user": "us"} if kind.slug == "mail" else {}
    return {**example_config(kind), **hosts, **changes}


def hold(kind: type[Connector], before: dict[str, Any], after: dict[str, Any], *given: str) -> None:
    repointing.hold(kind, before, after, stored=kind.secrets, given=given)


def test_every_setting_that_leads_somewhere_is_known():
    found = {
        name
        for _, kind in KINDS
        for name in kind.config.model_fields
        if name.endswith(("_url", "_host", "_port")) or name == "authority"
    }

    assert found == {name for names in SENT_TO.values() for name in names} | HARMLESS


@pytest.mark.parametrize(("kind", "name", "there"), PLACES)
def test_whatever_is_sent_to_a_new_address_is_entered_again(kind: type[Connector], name: str, there: Any) -> None:
    before, after = whole(kind), whole(kind, **{name: there})

    with pytest.raises(Invalid) as refused:
        hold(kind, before, after)
    asked = kind.secrets - {kind.signed_with}
    assert set(refused.value.errors) == {f"secrets.{one}" for one in asked}
    assert "elsewhere.test" in str(refused.value.errors) or str(there) in str(refused.value.errors)

    hold(kind, before, after, *asked)
    hold(kind, after, {**after})
    with pytest.raises(Invalid):
        hold(kind, before, after, *sorted(asked)[1:])


def test_another_path_and_what_people_follow_ask_for_nothing() -> None:
    for slug, kind in KINDS:
        before = whole(kind)
        paths = {name: f"{value.rstrip('/')}/below" for name, value in before.items() if str(value).startswith("https")}
        linked = sorted(HARMLESS & set(kind.config.model_fields))
        links = {name: ELSEWHERE if name.endswith("_url") else "elsewhere.test" for name in linked}
        hold(kind, before, {**before, **paths, **links})
        assert repointing.origins(kind, before) == repointing.origins(kind, {**before, **paths, **links}), slug


def test_letters_users_and_words_before_the_host_make_no_other_address() -> None:
    kind = dict(KINDS)["salesforce"]

    assert repointing.origins(kind, {"login_url": "HTTPS://ORG.test/x"}) == {"https://org.test"}
    assert repointing.origins(kind, {"login_url": "https://org.test@elsewhere.test"}) == {"https://elsewhere.test"}
    assert repointing.origins(kind, {"login_url": "http://org.test"}) == {"http://org.test"}
    assert repointing.origins(kind, {"login_url": "https://org.test:8443"}) == {"https://org.test:8443"}


def test_over_http_nothing_changes_until_the_secret_is_given(api, automation) -> None:
    fo, client = make_fo(), api(automation)
    entity = client.get("/api/v1/connections/fo/")["ETag"]

    def patch(**body: Any) -> Any:
        return client.patch("/api/v1/connections/fo/", body, format="json", headers={"If-Match": entity})

    refused = patch(config={**fo.config, "authority": ELSEWHERE})

    assert refused.status_code == 400
    assert "another address" in refused.json()["errors"]["secrets.client_secret"][0]
    assert Connection.objects.get().config["authority"] == ROOT
    assert patch(config={**fo.config, "authority": ELSEWHERE}, secrets={"client_secret": "anew"}).status_code == 200
    changed = Connection.objects.get()
    assert vault.open_sealed(changed, "client_secret", changed.secrets["client_secret"]) == "anew"


def test_the_form_asks_beside_the_secret(admin) -> None:
    fo, browser = make_fo(), Client()
    browser.force_login(admin)
    page = reverse("admin:connectors_connection_change", args=[fo.pk])
    form = {
        "label": "fo", "enabled": "on", "config_environment_url": ELSEWHERE, "config_tenant": TENANT,
        "config_client_id": "goldseam", "config_authority": ROOT, "config_page_size": "500",
        "operations": fo.operations, "change_reason": "Elsewhere",
    }  # fmt: skip

    asked = browser.post(page, form)

    assert asked.status_code == 200
    assert "another address" in asked.context["adminform"].form.errors["secret_client_secret"][0]
    assert Connection.objects.get().config["environment_url"] == ROOT
    assert browser.post(page, {**form, "secret_client_secret": "anew"}).status_code == 302
    assert Connection.objects.get().config["environment_url"] == ELSEWHERE


def test_a_secret_that_is_taken_away_goes_nowhere() -> None:
    crm = make_crm()

    actions.update_connection(
        crm, actor="automation", config={**crm.config, "login_url": ELSEWHERE}, secrets={"client_secret": ""}
    )

    assert Connection.objects.get().secrets == {}


def test_a_file_that_brings_no_secret_is_held_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    make_crm()
    spec = {
        "kind": "Connection", "slug": "crm", "connector": "salesforce",
        "config": {"login_url": ELSEWHERE, "client_id": "goldseam"},
    }  # fmt: skip

    with pytest.raises(Invalid, match="client_secret"):
        apply_connection(ConnectionDocument.model_validate(spec), actor="automation")

    monkeypatch.setenv("CRM_SECRET", SECRET)
    brought = {**spec, "secrets": {"client_secret": "env:CRM_SECRET"}}
    apply_connection(ConnectionDocument.model_validate(brought), actor="automation")
    assert Connection.objects.get().config["login_url"] == ELSEWHERE
