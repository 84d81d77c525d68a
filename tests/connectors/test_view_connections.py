"""The connections page: health, calls of the last hour, and the switch that stops writing."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from audit.clock import db_now
from connectors import actions
from connectors.base import Health
from connectors.models import Call, Connection, EmergencyStop

pytestmark = pytest.mark.django_db


@pytest.fixture
def fo() -> Connection:
    return Connection.objects.create(slug="fo", kind="dynamics_fo", label="Finance & Operations", health="ok")


def call(
    connection: Connection, outcome: str = "ok", *, ago: timedelta = timedelta(minutes=5), **columns: object
) -> Call:
    at = db_now() - ago
    values = {"operation": "invoice.get", "direction": "read", "actor": "system:loop", "finished_at": at, **columns}
    return Call.objects.create(connection=connection, outcome=outcome, started_at=at, **values)


def read(client, user: User, name: str = "connections", *args: str, query: str = "") -> str:
    client.force_login(user)
    answer = client.get(reverse(name, args=args) + query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def post(client, user: User, name: str, *args: str, **form: str) -> list[str]:
    client.force_login(user)
    answer = client.post(reverse(name, args=args), form, follow=True)
    return [str(message) for message in answer.context["messages"]]


def test_a_connection_is_shown_with_its_last_hour(client, operator, fo):
    call(fo)
    call(fo, "refused")
    call(fo, "refused", ago=timedelta(hours=2))

    page = read(client, operator)

    assert "Finance &amp; Operations" in page
    assert "Healthy" in page
    assert '<td class="num" data-label="Calls"><span>2</span></td>' in page
    assert '<span class="tone-critical">1</span>' in page


def test_no_connections_says_how_to_get_one(client, automation):
    assert "Connect a system" in read(client, automation)


def test_a_system_that_fails_says_why(client, operator, fo):
    Connection.objects.update(health="failing", health_message="The secret was refused.")

    page = read(client, operator)

    assert "Failing" in page
    assert "The secret was refused." in page


def test_a_system_that_asked_for_a_pause_shows_until_when(client, operator, fo):
    Connection.objects.update(not_before=db_now() + timedelta(minutes=3))

    assert "The system asked for a pause" in read(client, operator)


@pytest.mark.parametrize("name", ["viewer", "approver"])
def test_other_roles_do_not_see_the_traffic(client, request, name):
    client.force_login(request.getfixturevalue(name))

    assert client.get(reverse("connections")).status_code == 403


def test_an_auditor_reads_and_switches_nothing(client, auditor, fo):
    page = read(client, auditor)
    said = post(client, auditor, "connections-stop", reason="I want to")

    assert "Stop all writing" not in page
    assert said == ["Operators and automation owners do this."]
    assert not EmergencyStop.objects.exists()


def test_an_operator_stops_all_writing_with_a_reason_and_lets_it_go_on(client, operator, fo):
    post(client, operator, "connections-stop", reason="Prices look wrong everywhere.")
    page = read(client, operator)

    said = post(client, operator, "connections-resume", reason="It was one customer.")

    assert "Writing is stopped everywhere" in page
    assert "Prices look wrong everywhere." in page
    assert said == ["Writing goes on; what waited is taken up again."]
    assert actions.stopped() is None


def test_one_connection_is_stopped_alone(client, operator, fo):
    post(client, operator, "connections-stop", reason="Closing the period.", connection="fo")

    assert actions.stopped(fo) is not None
    assert "stopped" in read(client, operator)
    assert "Writing is stopped everywhere" not in read(client, operator)


def test_nothing_is_stopped_without_a_reason(client, operator, fo):
    (said,) = post(client, operator, "connections-stop", reason=" ")

    assert "A reason is needed." in said
    assert not EmergencyStop.objects.exists()


def test_going_on_where_nothing_is_stopped_says_so(client, operator, fo):
    assert post(client, operator, "connections-resume", reason="x") == ["No emergency stop is active there."]


def test_a_system_that_answers_is_said_to(client, operator, fo, monkeypatch):
    monkeypatch.setattr(actions, "test_connection", lambda connection, actor: Health(True, ("token",), ""))

    assert post(client, operator, "connection-check", "fo") == ["Finance & Operations answers."]


def test_a_system_that_does_not_answer_says_why(client, operator, fo, monkeypatch):
    monkeypatch.setattr(actions, "test_connection", lambda connection, actor: Health(False, ("token",), "No route."))

    assert post(client, operator, "connection-check", "fo") == ["Finance & Operations: No route."]


def test_calls_are_read_newest_first_without_secrets(client, operator, fo):
    call(fo, arguments={"company": "demf"}, effect_key="k" * 40, incident_id=7, message="fine")
    call(fo, "locked", operation="hold.release", ago=timedelta(minutes=1))

    page = read(client, operator, "calls", "fo")

    assert page.index("hold.release") < page.index("invoice.get")
    assert "demf" in page
    assert 'href="/incidents/7/"' in page


def test_only_failed_calls_can_be_asked_for(client, operator, fo):
    call(fo, operation="order.get")
    call(fo, "locked", operation="hold.release")

    page = read(client, operator, "calls", "fo", query="?show=failed")

    assert "hold.release" in page
    assert "order.get" not in page


def test_a_connection_without_calls_says_so(client, operator, fo):
    assert "Nothing was asked of this system yet." in read(client, operator, "calls", "fo")


def test_a_connection_that_does_not_exist_is_not_there(client, operator):
    client.force_login(operator)

    assert client.get(reverse("calls", args=["nowhere"])).status_code == 404


@pytest.mark.parametrize(
    ("name", "args"), [("connections", []), ("calls", ["fo"]), ("admin:connectors_connection_changelist", [])]
)
def test_a_connection_that_nobody_tested_answers_when_its_calls_do(client, admin, fo, name, args):
    Connection.objects.update(health="unknown")
    assert "not checked yet" in read(client, admin, name, *args)

    call(fo, "refused")
    assert "not checked yet" in read(client, admin, name, *args)

    call(fo)
    page = read(client, admin, name, *args)
    assert "answers" in page
    assert "not checked yet" not in page
