"""Assumptions are stated with their source, by document or in the admin; each change is kept and entered."""

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from pydantic import ValidationError

from audit.models import Entry
from insights.kpis.manifests import DOCUMENTS
from insights.kpis.models import Assumption

pytestmark = pytest.mark.django_db


def document(**changes):
    given = {"kind": "assumption", "name": "hourly_rate", "value": "60.50", "currency": "EUR", "because": "plan 2026"}
    return DOCUMENTS["assumption"].schema.model_validate({**given, **changes})


def apply(**changes) -> bool:
    return DOCUMENTS["assumption"].apply(document(**changes), "anna")


def test_a_document_states_it_once():
    assert [line.field for line in DOCUMENTS["assumption"].plan(document())] == ["value", "currency", "because"]
    assert apply()
    assert not apply()

    row = Assumption.objects.get()
    assert (row.name, str(row.value), row.currency) == ("hourly_rate", "60.5000", "EUR")
    assert row.history.count() == 1


def test_a_change_keeps_what_stood_before():
    apply()
    assert apply(value="75")

    assert [str(line.value) for line in Assumption.objects.get().history.all()] == ["75.0000", "60.5000"]
    entry = Entry.objects.filter(verb="assumption.changed").get()
    assert '"60.5"' in entry.body
    assert '"75"' in entry.body


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": ""},
        {"name": "minutes_by_hand"},
        {"value": "-1"},
        {"because": ""},
        {"name": "luck"},
        {"subject": "a b"},
        {"hidden": 1},
    ],
)
def test_nonsense_is_refused(changes):
    with pytest.raises(ValidationError):
        document(**changes)


def test_the_database_refuses_what_slips_past():
    for wrong in ({"currency": ""}, {"value": -1}, {"name": "minutes_by_hand"}):
        row = Assumption(**{"name": "hourly_rate", "value": 1, "currency": "EUR", "because": "…", **wrong})
        with pytest.raises(IntegrityError), transaction.atomic():
            row.save()


def test_the_admin_states_and_enters_it(client, admin):
    client.force_login(admin)

    answer = client.post(
        reverse("admin:insights_assumption_add"),
        {"name": "minutes_by_hand", "subject": "", "value": "35", "currency": "", "because": "timed in May"},
    )

    assert answer.status_code == 302
    assert Assumption.objects.get().value == 35
    assert Entry.objects.filter(verb="assumption.added").exists()
