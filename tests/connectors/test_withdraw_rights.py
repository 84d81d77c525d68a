"""A right is taken away with one click by whoever may, kept in history and ledger, and given back with another."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.urls import reverse

from audit.clock import db_now
from audit.errors import Invalid
from audit.models import Entry
from audit.serializers import body_of
from connectors import gateway
from connectors.base import Blocked
from connectors.models import Call, Connection
from connectors.rights import report as rights
from connectors.rights import withdrawing
from connectors.rights.naming import Named
from connectors.rights.withdrawing import StillNeeded
from tests.connectors.at_door import KEY, WRITTEN, open_fo, read
from tests.connectors.factories import make_fo
from tests.connectors.rights_world import named  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture
def fo(named: list[Named]) -> Connection:  # noqa: F811
    made = make_fo(operations=["hold.release", "vendor.set_hold"])
    history: Any = made.history
    history.update(history_date=db_now() - timedelta(days=400))
    return made


def again(connection: Connection) -> Connection:
    return Connection.objects.get(pk=connection.pk)


def press(
    client, user, name: str, connection: Connection, *operations: str, status: int = 302, **form: str
) -> list[str]:
    client.force_login(user)
    body = {"operation": list(operations), **form}
    answer = client.post(reverse(f"admin:{name}", args=[connection.pk]), body)
    assert answer.status_code == status
    if status != 302:
        return []
    shown = client.get(answer["Location"])
    assert shown.status_code == 200
    return [str(message) for message in shown.context["messages"]]


def test_one_click_takes_a_right_away(client, automation, fo):
    (shown,) = press(client, automation, "connection-withdraw", fo, "vendor.set_hold")

    assert again(fo).operations == ["hold.release"]
    assert "may no longer use vendor.set_hold" in shown
    entry = Entry.objects.get(verb="connection.changed")
    assert (entry.actor, entry.reason) == ("automation", "Not used in 90 days.")
    said = body_of(entry)
    assert said["before"]["operations"] == ["hold.release", "vendor.set_hold"]
    assert said["after"]["operations"] == ["hold.release"]
    latest = again(fo).history.latest("history_id")
    assert latest.operations == ["hold.release"]


def test_several_go_at_once_with_one_entry_and_their_reason(client, automation, fo):
    press(client, automation, "connection-withdraw", fo, "vendor.set_hold", "hold.release", reason="Ticket 4711")

    assert again(fo).operations == []
    assert Entry.objects.get(verb="connection.changed").reason == "Ticket 4711"


def test_it_is_shown_as_withdrawn_and_given_back_with_another_click(client, automation, fo):
    press(client, automation, "connection-withdraw", fo, "vendor.set_hold")
    page = client.get(reverse("admin:connection-rights", args=[fo.pk])).content.decode()
    (said,) = press(client, automation, "connection-give-back", fo, "vendor.set_hold")

    assert "Give vendor.set_hold back" in page
    assert "may use vendor.set_hold again" in said
    assert sorted(again(fo).operations) == ["hold.release", "vendor.set_hold"]
    assert Entry.objects.filter(verb="connection.changed").count() == 2
    assert withdrawing.withdrawn(again(fo)) == []


def test_given_back_twice_is_given_back_once(client, automation, fo):
    press(client, automation, "connection-give-back", fo, "vendor.set_hold")

    assert again(fo).operations == ["hold.release", "vendor.set_hold"]
    assert not Entry.objects.filter(verb="connection.changed").exists()


def test_what_is_withdrawn_is_refused_at_the_door_at_once(played, named):  # noqa: F811
    fo = open_fo(played)
    withdrawing.withdraw(fo, ["hold.release"], actor="someone")
    before = len(played.requests)

    with pytest.raises(Blocked, match="not among the operations"):
        gateway.call(fo, "hold.release", WRITTEN, actor="system:loop", effect_key=KEY)

    assert len(played.requests) == before


def test_a_read_that_is_withdrawn_makes_a_list_of_all_others(played, named):  # noqa: F811
    fo = open_fo(played)

    withdrawing.withdraw(fo, ["order.get"], actor="someone")

    assert "order.get" not in again(fo).reads
    assert "invoice.get" in again(fo).reads
    with pytest.raises(Blocked, match="not among the reads"):
        read(again(fo))


def test_the_last_read_cannot_be_withdrawn_for_an_empty_list_would_allow_all(fo):
    Connection.objects.update(reads=["order.get"])

    with pytest.raises(Invalid, match="One read has to stay"):
        withdrawing.withdraw(fo, ["order.get"], actor="someone")

    assert again(fo).reads == ["order.get"]


def test_what_something_names_stays_and_it_says_what(client, automation, fo, named):  # noqa: F811
    named.append(Named("fo", "vendor.set_hold", "playbook", "Hold the vendor"))

    (said,) = press(client, automation, "connection-withdraw", fo, "vendor.set_hold")

    assert said == "vendor.set_hold stays: playbook Hold the vendor names it."
    assert "vendor.set_hold" in again(fo).operations


def test_of_several_none_goes_where_one_has_to_stay(fo, named):  # noqa: F811
    named.append(Named("fo", "vendor.set_hold", "playbook", "Hold the vendor"))

    with pytest.raises(StillNeeded):
        withdrawing.withdraw(fo, ["hold.release", "vendor.set_hold"], actor="someone")

    assert again(fo).operations == ["hold.release", "vendor.set_hold"]


def test_what_takes_back_what_was_done_stays(named):  # noqa: F811
    fo = make_fo(operations=["invoice.credit", "credit_note.reverse"])
    Call.objects.create(
        connection=fo, operation="invoice.credit", direction="write", actor="x", outcome="ok", started_at=db_now()
    )

    with pytest.raises(StillNeeded, match=r"it takes back invoice\.credit"):
        withdrawing.withdraw(fo, ["credit_note.reverse"], actor="someone")


def test_what_is_not_allowed_or_not_known_changes_nothing(client, automation, fo):
    (said,) = press(client, automation, "connection-withdraw", fo, "hold.place", "no.such")

    assert said == "Nothing of that was allowed any more."
    assert not Entry.objects.filter(verb="connection.changed").exists()


def test_nothing_is_given_that_the_connection_does_not_have(client, automation, fo):
    (said,) = press(client, automation, "connection-give-back", fo, "no.such")

    assert "has no operation no.such" in said


@pytest.mark.parametrize("name", ["operator", "auditor", "compliance", "viewer"])
@pytest.mark.parametrize("button", ["connection-withdraw", "connection-give-back"])
def test_who_may_not_configure_connections_takes_and_gives_nothing(client, request, fo, name, button):
    client.force_login(request.getfixturevalue(name))
    answer = client.post(reverse(f"admin:{button}", args=[fo.pk]), {"operation": "vendor.set_hold"})

    assert answer.status_code in (302, 403)
    assert again(fo).operations == ["hold.release", "vendor.set_hold"]
    assert not Entry.objects.filter(verb="connection.changed").exists()


def test_looking_changes_nothing(client, automation, fo):
    client.force_login(automation)

    for button in ("connection-withdraw", "connection-give-back"):
        assert client.get(reverse(f"admin:{button}", args=[fo.pk])).status_code == 405


def test_a_connection_that_is_gone_is_not_found(client, automation, fo):
    press(client, automation, "connection-withdraw", Connection(pk=fo.pk + 1), "hold.release", status=404)


def test_the_connection_s_own_page_leads_there(client, automation, fo):
    client.force_login(automation)
    page = client.get(reverse("admin:connectors_connection_change", args=[fo.pk])).content.decode()

    assert reverse("admin:connection-rights", args=[fo.pk]) in page


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_lose_nothing_of_each_other(named):  # noqa: F811
    fo = make_fo(operations=["hold.release", "vendor.set_hold", "line.set_price"])
    start, gone = threading.Barrier(2), []

    def one(name: str) -> None:
        start.wait()
        gone.append(withdrawing.withdraw(fo, [name], actor=name))
        connections.close_all()

    people = [threading.Thread(target=one, args=[name]) for name in ("hold.release", "vendor.set_hold")]
    for person in people:
        person.start()
    for person in people:
        person.join()

    assert sorted(gone) == [["hold.release"], ["vendor.set_hold"]]
    assert again(fo).operations == ["line.set_price"]
    assert rights.allowed(again(fo), rights.registry.operation_of(fo, "line.set_price"))
