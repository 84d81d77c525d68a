"""Playbooks, policies and packs in the admin: checked before they are saved, versioned, entered, and never a 500."""

from typing import Any

import pytest
import yaml
from django.urls import reverse

from audit.models import Entry
from incidents.models import ExceptionKind
from playbooks.manifests import installer
from playbooks.models import Execution, Playbook, PlaybookVersion, Policy, PolicyVersion
from playbooks.pack_models import Pack
from tests.factories import make_user
from tests.playbooks.cases import STEP, make_freight, make_policy
from tests.playbooks.driving import begin, drive
from tests.playbooks.world import CHARGED, make_incident, make_plan

TEXT: dict[str, Any] = {
    "causes": ["rate_not_applied"],
    "rationale": "The agreed rate was not applied.",
    "autonomy": {"max_risk": "low", "max_amount": "100.00", "currency": "EUR"},
    "steps": [STEP],
}


@pytest.fixture
def keeper(client, db):
    """Whoever may configure, signed in."""
    user = make_user("keeper", role="automation_admin")
    client.force_login(user)
    return user


@pytest.fixture
def kind(world):
    """The kind that the playbook mends, with connections and a policy that guards the step."""
    make_policy("false", "block", slug="guard", operations=["fo:charge.update"])
    return make_freight().kind


def page(model: str, verb: str, *args: Any) -> str:
    return reverse(f"admin:playbooks_{model}_{verb}", args=args)


def inlines(count: int = 0) -> dict[str, str]:
    return {"versions-TOTAL_FORMS": str(count), "versions-INITIAL_FORMS": str(count)}


def playbook_form(definition: Any = TEXT, **changes: Any) -> dict[str, Any]:
    text = definition if isinstance(definition, str) else yaml.safe_dump(definition)
    values = {"slug": "correct-freight", "label": "Correct the freight", "kind_code": "test_kind", "enabled": "on"}
    return {**values, "definition": text, "change_reason": "a better text", **inlines(), **changes}


def policy_form(**changes: Any) -> dict[str, Any]:
    values = {"slug": "limit", "label": "A limit", "enabled": "on", "condition": "amount > 500.0", "verdict": "block"}
    text = {"message": "too much", "operations": "[]", "corrections": "{}", "risk": ""}
    return {**values, **text, "change_reason": "asked by audit", **inlines(), **changes}


def errors_of(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return str(response.context["errors"])


# --- playbooks -------------------------------------------------------------------------------------


def test_a_playbook_is_written_in_the_admin_and_is_active(client, keeper, kind):
    response = client.post(page("playbook", "add"), playbook_form())

    assert response.status_code == 302, response.context["errors"]
    version = PlaybookVersion.objects.get()
    assert (version.number, version.active, version.author) == (1, True, "keeper")
    assert version.definition["steps"][0]["operation"] == "charge.update"
    assert Entry.objects.filter(actor="keeper", verb__startswith="playbook").exists()


def test_what_was_written_in_the_admin_mends(client, keeper, kind, world):
    client.post(page("playbook", "add"), playbook_form())
    incident = make_freight()

    drive(incident)

    assert incident.status == "resolved", incident.status_reason


def test_another_text_is_the_next_version_and_the_same_text_is_none(client, keeper, kind):
    client.post(page("playbook", "add"), playbook_form())
    playbook = Playbook.objects.get()
    change = page("playbook", "change", playbook.pk)

    again = client.post(change, playbook_form(**inlines(1)))
    other = client.post(change, playbook_form({**TEXT, "rationale": "Another reason."}, **inlines(1)))

    assert (again.status_code, other.status_code) == (302, 302)
    assert list(playbook.versions.values_list("number", "active")) == [(2, True), (1, False)]


def test_the_form_shows_the_text_in_use(client, keeper, kind):
    client.post(page("playbook", "add"), playbook_form())

    response = client.get(page("playbook", "change", Playbook.objects.get().pk))

    assert "The agreed rate was not applied." in response.content.decode()
    assert yaml.safe_load(response.context["adminform"].form.initial["definition"]) == TEXT


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("steps: [", "not YAML"),
        ("", "required"),
        ("just a text", "valid dictionary"),
        ("[" * 3_000, "nested deeper"),
        ("&a [*a]", "dictionary"),
        ({**TEXT, "steps": []}, "steps"),
        ({**TEXT, "colour": "red"}, "colour"),
        ({**TEXT, "steps": [{**STEP, "operation": "charge.forget"}]}, "is not a change that"),
        ({**TEXT, "steps": [{**STEP, "connection": "nav"}]}, "There is no connection"),
        ({**TEXT, "steps": [{**STEP, "when": "1 +"}]}, "when"),
        ({**TEXT, "steps": [{**STEP, "when": "nobody.knows == 1"}]}, "is no evidence of this kind"),
        ({**TEXT, "steps": [{**STEP, "arguments": {"company": "'demf'"}}]}, "also needs"),
        ({**TEXT, "steps": [STEP] * 2}, "called"),
        ({**TEXT, "steps": [{**STEP, "name": f"s{number}"} for number in range(21)]}, "at most 20"),
        ({**TEXT, "autonomy": {"max_risk": "high"}}, "max_risk"),
        ({**TEXT, "autonomy": {"max_risk": "low", "max_amount": "5.00"}}, "belong together"),
        ({**TEXT, "slots": {"x": {"values": ["a"], "from": "charge", "default": "'a'"}}}, "one of the two"),
    ],
)
def test_a_text_that_cannot_work_is_refused_with_its_place(client, keeper, kind, definition, words):
    response = client.post(page("playbook", "add"), playbook_form(definition))

    assert words in errors_of(response)
    assert not Playbook.objects.exists()


