"""One entry of the ledger on a page, and the chain walked from there."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.urls import reverse

from audit import triggers
from audit.models import Entry
from tests.audit.factories import make_entries, make_entry

pytestmark = pytest.mark.django_db


def read(client, user: User, n: int) -> str:
    client.force_login(user)
    answer = client.get(reverse("audit-entry", args=[n]))
    assert answer.status_code == 200
    return str(answer.content.decode())


def verify(client, user: User) -> list[str]:
    client.force_login(user)
    answer = client.post(reverse("audit-verify"), follow=True)
    return [str(message) for message in answer.context["messages"]]


def test_an_entry_shows_each_field_before_and_after(client, auditor):
    entry = make_entry(before={"status": "new", "queue": None}, after={"status": "triaged"})

    page = read(client, auditor, entry.n)

    assert "<del>new</del>" in page
    assert "<ins>triaged</ins>" in page
    assert "<ins>none</ins>" in page


def test_an_entry_shows_why_from_where_and_what_else(client, auditor):
    entry = make_entry(reason="The customer called.", data={"digest": "9f3c"})

    page = read(client, auditor, entry.n)

    for words in ("The customer called.", "9f3c", entry.hash, entry.previous_hash, "its own hash holds"):
        assert words in page


def test_a_reason_from_outside_is_text(client, auditor):
    entry = make_entry(reason="<script>alert(1)</script>")

    assert "<script>alert" not in read(client, auditor, entry.n)


@pytest.mark.parametrize("name", ["viewer", "approver", "automation"])
def test_other_roles_read_no_entry(client, request, name):
    entry = make_entry()
    client.force_login(request.getfixturevalue(name))

    assert client.get(reverse("audit-entry", args=[entry.n])).status_code == 403


def test_an_operator_reads_only_the_entries_of_units(client, operator):
    own, installation = make_entry(business_unit="EU", region="DE"), make_entry()

    assert "incident.opened" in read(client, operator, own.n)
    assert client.get(reverse("audit-entry", args=[installation.n])).status_code == 404


def test_an_entry_that_does_not_exist_is_not_there(client, auditor):
    client.force_login(auditor)

    assert client.get(reverse("audit-entry", args=[10**9])).status_code == 404


def test_an_auditor_has_the_chain_walked(client, auditor):
    make_entries(3)
    end = Entry.objects.latest("n")

    (said,) = verify(client, auditor)

    assert said == f"{Entry.objects.count()} entries hold. The chain ends at {end.n} with {end.hash}."


def test_a_broken_chain_is_said_out_loud(client, auditor):
    entries = make_entries(3)
    with triggers.lifted(connection):
        Entry.objects.filter(n=entries[1].n).update(reason="nothing to see")

    (said,) = verify(client, auditor)

    assert said.startswith(f"The chain is broken at entry {entries[1].n}:")


def test_an_entry_that_was_changed_says_so_itself(client, auditor):
    entry = make_entry()
    with triggers.lifted(connection):
        Entry.objects.filter(n=entry.n).update(reason="nothing to see")

    assert "changed after it was written" in read(client, auditor, entry.n)


def test_an_operator_does_not_walk_the_whole_chain(client, operator):
    client.force_login(operator)

    assert client.post(reverse("audit-verify")).status_code == 403
