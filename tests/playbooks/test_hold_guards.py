"""No playbook goes to work without a guard and an undo, and none is left without one while it is at work."""

from typing import Any

import pytest
import yaml
from django.urls import reverse

from audit.errors import Invalid
from playbooks import guards, pack_actions, policy_actions
from playbooks.models import Playbook, Policy
from tests.factories import make_user
from tests.playbooks.cases import STEP, make_freight, make_policy
from tests.playbooks.test_apply import apply
from tests.playbooks.test_configure_playbooks import TEXT, errors_of, inlines, page, playbook_form, policy_form
from tests.playbooks.world import make_playbook

pytestmark = pytest.mark.django_db
GUARDED = "fo:charge.update"


@pytest.fixture
def at_work(world: Any) -> Any:
    """A playbook in use, under one policy."""
    make_freight()
    version = make_policy("false", "block", slug="guard", operations=[GUARDED])
    make_playbook([STEP])
    return version


@pytest.fixture
def keeper(client: Any) -> Any:
    user = make_user("keeper", role="automation_admin")
    client.force_login(user)
    return user


def test_the_last_guard_is_not_retired(at_work):
    with pytest.raises(Invalid, match=r"Nothing would guard mend \(fo:charge\.update\)"):
        policy_actions.retire("guard", actor="x", reason="tidying up")

    assert guards.guarded(GUARDED)


@pytest.mark.parametrize("others", [[], [GUARDED], [GUARDED, "fo:invoice.credit"]])
def test_it_may_go_where_another_policy_covers_the_same(at_work, others):
    make_policy("false", "block", slug="another", operations=others)

    assert policy_actions.retire("guard", actor="x", reason="tidying up")


def test_it_may_go_where_the_playbook_is_off(at_work):
    Playbook.objects.update(enabled=False)

    assert policy_actions.retire("guard", actor="x", reason="tidying up")


def test_what_had_no_guard_before_loses_none(at_work):
    Policy.objects.update(enabled=False)

    assert guards.lost_by("guard", enabled=False, operations=[]) == ""
    assert guards.unguarded() == {("mend", GUARDED)}


@pytest.mark.parametrize(
    "changes", [{"enabled": ""}, {"operations": '["fo:invoice.credit"]'}, {"operations": '["crm:charge.update"]'}]
)
def test_the_admin_does_not_take_the_last_guard_away(client, keeper, at_work, changes):
    form = {"slug": "guard", "operations": f'["{GUARDED}"]', "condition": "false", **inlines(1), **changes}

    said = errors_of(client.post(page("policy", "change", at_work.policy_id), policy_form(**form)))

    assert "Nothing would guard mend" in said
    assert guards.guarded(GUARDED)


def test_renaming_and_narrowing_at_once_is_no_way_around(client, keeper, at_work):
    form = policy_form(slug="renamed", operations='["fo:invoice.credit"]', condition="false", **inlines(1))

    assert "Nothing would guard" in errors_of(client.post(page("policy", "change", at_work.policy_id), form))
    assert guards.guarded(GUARDED)


def test_the_admin_may_still_change_what_it_says(client, keeper, at_work):
    form = policy_form(slug="guard", operations=f'["{GUARDED}"]', condition="amount > 9.0", **inlines(1))

    assert client.post(page("policy", "change", at_work.policy_id), form).status_code == 302


def written(tmp_path: Any, *documents: dict[str, Any]) -> str:
    path = tmp_path / "files.yaml"
    path.write_text("---\n".join(yaml.safe_dump(one) for one in documents))
    return str(path)


def policy(**changes: Any) -> dict[str, Any]:
    said = {"kind": "policy", "slug": "guard", "label": "Guard", "when": "false", "verdict": "block", "message": "No."}
    return {**said, "operations": [GUARDED], **changes}


@pytest.mark.parametrize("changes", [{"enabled": False}, {"operations": ["fo:invoice.credit"]}])
def test_a_file_does_not_take_the_last_guard_away(tmp_path, at_work, changes):
    code, _, complained = apply(written(tmp_path, policy(**changes)))

    assert code != 0
    assert "Nothing would guard mend" in complained
    assert guards.guarded(GUARDED)


def test_a_file_may_take_guard_and_playbook_away_together(tmp_path, at_work):
    playbook = {"kind": "playbook", "slug": "mend", "label": "mend", "mends": "test_kind", "enabled": False}
    files = written(tmp_path, policy(enabled=False), {**playbook, "definition": {**TEXT, "causes": []}})

    code, _, complained = apply(files)

    assert (code, complained) == (0, "")
    assert not guards.guarded(GUARDED)


# --- every way by which a playbook is switched on -------------------------------------------------


def objected(definition: dict[str, Any]) -> str:
    with pytest.raises(Invalid) as refused:
        pack_actions.save_playbook(
            pack_actions.Header("mend-2", "Mend"), kind_code="test_kind", definition=definition, actor="x"
        )
    return str(refused.value.errors)


IRREVERSIBLE = {**STEP, "connection": "crm", "operation": "case.close"}


def test_by_the_action(world):
    make_freight()

    assert "No active policy covers" in objected({**TEXT, "causes": []})


def test_by_a_file(tmp_path, world):
    make_freight()
    playbook = {"kind": "playbook", "slug": "mend-2", "label": "Mend", "mends": "test_kind"}

    code, _, complained = apply(written(tmp_path, {**playbook, "definition": {**TEXT, "causes": []}}))

    assert code != 0
    assert "nothing would guard it" in complained
    assert not Playbook.objects.exists()


def test_by_the_admin_also_when_it_was_saved_switched_off(client, keeper, world):
    make_freight()
    client.post(page("playbook", "add"), playbook_form({**TEXT, "causes": []}, enabled=""))
    (row,) = Playbook.objects.all()

    said = errors_of(
        client.post(page("playbook", "change", row.pk), playbook_form({**TEXT, "causes": []}, **inlines(1)))
    )

    assert "nothing would guard it" in said
    assert not Playbook.objects.get().enabled


def test_what_cannot_be_undone_needs_its_author_s_word(world, monkeypatch):
    from connectors.base import Reversible
    from connectors.kinds.dynamics_fo.writes import WRITES

    make_freight()
    make_policy("false", "block", slug="guard", operations=[])
    write = next(one for one in WRITES if one.name == "charge.update")
    monkeypatch.setitem(write.__dict__, "reversible", Reversible.NO)

    assert "cannot be undone" in objected({**TEXT, "causes": []})


def test_the_api_has_no_way_to_switch_a_playbook_on(client):
    from django.urls import get_resolver

    routes = [str(pattern.pattern) for pattern in _all(get_resolver())]

    assert any("dead-letters" in route for route in routes)
    assert not [route for route in routes if "playbook" in route and "api" in route]
    assert reverse("playbooks")


def _all(resolver: Any) -> list[Any]:
    found = []
    for pattern in resolver.url_patterns:
        found += _all(pattern) if hasattr(pattern, "url_patterns") else [pattern]
    return found
