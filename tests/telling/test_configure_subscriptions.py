"""Subscriptions in the admin and as files: only ways that may be used, only eyes that one has; and the outbox."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from audit.models import Entry
from connectors.models import Connection
from playbooks.telling import reading, ways
from playbooks.telling.models import Outgoing, Subscription
from tests.factories import make_user
from tests.playbooks import scenes
from tests.telling.factories import happen, make_herald, make_outgoing, make_subscription

pytestmark = pytest.mark.django_db
ADD = "admin:playbooks_subscription_add"
LIST = "admin:playbooks_subscription_changelist"
OUTBOX = "admin:playbooks_outgoing_changelist"


def form(**changes: Any) -> dict[str, Any]:
    known = {
        "slug": "desk", "label": "Desk", "enabled": "on", "way": "herald:herald.cry", "events": ["incident.resolved"],
        "skip_hours": "24", "domains": "billing, logistics", "change_reason": "They asked for it.",
    }  # fmt: skip
    return {**known, **changes}


def add(client: Client, by: User, **changes: Any) -> Any:
    client.force_login(by)
    return client.post(reverse(ADD), form(**changes))


def faults(answer: Any) -> dict[str, Any]:
    return dict(answer.context["adminform"].form.errors)


def test_a_subscription_is_added_from_now_on_and_entered(client: Client, automation: User, watcher: User) -> None:
    make_herald()
    happen(scenes.make_incident())

    assert add(client, automation, as_user=watcher.pk).status_code == 302
    made = Subscription.objects.get()
    assert (made.connection.slug, made.operation, made.domains) == ("herald", "herald.cry", ["billing", "logistics"])
    assert made.begins_after > 0
    assert made.history.get().history_change_reason == "They asked for it."
    assert Entry.objects.get(verb="subscription.added").actor == "automation"
    assert reading.keep_up() == 0


def test_only_what_can_tell_and_may_is_offered(automation: User) -> None:
    make_herald("silent", operations=[])
    make_herald("loud")
    Connection.objects.create(slug="fo", kind="dynamics_fo", operations=["invoice.credit"])
    Connection.objects.create(slug="odd", kind="nobody-knows", operations=["herald.cry"])

    assert [way.name for way in ways.known()] == ["loud:herald.cry"]
    assert ways.named("silent:herald.cry") is None


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"way": "fo:invoice.credit"}, "way"), ({"way": ""}, "way"), ({"events": ["incident.deleted"]}, "events"),
        ({"events": []}, "events"), ({"recipients": "not an address"}, "recipients"),
        ({"recipients": "\n".join(f"p{n}@goldseam.example" for n in range(51))}, "recipients"),
        ({"skip_hours": "0"}, "skip_hours"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_said_beside_its_field(
    client: Client, automation: User, changes: dict[str, Any], where: str
) -> None:
    make_herald()

    assert where in faults(add(client, automation, **changes))
    assert not Subscription.objects.exists()


@pytest.mark.parametrize(
    ("config", "changes", "fits"),
    [
        ({}, {}, False), ({}, {"recipients": "desk@goldseam.example"}, True), ({}, {"ask_approvers": "on"}, True),
        ({"recipients": "desk@goldseam.example"}, {}, True),
    ],
)  # fmt: skip
def test_a_mail_has_somebody_to_go_to(
    client: Client, automation: User, config: dict[str, str], changes: dict[str, Any], fits: bool
) -> None:
    Connection.objects.create(
        slug="mail", kind="mail", operations=["mail.send"],
        config={"smtp_host": "mail.test", "address": "goldseam@goldseam.example", **config},
    )  # fmt: skip

    answer = add(client, automation, way="mail:mail.send", **{"recipients": "", **changes})

    assert Subscription.objects.exists() is fits
    assert fits or "Name somebody" in str(faults(answer)["recipients"])


@pytest.mark.parametrize(
    ("units", "superuser", "may"), [(["EU"], False, True), (["EU", "US"], False, False), (["EU"], True, False)]
)
def test_nobody_lets_out_what_they_could_not_see_themselves(
    client: Client, units: list[str], superuser: bool, may: bool
) -> None:
    make_herald()
    by = make_user("configures", role="automation_admin", units=["EU"])
    eyes = make_user("eyes", role="operator", units=units, superuser=superuser)

    answer = add(client, by, as_user=eyes.pk)

    assert Subscription.objects.exists() is may
    assert may or "as_user" in faults(answer)


def test_switched_on_again_it_is_told_of_what_happens_from_then(
    client: Client, automation: User, watcher: User
) -> None:
    subscription = make_subscription(watcher, enabled=False, events=["incident.resolved"])
    happen(scenes.make_incident())
    client.force_login(automation)
    url = reverse("admin:playbooks_subscription_change", args=[subscription.pk])

    assert "herald:herald.cry" in client.get(url).content.decode()
    assert client.post(url, form(slug="team", label="Team", as_user=watcher.pk, domains="")).status_code == 302
    assert reading.keep_up() == 0
    happen(scenes.make_incident())
    assert reading.keep_up() == 1


def test_it_is_held_up_and_goes_on_from_the_list(client: Client, automation: User, watcher: User) -> None:
    subscription = make_subscription(watcher)
    client.force_login(automation)
    for action, held in (("pause", True), ("resume", False)):
        client.post(reverse(LIST), {"action": action, "_selected_action": [subscription.pk]})
        subscription.refresh_from_db()
        assert (subscription.paused_at is not None) is held

    assert Entry.objects.filter(verb__in=("subscription.paused", "subscription.resumed")).count() == 2
    assert client.get(reverse(LIST)).status_code == 200
    assert client.post(reverse("admin:playbooks_subscription_delete", args=[subscription.pk])).status_code == 403


def test_the_outbox_shows_errors_by_state_and_only_ones_own_units(client: Client, watcher: User) -> None:
    subscription = make_subscription(watcher)
    make_outgoing(scenes.make_incident(), subscription, state="dead", state_reason="No such channel.")
    make_outgoing(scenes.make_incident(business_unit="US"), subscription, state="dead", state_reason="Another unit.")
    client.force_login(make_user("eu-admin", role="automation_admin", units=["EU"]))

    page = client.get(reverse(OUTBOX), {"state": "dead"}).content.decode()

    assert "No such channel." in page
    assert "Another unit." not in page
    assert "No such channel." not in client.get(reverse(OUTBOX), {"state": "sent"}).content.decode()


@pytest.mark.parametrize(("action", "state"), [("send_again", "pending"), ("set_aside", "skipped")])
def test_the_dead_are_sent_again_or_set_aside_with_a_reason(
    client: Client, automation: User, watcher: User, action: str, state: str
) -> None:
    row = make_outgoing(scenes.make_incident(), make_subscription(watcher), state="dead", attempts=7)
    client.force_login(automation)
    chosen = {"action": action, "_selected_action": [row.pk]}

    client.post(reverse(OUTBOX), chosen)
    row.refresh_from_db()
    assert row.state == "dead"
    client.post(reverse(OUTBOX), {**chosen, "reason": "The channel is back."})
    row.refresh_from_db()
    assert (row.state, row.state_reason) == (state, "The channel is back.")


FILE = """\
kind: subscription
slug: desk
label: Desk
connection: herald
operation: herald.cry
events: [incident.resolved, approval.asked]
as_user: watcher
min_severity: high
recipients: [desk@goldseam.example]
"""


def apply(tmp_path: Path, text: str) -> tuple[Any, str]:
    file, said = tmp_path / "subscription.yaml", io.StringIO()
    file.write_text(text)
    try:
        call_command("apply", str(file), stdout=said, stderr=said)
    except SystemExit as left:
        return left.code, said.getvalue()
    return 0, said.getvalue()


def test_a_file_makes_the_same_subscription_and_a_second_time_changes_nothing(tmp_path: Path, watcher: User) -> None:
    make_herald()
    happen(scenes.make_incident())

    assert apply(tmp_path, FILE)[0] == 0
    made = Subscription.objects.get()
    assert (made.as_user, made.min_severity, made.recipients) == (watcher, "high", ["desk@goldseam.example"])
    assert reading.keep_up() == 0
    history = made.history.count()
    assert "unchanged" in apply(tmp_path, FILE)[1]
    assert made.history.count() == history
    assert apply(tmp_path, FILE.replace("high", "low"))[0] == 0
    assert Subscription.objects.get().min_severity == "low"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("operation: herald.cry", "operation: invoice.credit", "may not do invoice.credit"),
        ("as_user: watcher", "as_user: nobody", "There is no user"),
        ("approval.asked", "approval.forgotten", "events[1]"),
        ("desk@goldseam.example", "desk", "recipients"),
        ("herald\noperation: herald.cry", "mail\noperation: mail.send", "Name somebody"),
    ],
)
def test_a_file_that_cannot_be_meant_changes_nothing(
    tmp_path: Path, watcher: User, old: str, new: str, says: str
) -> None:
    make_herald()
    Connection.objects.create(slug="mail", kind="mail", operations=["mail.send"])
    text = FILE.replace(old, new)

    code, said = apply(tmp_path, text.replace("recipients: [desk@goldseam.example]\n", "") if "mail." in new else text)

    assert code != 0
    assert says in said
    assert not Subscription.objects.exists()
    assert not Outgoing.objects.exists()
