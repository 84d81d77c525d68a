"""Kinds, queues, calendars and service levels in the admin: checked as in files, versioned, entered."""

import json
from typing import Any

import pytest
import yaml
from django.urls import reverse

from audit.models import Entry
from incidents.models import Calendar, ExceptionKind, Queue, SlaPolicy
from tests.factories import make_user
from tests.incidents.factories import WEEK, make_calendar, make_incident, make_kind, make_policy, make_queue

pytestmark = pytest.mark.django_db
TARGETS = {"high": {"acknowledge": 15, "resolve": 120}}


def page(model: str, row: Any = None, what: str = "") -> str:
    if row is None:
        return reverse(f"admin:incidents_{model}_{what or 'add'}")
    return reverse(f"admin:incidents_{model}_{what or 'change'}", args=[row.pk])


@pytest.fixture
def keeper(client):
    client.force_login(make_user("keeper", role="automation_admin"))
    return client


def kind(**changes: Any) -> dict[str, Any]:
    text = yaml.safe_dump({"title": "Invoice {incident.entity_key} twice"})
    given = {"code": "twice", "label": "Twice", "domain": "billing", "entity_type": "invoice", "definition": text}
    return {**given, "enabled": "on", "change_reason": "asked", **changes}


def queue(**changes: Any) -> dict[str, Any]:
    return {"slug": "billing", "label": "Billing", "domains": '["billing"]', "business_units": "[]", **changes}


def calendar(**changes: Any) -> dict[str, Any]:
    given = {"slug": "office", "label": "Office", "time_zone": "Europe/Berlin", "hours": json.dumps(WEEK)}
    return {**given, "country": "DE", "subdivision": "", "closed_days": "[]", **changes}


def policy(**changes: Any) -> dict[str, Any]:
    given = {"slug": "standard", "label": "Standard", "domains": "[]", "kinds": "[]", "targets": json.dumps(TARGETS)}
    numbers = {"warn_percent": "75", "escalate_every_minutes": "60", "priority": "100"}
    return {**given, **numbers, "escalate_to": '["approver"]', "enabled": "on", **changes}


def test_a_kind_is_made_and_entered(keeper):
    answer = keeper.post(page("exceptionkind"), kind())

    made = ExceptionKind.objects.get()
    assert answer.status_code == 302
    assert (made.code, made.version, made.definition) == ("twice", 1, {"title": "Invoice {incident.entity_key} twice"})
    assert Entry.objects.get(verb="exceptionkind.added").reason == "asked"


def test_another_text_is_the_next_version_and_the_same_is_none(keeper):
    made = make_kind("twice")
    same = yaml.safe_dump(made.definition)
    keeper.post(page("exceptionkind", made), kind(label=made.label, definition=f"# a comment\n{same}"))
    first = ExceptionKind.objects.get().version

    keeper.post(page("exceptionkind", made), kind(label=made.label))

    assert (first, ExceptionKind.objects.get().version) == (1, 2)
    assert '"definition"' in Entry.objects.filter(verb="exceptionkind.changed").latest("n").body


def test_the_code_of_a_kind_stays_what_it_is(keeper):
    made = make_kind("twice")

    keeper.post(page("exceptionkind", made), kind(code="thrice"))

    assert ExceptionKind.objects.get().code == "twice"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"definition": "title: ["}, "definition"),
        ({"definition": "just words"}, "definition"),
        ({"definition": "colour: gold"}, "definition"),
        ({"definition": "title: T\nderived: {x: '1 +'}"}, "definition"),
        ({"domain": "Not a slug"}, "domain"),
    ],
)
def test_a_kind_that_a_file_could_not_describe_is_refused(keeper, changes, field):
    answer = keeper.post(page("exceptionkind"), kind(**changes))

    assert field in answer.context["adminform"].form.errors
    assert not ExceptionKind.objects.exists()


def test_a_queue_is_made_and_changed(keeper):
    keeper.post(page("queue"), queue())
    made = Queue.objects.get()

    keeper.post(page("queue", made), queue(domains="", label="Billing and credit"))

    made.refresh_from_db()
    assert (made.label, made.domains) == ("Billing and credit", [])
    assert Entry.objects.filter(verb__startswith="queue.").count() == 2


