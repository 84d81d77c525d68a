"""Playbooks and policies as people read them."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from playbooks.console.careers import Career, career_of, careers, careers_of_versions
from playbooks.models import Execution, Playbook, PlaybookVersion, Policy
from tests.playbooks import scenes
from tests.playbooks.mends import make_connections, make_playbook, make_policy

pytestmark = pytest.mark.django_db


def read(client, user: User, name: str, *args: str, query: str = "") -> str:
    client.force_login(user)
    answer = client.get(reverse(name, args=args) + query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_the_list_tells_what_each_may_do_alone_and_how_well_it_did(client, viewer):
    scenes.resolved()
    make_playbook()

    page = read(client, viewer, "playbooks")

    assert "Credit duplicate invoice" in page
    assert "1 of 1" in page
    assert "up to low risk and 500.00 EUR" in page


def test_a_playbook_without_a_grant_always_asks(client, viewer):
    make_playbook(autonomy=None)

    assert "never, people are asked" in read(client, viewer, "playbooks")


def test_a_playbook_without_a_version_does_not_break_the_list(client, viewer):
    Playbook.objects.create(slug="empty", label="Empty one", kind_code="x")

    assert "Empty one" in read(client, viewer, "playbooks")
    assert "No version yet" in read(client, viewer, "playbook", "empty")


def test_no_playbooks_says_how_to_get_some(client, viewer):
    assert "manage.py apply" in read(client, viewer, "playbooks")


def test_a_playbook_is_read_step_by_step(client, viewer):
    make_connections()
    make_playbook()
    make_policy()

    page = read(client, viewer, "playbook", "credit-duplicate-invoice")

    for words in (
        "Issue credit note",
        "invoice.credit",
        "Finance &amp; Operations",
        "incident.entity_key",
        "Credit tier",
    ):
        assert words in page


def test_an_older_version_can_be_read_beside_the_active_one(client, viewer):
    version = make_playbook()
    old = {**version.definition, "rationale": "How it was done before."}
    values = {"definition": old, "digest": "o" * 64, "author": "automation", "created_at": version.created_at}
    PlaybookVersion.objects.create(playbook=version.playbook, number=6, **values)

    page = read(client, viewer, "playbook", version.playbook.slug, query="?version=6")

    assert "How it was done before." in page
    assert "not active" in page


def test_a_policy_is_read_in_every_version(client, viewer):
    make_policy()

    page = read(client, viewer, "policy", "credit-tier")

    assert "amount &gt; 500.0" in page
    assert "fo:invoice.credit" in page
    assert "Asks for approval" in page


def test_a_policy_without_a_version_says_nothing(client, viewer):
    Policy.objects.create(slug="silent", label="Silent")

    assert "It says nothing until a version is active." in read(client, viewer, "policy", "silent")


@pytest.mark.parametrize("name", ["playbook", "policy"])
def test_what_does_not_exist_is_not_there(client, viewer, name):
    client.force_login(viewer)

    assert client.get(reverse(name, args=["no-such"])).status_code == 404


def test_a_career_counts_runs_that_were_right_and_those_that_were_alone():
    _, plan, _ = scenes.resolved()
    _, _, wrong = scenes.resolved()
    Execution.objects.filter(pk=wrong.pk).update(first_attempt_verified=False)
    playbook = plan.playbook_version.playbook

    assert career_of(playbook) == Career(right=1, runs=2, alone=2)
    assert careers() == {playbook.pk: Career(1, 2, 2)}
    assert careers_of_versions(playbook) == {7: Career(1, 2, 2)}


def test_a_run_that_proves_nothing_is_not_counted():
    _, plan, run = scenes.resolved()
    Execution.objects.filter(pk=run.pk).update(first_attempt_verified=None)

    assert str(career_of(plan.playbook_version.playbook)) == "not used yet"
