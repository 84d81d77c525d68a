"""The admin: every change is entered with what changed and why, secrets stay out, records cannot be changed."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from audit.models import ApiToken, BusinessUnit, Entry, Scope
from tests.audit.factories import make_entry, make_unit
from tests.factories import make_token, make_user

pytestmark = pytest.mark.django_db
UNIT = {"slug": "EU", "name": "Europe", "regions": '["DE"]', "currency": "EUR"}
SCOPE = {"scope-TOTAL_FORMS": "1", "scope-INITIAL_FORMS": "0", "scope-MIN_NUM_FORMS": "0", "scope-MAX_NUM_FORMS": "1"}


@pytest.fixture
def office(client: Any, admin: User) -> Any:
    """A browser with an administrator at it."""
    client.force_login(admin)
    return client


def url(model: str, page: str, *args: Any) -> str:
    return reverse(f"admin:{model}_{page}", args=args)


def entries(verb: str) -> list[tuple[Entry, dict[str, Any]]]:
    return [(entry, json.loads(entry.body)) for entry in Entry.objects.filter(verb=verb).order_by("n")]


def test_an_addition_is_entered_with_its_reason(office):
    response = office.post(url("audit_businessunit", "add"), {**UNIT, "change_reason": "opened in May"})

    assert response.status_code == 302
    [(entry, body)] = entries("businessunit.added")
    assert (entry.actor, entry.reason, entry.channel) == ("admin", "opened in May", "admin")
    assert (entry.target_type, entry.target_id) == ("audit.businessunit", str(BusinessUnit.objects.get().pk))
    assert body["after"]["name"] == "Europe"


def test_a_change_is_entered_with_the_fields_that_changed(office):
    unit = make_unit(regions=["DE"])

    office.post(url("audit_businessunit", "change", unit.pk), {**UNIT, "name": "Old World"})

    [(_, body)] = entries("businessunit.changed")
    assert (body["before"], body["after"]) == ({"name": "Europe"}, {"name": "Old World"})


def test_saving_without_a_change_enters_nothing(office):
    unit = make_unit(regions=["DE"])

    office.post(url("audit_businessunit", "change", unit.pk), UNIT)

    assert entries("businessunit.changed") == []


def test_a_deletion_is_entered_with_what_is_gone(office):
    unit = make_unit()

    office.post(url("audit_businessunit", "delete", unit.pk), {"post": "yes"})

    [(entry, body)] = entries("businessunit.deleted")
    assert (entry.target_id, body["before"]["slug"]) == (str(unit.pk), "EU")


def test_deleting_several_enters_each(office):
    units = [make_unit("EU"), make_unit("US")]
    chosen = {"action": "delete_selected", "_selected_action": [unit.pk for unit in units], "post": "yes"}

    office.post(url("audit_businessunit", "changelist"), chosen)

    assert [body["before"]["slug"] for _, body in entries("businessunit.deleted")] == ["EU", "US"]
    assert not BusinessUnit.objects.exists()


def test_a_change_that_cannot_be_entered_is_not_made(office, monkeypatch):
    unit = make_unit(regions=["DE"])

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no ledger")

    monkeypatch.setattr("audit.admin.record", refuse)
    office.raise_request_exception = False

    response = office.post(url("audit_businessunit", "change", unit.pk), {**UNIT, "name": "Old World"})

    assert response.status_code == 500
    assert BusinessUnit.objects.get().name == "Europe"


def test_the_history_page_tells_each_field_before_and_after(office):
    unit = make_unit(regions=["DE"])
    office.post(
        url("audit_businessunit", "change", unit.pk), {**UNIT, "name": "<b>Old</b> World", "change_reason": "renamed"}
    )

    page = office.get(url("audit_businessunit", "history", unit.pk)).content.decode()

    assert re.search(r"<del>Europe</del>.*<ins>&lt;b&gt;Old&lt;/b&gt; World</ins>", page, re.DOTALL)
    assert "renamed" in page
    assert "admin" in page


def test_the_history_of_what_is_not_there_is_404(office):
    assert office.get(url("audit_businessunit", "history", 4711)).status_code in (302, 404)


# --- People --------------------------------------------------------------------------------------
def test_a_person_is_made_with_roles_and_scope_in_one_form(office):
    make_unit()
    told = {
        "username": "ada",
        "usable_password": "true",
        "password1": "correct horse bat",
        "password2": "correct horse bat",
    }

    made = office.post(
        url("auth_user", "add"), {**told, **SCOPE, "scope-0-business_units": ["EU"], "scope-0-regions": ["DE"]}
    )

    assert made.status_code == 302
    user = User.objects.get(username="ada")
    assert (user.scope.business_units, user.scope.regions) == (["EU"], ["DE"])
    [(_, body)] = [pair for pair in entries("user.added") if pair[1].get("data", {}).get("name") == "ada"]
    assert body["after"]["password"] == "set"
    assert "correct horse" not in json.dumps(body)


def test_a_role_given_in_the_admin_opens_what_it_should(office):
    user = make_user("ada", role="viewer", units=["EU"])
    group = user.groups.model.objects.get(name="auditor")
    told = {"username": "ada", "is_active": "on", "groups": [group.pk], "email": "ada@goldseam.example"}
    scope = {**SCOPE, "scope-INITIAL_FORMS": "1", "scope-0-id": user.scope.pk, "scope-0-user": user.pk}

    answer = office.post(url("auth_user", "change", user.pk), {**told, **scope, "scope-0-business_units": ["*"]})

    assert answer.status_code == 302
    changed = User.objects.get(pk=user.pk)
    assert (changed.is_staff, Scope.objects.get(user=user).business_units) == (True, ["*"])
    body = entries("user.changed")[-1][1]
    assert (body["before"]["groups"], body["after"]["groups"]) == (["viewer"], ["auditor"])
    assert body["data"]["parts"][0]["before"] == {"business_units": ["EU"], "regions": ["*"]}


def test_a_changed_password_is_entered_and_never_told(office):
    user = make_user("ada")
    told = {"usable_password": "true", "password1": "correct horse bat", "password2": "correct horse bat"}

    office.post(reverse("admin:auth_user_password_change", args=[user.pk]), told)

    assert User.objects.get(pk=user.pk).check_password("correct horse bat")
    assert entries("user.changed")[-1][1]["after"] == {"password": "changed"}


@pytest.mark.parametrize(
    ("role", "page", "status"),
    [
        ("automation_admin", "auth_user", 403),
        ("automation_admin", "audit_apitoken", 403),
        ("automation_admin", "audit_businessunit", 200),
        ("compliance", "audit_businessunit", 200),
        ("compliance", "audit_entry", 200),
        ("auditor", "auth_user", 200),
        ("auditor", "audit_entry", 200),
        ("operator", "audit_entry", 302),
        ("viewer", "audit_businessunit", 302),
    ],
)
def test_the_admin_shows_to_each_role_what_its_table_says(client, role, page, status):
    client.force_login(make_user("somebody", role=role))

    assert client.get(url(page, "changelist")).status_code == status


@pytest.mark.parametrize("role", ["compliance", "auditor"])
def test_who_may_only_read_configuration_cannot_change_it(client, role):
    unit = make_unit()
    client.force_login(make_user("somebody", role=role))

    answer = client.post(url("audit_businessunit", "change", unit.pk), {**UNIT, "name": "Mine"})

    assert answer.status_code == 403
    assert BusinessUnit.objects.get().name == "Europe"


# --- Tokens --------------------------------------------------------------------------------------
def test_a_token_made_in_the_admin_is_shown_once(office, auditor):
    made = office.post(
        url("audit_apitoken", "add"),
        {"user": auditor.pk, "name": "feed", "scopes": "audit:read odata:read", "days": "30"},
        follow=True,
    )

    shown = re.search(r"gs_[\w-]{40,}", made.content.decode())
    assert shown is not None
    assert office.get("/api/v1/audit/entries/", headers={"Authorization": f"Bearer {shown[0]}"}).status_code == 200
    assert ApiToken.objects.get().scopes == ["audit:read", "odata:read"]
    assert shown[0] not in office.get(url("audit_apitoken", "changelist")).content.decode()


def test_a_scope_that_does_not_exist_is_told_on_the_form(office, auditor):
    told = {"user": auditor.pk, "name": "feed", "scopes": "everything", "days": ""}

    answer = office.post(url("audit_apitoken", "add"), told)

    assert "No such scope: everything" in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_tokens_are_revoked_from_the_list(office, auditor):
    make_token(auditor)
    token = ApiToken.objects.get()

    office.post(url("audit_apitoken", "changelist"), {"action": "revoke", "_selected_action": [token.pk]})

    assert ApiToken.objects.get().revoked_at is not None
    assert entries("token.revoked")[0][0].actor == "admin"


def test_the_digest_of_a_token_is_shown_to_nobody(office, auditor):
    make_token(auditor)
    token = ApiToken.objects.get()

    page = office.get(url("audit_apitoken", "change", token.pk)).content.decode()

    assert token.prefix in page
    assert token.digest not in page


# --- Records -------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", ["add", "change", "delete"])
def test_an_entry_cannot_be_changed_by_hand_even_by_a_superuser(office, page):
    make_entry()
    args = [] if page == "add" else [1]

    assert office.post(url("audit_entry", page, *args), {"reason": "another"}).status_code == 403
    assert Entry.objects.get(n=1).reason != "another"


def test_roles_are_shown_with_their_purpose_and_not_changed(office):
    page = office.get(url("auth_group", "changelist")).content.decode()

    assert "Reads everything, changes nothing." in page
    assert office.get(url("auth_group", "add")).status_code == 403


def test_every_admin_page_of_this_floor_opens(office, auditor):
    make_entry()
    make_token(auditor)
    make_unit()
    pages = ["audit_entry", "audit_apitoken", "audit_businessunit", "auth_user", "auth_group"]

    statuses = {page: office.get(url(page, "changelist")).status_code for page in pages}
    statuses |= {f"{page} history": office.get(url(page, "history", auditor.pk)).status_code for page in ["auth_user"]}

    assert set(statuses.values()) == {200}
