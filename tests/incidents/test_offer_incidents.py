"""Who is to have an incident that needs a person: by skill, sight, duty and load, never two to one by accident."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from pydantic import ValidationError

from audit.models import Entry
from incidents import routing
from incidents.actions import assign, dismiss
from incidents.judgements import Offer
from incidents.manifests import DOCUMENTS, QueueDocument
from incidents.models import Incident, Queue
from incidents.moves import move
from incidents.states import Assign
from tests.factories import make_user
from tests.incidents.factories import make_calendar, make_incident, make_kind, make_queue


def people(*names: str, **changes: Any) -> list[User]:
    return [make_user(name, role="operator", **changes) for name in names]


def desk(*members: dict[str, Any], assign: str = "least_loaded", **changes: Any) -> Queue:
    """The one queue, with these members."""
    return make_queue(members=list(members), assign=assign, **changes)


def stuck(key: str = "CIV-1", **changes: Any) -> Incident:
    """An incident that nobody has described, so that it waits for a person at once."""
    return make_incident(entity_key=key, **{"code": "unheard_of", **changes})


def holder(incident: Incident) -> str:
    """Return who has the incident."""
    person = Incident.objects.get(pk=incident.pk).assignee
    return person.get_username() if person else ""


@pytest.mark.django_db
def test_the_least_loaded_member_is_given_it():
    anna, bert = people("anna", "bert")
    desk({"user": "anna"}, {"user": "bert"})
    Incident.objects.filter(pk=stuck("held").pk).update(assignee=anna)
    incident = stuck()

    assert routing.offer(incident.pk)

    assert holder(incident) == "bert"
    assert Offer.objects.get(incident=incident).reason == (
        "bert takes every kind and has 0 of 10 open, the least of 2."
    )
    entry = Entry.objects.get(verb="incident.assigned", incident_id=incident.pk)
    assert entry.actor == "system:routing"
    assert entry.reason.startswith("bert takes")
    assert bert.incidents.count() == 1


@pytest.mark.django_db
def test_a_closed_incident_is_no_load(operator):
    (anna,) = people("anna")
    desk({"user": "anna", "capacity": 1})
    old = stuck("old")
    assign(old, by=operator, to=anna)
    dismiss(Incident.objects.get(pk=old.pk), by=operator, reason="Known.")
    incident = stuck()

    routing.offer(incident.pk)

    assert holder(incident) == "anna"


@pytest.mark.django_db
def test_a_suggestion_leaves_it_to_a_person_and_counts_as_load():
    people("anna", "bert")
    desk({"user": "anna"}, {"user": "bert"}, assign="suggest")
    first, second = stuck("one"), stuck("two")

    assert routing.sweep() == 2

    offered = {offer.incident_id: offer.person.get_username() for offer in Offer.objects.all()}
    assert offered == {first.pk: "anna", second.pk: "bert"}
    assert [holder(first), holder(second)] == ["", ""]
    assert Entry.objects.filter(verb="incident.offered").count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("members", "queue", "why"),
    [
        ([], {}, "has no members"),
        ([{"user": "anna", "skills": ["credit"]}], {}, "has the skill billing"),
        ([{"user": "nobody-yet"}], {}, "may see and work on it"),
        ([{"user": "far"}], {}, "may see and work on it"),
        ([{"user": "viewer"}], {}, "may see and work on it"),
        ([{"user": "anna", "capacity": 1}], {}, "as much as they can do"),
        ([{"user": "anna"}], {"closed": True}, "on duty now"),
    ],
)
def test_where_nobody_can_take_it_the_queue_keeps_it_and_says_why(viewer, members, queue, why):
    make_kind()
    (anna,) = people("anna")
    people("far", units=["US"])
    calendar = make_calendar(hours={}) if queue.get("closed") else None
    desk(*members, calendar=calendar)
    Incident.objects.filter(pk=stuck("held").pk).update(assignee=anna)
    incident = make_incident(entity_key="CIV-2")
    move(incident, "needs_operator", actor="system:loop", reason="No playbook.")

    assert not routing.offer(incident.pk)
    assert not routing.offer(incident.pk)

    assert holder(incident) == ""
    assert why in Offer.objects.get(incident=incident).reason
    assert Entry.objects.filter(verb="incident.offered").count() == 1  # the same reason is told once


@pytest.mark.django_db
def test_a_skill_is_a_domain_or_a_kind():
    make_kind()
    people("anna", "bert", "carl")
    desk(
        {"user": "anna", "skills": ["credit"]},
        {"user": "bert", "skills": ["duplicate_invoice"]},
        {"user": "carl", "skills": ["billing"]},
    )
    found = []
    for number in range(2):
        incident = make_incident(entity_key=f"CIV-{number}")
        move(incident, "needs_operator", actor="system:loop", reason="No playbook.")
        routing.offer(incident.pk)
        found.append(holder(incident))

    assert found == ["bert", "carl"]


@pytest.mark.django_db
def test_somebody_who_comes_on_duty_is_found_by_the_sweep():
    people("anna")
    closed = make_calendar(hours={})
    desk({"user": "anna"}, calendar=closed)
    incident = stuck()
    assert routing.sweep() == 0

    closed.hours = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    closed.save()

    assert routing.sweep() == 1
    assert holder(incident) == "anna"


@pytest.mark.django_db
def test_what_a_person_has_is_offered_to_nobody(operator):
    people("anna")
    desk({"user": "anna"})
    incident = stuck()
    assign(incident, by=operator, to=operator)

    assert not routing.offer(incident.pk)
    assert holder(incident) == "operator"


@pytest.mark.django_db
def test_what_a_person_gave_back_is_not_assigned_again(operator):
    people("anna")
    desk({"user": "anna"})
    incident = stuck()
    routing.offer(incident.pk)
    assign(Incident.objects.get(pk=incident.pk), by=operator, to=None)

    assert routing.sweep() == 0
    assert holder(incident) == ""


@pytest.mark.django_db
def test_a_queue_that_assigns_to_nobody_offers_nothing():
    people("anna")
    desk({"user": "anna"}, assign="off")
    stuck()

    assert routing.sweep() == 0
    assert not Offer.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_needing_a_person_is_enough_to_be_offered():
    make_kind()
    people("anna")
    desk({"user": "anna"})
    incident = make_incident()

    move(incident, "needs_operator", actor="system:loop", reason="No playbook.")

    assert holder(incident) == "anna"


@pytest.mark.django_db(transaction=True)
def test_incidents_offered_at_once_are_spread_evenly_and_never_beyond_capacity():
    people("anna", "bert")
    desk({"user": "anna", "capacity": 3}, {"user": "bert", "capacity": 3})
    waiting = [stuck(f"CIV-{number}").pk for number in range(8)]

    def offer(pk: int) -> bool:
        try:
            return routing.offer(pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(offer, [*waiting, *waiting]))

    assert sum(found) == 6
    for name in ("anna", "bert"):
        assert Incident.objects.filter(assignee__username=name).count() == 3
    assert Offer.objects.filter(person=None).count() == 2


@pytest.mark.django_db
def test_programs_see_whom_the_queue_chose(api, operator):
    people("anna")
    desk({"user": "anna"}, assign="suggest")
    incident = stuck()
    routing.offer(incident.pk)

    told = api(operator).get(f"/api/v1/incidents/{incident.pk}/").json()["offer"]

    assert (told["person"], told["assigned"]) == ("anna", False)
    assert "the only one free" in told["reason"]


@pytest.mark.django_db
def test_a_document_names_members_and_may_say_so_again():
    make_calendar()
    given = {
        "kind": "queue",
        "slug": "billing",
        "label": "Billing",
        "assign": "suggest",
        "calendar": "office",
        "members": [{"user": "anna", "skills": ["billing"]}],
    }
    document = QueueDocument.model_validate(given)

    assert DOCUMENTS["queue"].plan(document)
    assert DOCUMENTS["queue"].apply(document, "test")
    assert not DOCUMENTS["queue"].apply(document, "test")
    queue = Queue.objects.get()
    assert queue.members == [{"user": "anna", "skills": ["billing"], "capacity": 10}]
    assert (queue.assign, queue.calendar.slug) == (Assign.SUGGEST, "office")


@pytest.mark.parametrize(
    "members", [[], [{"user": "anna"}, {"user": "anna"}], [{"user": "anna", "capacity": 0}]], ids=str
)
def test_members_that_mean_nothing_are_refused(members):
    with pytest.raises(ValidationError):
        QueueDocument.model_validate({"slug": "a", "label": "A", "assign": "suggest", "members": members})


@pytest.mark.django_db
def test_the_page_proposes_the_suggested_person_and_says_why(client, operator):
    people("anna")
    desk({"user": "anna"}, assign="suggest")
    incident = stuck()
    routing.offer(incident.pk)
    client.force_login(operator)

    page = client.get(incident.get_absolute_url()).content.decode()

    assert "<dt>Suggested</dt><dd>anna" in page
    assert '<option value="anna" selected>' in page
    assert "the only one free" in page


@pytest.mark.django_db
def test_the_page_says_why_nobody_has_it(client, operator):
    desk({"user": "gone"})
    incident = stuck()
    routing.offer(incident.pk)
    client.force_login(operator)

    page = client.get(incident.get_absolute_url()).content.decode()

    assert "<dt>Nobody yet</dt><dd>it stays in Billing" in page
