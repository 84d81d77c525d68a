"""Units and people as documents: planned without a change, applied once, secrets from the environment only."""

import pytest
from django.contrib.auth.models import User
from pydantic import ValidationError

from audit.errors import Invalid
from audit.manifests import DOCUMENTS, Difference, Document, differences, from_environment
from audit.models import BusinessUnit, Entry
from audit.people import describe

pytestmark = pytest.mark.django_db


def document(kind: str, **values: object) -> Document:
    checked = DOCUMENTS[kind].schema.model_validate({"kind": kind, **values})
    assert isinstance(checked, Document)
    return checked


def apply(kind: str, **values: object) -> bool:
    return DOCUMENTS[kind].apply(document(kind, **values), "admin")


def plan(kind: str, **values: object) -> list[Difference]:
    return DOCUMENTS[kind].plan(document(kind, **values))


EU = {"slug": "EU", "name": "Europe", "regions": ["DE", "NL", "FR"], "currency": "EUR"}


def test_units_come_before_the_people_who_work_for_them():
    assert DOCUMENTS["unit"].order < DOCUMENTS["user"].order


def test_a_unit_is_planned_without_being_made():
    lines = plan("unit", **EU)

    assert [line.field for line in lines] == ["name", "regions", "currency"]
    assert {line.document for line in lines} == {"unit EU"}
    assert not BusinessUnit.objects.exists()


def test_a_unit_is_made_once_and_entered_once():
    assert [apply("unit", **EU), apply("unit", **EU)] == [True, False]

    assert BusinessUnit.objects.get().regions == ["DE", "NL", "FR"]
    assert list(Entry.objects.values_list("verb", "actor")) == [("businessunit.added", "admin")]


def test_a_changed_unit_says_what_changes_and_is_entered_so():
    apply("unit", **EU)

    assert plan("unit", **EU | {"currency": "CHF"}) == [Difference("unit EU", "currency", "EUR", "CHF")]
    assert apply("unit", **EU | {"currency": "CHF"})

    entry = Entry.objects.get(verb="businessunit.changed")
    assert '"before":{"currency":"EUR"}' in entry.body
    assert entry.reason == "applied from a file"


def test_a_person_is_made_with_the_password_of_the_environment(monkeypatch):
    monkeypatch.setenv("DEMO_PASSWORD", "a-long-secret")

    assert apply("user", username="ada", roles=["operator"], units=["EU"], regions=["*"], password="env:DEMO_PASSWORD")

    user = User.objects.get(username="ada")
    assert user.check_password("a-long-secret")
    assert describe(user)["business_units"] == ["EU"]
    assert (
        plan("user", username="ada", roles=["operator"], units=["EU"], regions=["*"], password="env:DEMO_PASSWORD")
        == []
    )


def test_a_new_password_is_planned_without_being_told(monkeypatch):
    monkeypatch.setenv("DEMO_PASSWORD", "a-long-secret")
    apply("user", username="ada", password="env:DEMO_PASSWORD")
    monkeypatch.setenv("DEMO_PASSWORD", "another-secret")

    lines = plan("user", username="ada", password="env:DEMO_PASSWORD")

    assert lines == [Difference("user ada", "password", "set", "changed")]


def test_roles_that_the_file_no_longer_names_are_taken_away():
    apply("user", username="ada", roles=["operator", "auditor"])

    assert plan("user", username="ada", roles=["auditor"]) == [
        Difference("user ada", "roles", ["auditor", "operator"], ["auditor"])
    ]
    apply("user", username="ada", roles=["auditor"])

    assert describe(User.objects.get(username="ada"))["roles"] == ["auditor"]


def test_a_variable_that_is_not_set_is_refused_by_name(monkeypatch):
    monkeypatch.delenv("DEMO_PASSWORD", raising=False)

    with pytest.raises(Invalid, match="the environment variable DEMO_PASSWORD is not set"):
        apply("user", username="ada", password="env:DEMO_PASSWORD")

    assert not User.objects.exists()


def test_text_that_names_no_variable_is_taken_as_it_is():
    assert from_environment("plain", "somewhere") == "plain"


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("user", {"username": "ada", "password": "in the file"}, "env:NAME"),
        ("user", {"username": "ada", "roles": ["emperor"]}, "unknown role emperor"),
        ("user", {"username": "a b"}, "username"),
        ("user", {"username": "ada", "rolls": []}, "rolls"),
        ("unit", {"slug": "E U", "name": "x"}, "slug"),
        ("unit", {"slug": "EU", "name": "x", "currency": "euro"}, "currency"),
        ("unit", {"slug": "EU"}, "name"),
    ],
)
def test_a_document_that_cannot_be_meant_is_refused(kind, values, words):
    with pytest.raises(ValidationError, match=words):
        document(kind, **values)


def test_differences_name_only_what_would_change():
    assert differences("x", {"a": 1, "b": 2}, {"a": 1, "b": 3}) == [Difference("x", "b", 2, 3)]
    assert differences("x", None, {"a": None}) == [Difference("x", "a", None, None)]