def test_a_step_that_no_policy_guards_is_not_activated(client, keeper, kind):
    Policy.objects.update(enabled=False)

    response = client.post(page("playbook", "add"), playbook_form())

    assert "nothing would guard it" in errors_of(response)


def test_a_playbook_that_is_off_may_be_unfinished(client, keeper, kind):
    Policy.objects.update(enabled=False)

    response = client.post(page("playbook", "add"), playbook_form(enabled=""))

    assert response.status_code == 302
    assert Playbook.objects.get().enabled is False


def test_a_playbook_is_never_deleted(client, keeper, kind):
    client.post(page("playbook", "add"), playbook_form())

    response = client.post(page("playbook", "delete", Playbook.objects.get().pk), {"post": "yes"})

    assert response.status_code == 403
    assert Playbook.objects.count() == 1


def test_a_slug_that_is_taken_is_said_so(client, keeper, kind):
    client.post(page("playbook", "add"), playbook_form())

    assert "already exists" in errors_of(client.post(page("playbook", "add"), playbook_form()))


# --- policies --------------------------------------------------------------------------------------


def test_a_policy_is_written_versioned_and_entered(client, keeper):
    made = client.post(page("policy", "add"), policy_form())
    policy = Policy.objects.get()
    changed = client.post(page("policy", "change", policy.pk), policy_form(condition="amount > 300.0", **inlines(1)))

    assert (made.status_code, changed.status_code) == (302, 302)
    assert list(policy.versions.values_list("number", "active", "condition")) == [
        (2, True, "amount > 300.0"),
        (1, False, "amount > 500.0"),
    ]
    assert Entry.objects.filter(actor="keeper", verb="policy.activated").count() == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"condition": "amount >"}, "condition"),
        ({"condition": "nobody > 1"}, "nobody"),
        ({"condition": ""}, "required"),
        ({"message": " "}, "required"),
        ({"operations": "["}, "valid JSON"),
        ({"operations": '["invoice.credit"]'}, "operations"),
        ({"operations": '"fo:invoice.credit"'}, "operations"),
        ({"operations": "[1, 2]"}, "operations"),
        ({"corrections": '{"amount": "1 +"}', "verdict": "correct"}, "corrections"),
        ({"corrections": "[]", "verdict": "correct"}, "correct"),
        ({"verdict": "perhaps"}, "valid choice"),
        ({"risk": "enormous"}, "valid choice"),
        ({"slug": "Not A Slug"}, "slug"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(client, keeper, changes, words):
    response = client.post(page("policy", "add"), policy_form(**changes))

    assert words in errors_of(response)
    assert not Policy.objects.exists()


def test_a_policy_written_in_the_admin_speaks(client, keeper, world):
    saved = client.post(page("policy", "add"), policy_form(condition="amount > 20.0"))
    assert saved.status_code == 302, saved.context["errors"]
    incident = make_incident()
    execution = begin_anyway(world, incident)

    drive(incident)

    assert world.effects() == []
    assert "too much (limit v1)" in incident.status_reason
    assert execution.step_runs.get().state == "stuck"


def begin_anyway(world: Any, incident: Any) -> Execution:
    """Begin a plan that was made before the policy was there."""
    Policy.objects.update(enabled=False)
    execution = begin(make_plan(world, incident, CHARGED))
    Policy.objects.update(enabled=True)
    return execution


def test_a_policy_is_never_deleted(client, keeper):
    client.post(page("policy", "add"), policy_form())

    assert client.post(page("policy", "delete", Policy.objects.get().pk), {"post": "yes"}).status_code == 403
    assert PolicyVersion.objects.count() == 1


# --- packs and what happened -------------------------------------------------------------------------


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    """A pack of one policy, shipped."""
    folder = tmp_path / "small"
    folder.mkdir()
    text = {"kind": "policy", "slug": "small-limit", "label": "A limit", "when": "amount > 5.0", "verdict": "block"}
    (folder / "policy.yaml").write_text(yaml.safe_dump({**text, "message": "too much", "operations": []}))
    monkeypatch.setattr(installer, "PACKS", tmp_path)
    return folder


def test_the_packs_that_are_shipped_are_offered(client, keeper, shipped):
    response = client.get(page("pack", "changelist"))

    assert page("pack", "install", "small") in response.content.decode()


def test_looking_at_a_pack_changes_nothing_and_installing_it_does(client, keeper, shipped):
    looked = client.get(page("pack", "install", "small"))
    assert "small-limit" in looked.content.decode()
    assert not Policy.objects.exists()

    installed = client.post(page("pack", "install", "small"))
    again = client.get(page("pack", "install", "small"))

    assert installed.status_code == 302
    assert PolicyVersion.objects.get().active is True
    assert again.context["outcomes"] == []


def test_a_pack_with_a_fault_says_where_and_installs_nothing(client, keeper, shipped):
    (shipped / "policy.yaml").write_text("kind: policy\nslug: small-limit\nverdict: perhaps\n")

    response = client.post(page("pack", "install", "small"))

    assert response.status_code == 200
    assert "policy.yaml" in response.content.decode()
    assert not Policy.objects.exists()


@pytest.mark.parametrize("slug", ["nothing", "tests"])
def test_a_pack_that_is_not_there_is_said_so(client, keeper, shipped, slug):
    response = client.get(page("pack", "install", slug))

    assert response.status_code == 200
    assert "There is no pack" in response.content.decode()
    assert not Pack.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "auditor"])