@pytest.mark.parametrize("domains", ["[1]", '{"a": 1}', "billing"])
def test_a_queue_of_what_is_no_list_of_words_is_refused(keeper, domains):
    answer = keeper.post(page("queue"), queue(domains=domains))

    assert "domains" in answer.context["adminform"].form.errors


def test_a_calendar_is_made(keeper):
    answer = keeper.post(page("calendar"), calendar())

    assert answer.status_code == 302
    assert Calendar.objects.get().hours == WEEK


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"time_zone": "Europe/Nowhere"}, "time_zone"),
        ({"hours": "{}"}, "hours"),
        ({"hours": '{"mon": [["17:00", "09:00"]]}'}, "hours"),
        ({"hours": '{"someday": [["09:00", "17:00"]]}'}, "hours"),
        ({"closed_days": '["Christmas"]'}, "closed_days"),
        ({"country": "XX"}, "__all__"),
    ],
)
def test_a_calendar_that_could_not_run_is_refused(keeper, changes, field):
    answer = keeper.post(page("calendar"), calendar(**changes))

    assert field in answer.context["adminform"].form.errors
    assert not Calendar.objects.exists()


def test_a_service_level_is_made_and_changed(keeper):
    hours = make_calendar()
    keeper.post(page("slapolicy"), policy(calendar=hours.pk))
    made = SlaPolicy.objects.get()

    answer = keeper.post(page("slapolicy", made), policy(calendar=hours.pk, warn_percent="50"))

    made.refresh_from_db()
    assert answer.status_code == 302
    assert (made.targets, made.warn_percent) == (TARGETS, 50)
    assert '"warn_percent":50' in Entry.objects.get(verb="slapolicy.changed").body


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"targets": '{"huge": {"acknowledge": 1, "resolve": 2}}'}, "targets"),
        ({"targets": '{"high": {"acknowledge": 0, "resolve": 2}}'}, "targets"),
        ({"warn_percent": "101"}, "warn_percent"),
        ({"escalate_to": "{}"}, "escalate_to"),
        ({"calendar": ""}, "calendar"),
    ],
)
def test_a_service_level_that_means_nothing_is_refused(keeper, changes, field):
    answer = keeper.post(page("slapolicy"), policy(**{"calendar": make_calendar().pk, **changes}))

    assert field in answer.context["adminform"].form.errors
    assert not SlaPolicy.objects.exists()


@pytest.mark.parametrize("model", ["exceptionkind", "queue", "calendar", "slapolicy", "incident", "signal", "evidence"])
def test_every_list_and_page_opens_for_an_auditor_and_changes_nothing(client, model):
    client.force_login(make_user("reader", role="auditor"))
    make_kind()
    make_policy()
    make_queue()
    incident = make_incident()
    row = {
        "exceptionkind": ExceptionKind.objects.get(),
        "queue": Queue.objects.get(),
        "calendar": Calendar.objects.get(),
        "slapolicy": SlaPolicy.objects.get(),
        "incident": incident,
        "signal": incident.signals.get(),
        "evidence": incident.evidence.get(),
    }[model]

    seen = [client.get(page(model, what="changelist")), client.get(page(model, row))]
    tried = [client.post(page(model, row), {}), client.post(page(model), {}), client.post(page(model, row, "delete"))]

    assert [answer.status_code for answer in seen] == [200, 200]
    assert [answer.status_code for answer in tried] == [403, 403, 403]


@pytest.mark.parametrize("model", ["incident", "signal", "evidence"])
def test_what_happened_is_edited_by_nobody(admin_client, model):
    incident = make_incident()
    row = {"incident": incident, "signal": incident.signals.get(), "evidence": incident.evidence.get()}[model]

    tried = [
        admin_client.post(page(model), {}),
        admin_client.post(page(model, row), {}),
        admin_client.post(page(model, row, "delete"), {"post": "yes"}),
    ]

    assert [answer.status_code for answer in tried] == [403, 403, 403]


@pytest.mark.parametrize("model", ["incident", "signal", "evidence"])
def test_records_of_other_units_are_not_listed(client, model):
    client.force_login(make_user("us", role="auditor", units=["US"]))
    make_incident()

    answer = client.get(page(model, what="changelist"))

    assert answer.context["cl"].result_count == 0


def test_history_shows_each_field(keeper):
    keeper.post(page("queue"), queue())

    answer = keeper.get(page("queue", Queue.objects.get(), "history"))

    assert answer.status_code == 200
    assert "Billing" in answer.content.decode()
