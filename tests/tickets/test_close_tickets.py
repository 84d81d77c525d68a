"""What becomes of a ticket is seen in its incident, and which tickets an incident belongs to is declared."""

import pytest
from django.test import Client

from audit.models import Entry
from connectors.kinds.dataverse.notes import TICKETS
from connectors.models import Delivery
from incidents import tickets
from incidents.models import Comment, ExceptionKind, Incident
from incidents.states import Status
from incidents.ticket_models import Ticket
from tests.factories import make_user
from tests.incidents.factories import make_incident, put
from tests.tickets.worlds import PEOPLE, Desk, hurry, judge, look_into, make_kind

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_ticket_that_is_closed_in_its_own_system_closes_the_incident_that_it_is(desk: Desk) -> None:
    incident = desk.incident()
    assert incident.status == Status.NEEDS_OPERATOR
    desk.close()
    desk.hear()
    incident.refresh_from_db()
    assert (incident.status, incident.status_reason.startswith(str(Ticket.objects.get()))) == (Status.TRIAGED, True)

    look_into(incident)

    assert incident.status == Status.DISMISSED
    assert "the ticket is closed." in incident.status_reason
    assert Ticket.objects.get().closed


def test_a_ticket_that_only_is_named_leaves_its_incident_alone(desk: Desk) -> None:
    incident = desk.incident(closes=False)
    desk.close()
    desk.hear()
    incident.refresh_from_db()

    assert incident.status == Status.NEEDS_OPERATOR


def test_what_a_person_has_put_on_hold_stays_there(desk: Desk) -> None:
    incident = put(desk.incident(), Status.ON_HOLD)
    desk.close()
    desk.hear()
    incident.refresh_from_db()

    assert incident.status == Status.ON_HOLD


def test_a_closed_ticket_is_looked_into_once_however_often_it_changes(desk: Desk) -> None:
    incident = desk.incident(healed="''")
    for _ in range(3):
        desk.close()
        desk.hear()
        look_into(incident)
        desk.touch()
        desk.hear()

    assert incident.status == Status.NEEDS_OPERATOR
    assert Entry.objects.filter(verb="incident.triaged", actor=tickets.ACTOR).count() == 1


def test_a_ticket_closed_while_the_loop_still_reads_waits_for_it(desk: Desk) -> None:
    incident = put(desk.incident(), Status.DIAGNOSED)
    desk.close()

    assert desk.hear() == [""]
    put(incident, Status.NEEDS_OPERATOR)
    hurry()
    judge()
    incident.refresh_from_db()
    assert incident.status == Status.TRIAGED


def test_a_ticket_that_is_reopened_there_is_an_incident_again(desk: Desk) -> None:
    first = desk.incident()
    desk.close()
    desk.hear()
    look_into(first)
    desk.reopen()
    desk.hear()

    second = Incident.objects.exclude(pk=first.pk).get()
    assert (second.entity_key, second.status) == (first.entity_key, Status.NEW)
    assert first.status == Status.DISMISSED
    assert not Ticket.objects.get().closed
    desk.write("It came back")
    desk.hear()
    assert Comment.objects.get().incident == second


def test_a_ticket_that_only_has_another_stamp_opens_nothing_anew(desk: Desk) -> None:
    incident = desk.incident()
    put(incident, Status.RESOLVED)
    desk.touch()

    assert desk.hear() == ["nothing_wrong"]
    assert Delivery.objects.latest("pk").message == "The ticket says nothing new."
    assert Incident.objects.count() == 1


# --- which tickets an incident belongs to ------------------------------------------------------
def test_tickets_that_the_records_name_belong_to_an_incident_as_well(desk: Desk) -> None:
    other, third = desk.open(), desk.open()
    named = f"['{other}', '{third}', '{other}', 'nonsense', '']"
    slug = desk.connection.slug
    make_kind(desk, tickets=[{"connection": slug, "id": named}, {"connection": "nowhere", "id": "'x'"}])
    incident = make_incident(code="service_case", entity_type="case", entity_key="CAS-9", source="elsewhere")
    look_into(incident)

    assert tickets.addresses(incident, desk.connection) == (other, third)
    desk.write("On the second", third)
    ExceptionKind.objects.update(enabled=False)
    desk.hear()
    assert Comment.objects.get().incident == incident


@pytest.mark.parametrize("id_", ["null", "case.nothing", "7", "['', null]"])
def test_what_cannot_be_worked_out_names_no_ticket(desk: Desk, id_: str) -> None:
    make_kind(desk, tickets=[{"connection": desk.connection.slug, "id": id_}])
    incident = make_incident(code="service_case", entity_type="case", entity_key="CAS-9", source="elsewhere")
    look_into(incident)

    assert Ticket.objects.count() == 0


def test_a_kind_that_declares_no_tickets_has_none(desk: Desk) -> None:
    desk.incident(tickets=[])
    desk.write("Any news?")

    assert desk.hear() == ["no_rule"]
    assert Ticket.objects.count() == 0


def test_of_a_ticket_nothing_is_kept_that_could_be_read(desk: Desk) -> None:
    desk.incident()

    kept = Ticket.objects.get()
    assert kept.key == desk.ticket
    assert all(len(mark) == 16 for mark in kept.seen.values())
    assert "Where is it?" not in str(kept.seen)


def test_a_ticket_that_somebody_else_owns_or_that_is_more_urgent_says_something_new(desk: Desk) -> None:
    incident = desk.incident()
    desk.hurry_up()
    desk.hear()

    incident.refresh_from_db()
    assert incident.signals_count == 2


def test_what_a_webhook_and_a_read_say_of_one_case_is_the_same(dataverse: Desk) -> None:
    case, user = dataverse.ticket, PEOPLE["dataverse"]
    told = {"title": "Late", "ownerid": {"Id": user, "LogicalName": "systemuser"}, "modifiedby": {"Id": user}}
    read = {
        "title": "Late", "_ownerid_value": user, "_ownerid_value_label": "Service desk", "_modifiedby_value": "x",
        "statecode": 0, "statecode_label": "Active", "modifiedon": "2026-11-03T12:00:00Z",
    }  # fmt: skip
    named = {"PrimaryEntityName": "incident", "PrimaryEntityId": case}

    pushed = TICKETS.ticket("incident.Update", {**named, "MessageName": "Update", "Target": told}, {})
    polled = TICKETS.ticket("record:incident", {**named, "Deleted": False, **read}, {})

    assert pushed is not None
    assert polled is not None
    assert dict(pushed.fields) == {"title": "Late", "ownerid": user}
    assert dict(polled.fields) == {"title": "Late", "ownerid": user, "statecode": 0}
    assert (pushed.closed, polled.closed) == (None, False)


def test_the_page_of_an_incident_leads_to_its_tickets(desk: Desk) -> None:
    incident = desk.incident()
    desk.close()
    desk.hear()
    client = Client()
    client.force_login(make_user("reader", role="operator"))

    page = client.get(incident.get_absolute_url()).content.decode()

    assert f'href="{desk.simulated.url}/' in page
    assert desk.ticket in page
    assert "(closed)" in page