def test_who_may_not_configure_installs_nothing(client, db, shipped, role):
    client.force_login(make_user("someone", role=role))

    response = client.post(page("pack", "install", "small"))

    assert response.status_code in (302, 403)
    assert not Policy.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "compliance", "auditor"])
def test_who_may_not_configure_writes_no_playbook_and_no_policy(client, kind, role):
    client.force_login(make_user("someone", role=role))

    client.post(page("playbook", "add"), playbook_form())
    client.post(page("policy", "add"), policy_form())

    assert not Playbook.objects.exists()
    assert not Policy.objects.filter(slug="limit").exists()


@pytest.mark.parametrize("model", ["plan", "execution", "deadletter"])
def test_what_happened_is_looked_at_and_never_changed(client, keeper, world, model):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    world.fault("lock", match="^PATCH .*SalesOrderCharges", count=5)
    drive(incident)
    row = {"plan": execution.plan_id, "execution": execution.pk, "deadletter": incident.dead_letters.get().pk}[model]

    listed = client.get(page(model, "changelist"))
    shown = client.get(page(model, "change", row))
    posted = client.post(page(model, "change", row), {"state": "verified"})

    assert (listed.status_code, shown.status_code, posted.status_code) == (200, 200, 403)
    execution.refresh_from_db()
    assert execution.state == "failed"


def test_the_list_of_playbooks_shows_the_version_in_use(client, keeper, kind):
    client.post(page("playbook", "add"), playbook_form())

    content = client.get(page("playbook", "changelist")).content.decode()

    assert "v1" in content
    assert ExceptionKind.objects.get().code in content
