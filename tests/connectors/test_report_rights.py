"""The report of rights: what is allowed and never used, what nothing names, what is needed, and what that costs."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from audit.clock import db_now
from connectors.door.uses import CredentialUse
from connectors.models import Call, Connection
from connectors.rights import report as rights
from connectors.rights import wording as rights_pages
from connectors.rights.naming import Named
from connectors.rights.report import State
from tests.connectors.factories import SECRET, make_fo
from tests.connectors.rights_world import NOW, aged, called, named  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture
def fo() -> Connection:
    made = make_fo(operations=["invoice.credit", "credit_note.reverse", "hold.release", "vendor.set_hold"])
    aged(made)
    return made


def states(connection: Connection, days: int = 90) -> dict[str, State]:
    return {one.name: one.state for one in rights.report(connection, days, NOW).rights}


def by_playbook(operation: str, connection: str = "fo") -> Named:
    return Named(connection, operation, "playbook", "Credit the duplicate", "/playbooks/credit/")


def test_what_was_never_used_and_nothing_names_can_go(fo, named):  # noqa: F811
    found = rights.report(fo, 90, NOW)

    assert {one.name for one in found.rights if one.can_go and one.use == "write"} == {
        "invoice.credit", "credit_note.reverse", "hold.release", "vendor.set_hold",
    }  # fmt: skip
    assert "hold.place" not in states(fo), "what is neither allowed nor asked for is no news"


def test_what_is_used_and_named_stays(fo, named):  # noqa: F811
    named.append(by_playbook("hold.release"))
    called(fo, "hold.release")

    assert states(fo)["hold.release"] is State.IN_USE


def test_what_is_used_and_named_by_nothing_is_the_next_to_go(fo, named):  # noqa: F811
    called(fo, "vendor.set_hold", days=10)

    one = next(one for one in rights.report(fo, 90, NOW).rights if one.name == "vendor.set_hold")

    assert (one.state, one.used.calls, one.can_go) == (State.UNNAMED, 1, True)
    assert states(fo, days=5)["vendor.set_hold"] is State.UNUSED


def test_what_is_named_and_not_used_is_needed(fo, named):  # noqa: F811
    named.append(by_playbook("vendor.set_hold"))

    assert states(fo)["vendor.set_hold"] is State.IDLE


def test_what_is_named_and_not_allowed_is_missing(fo, named):  # noqa: F811
    named.append(by_playbook("hold.place"))

    assert states(fo)["hold.place"] is State.MISSING


def test_what_was_used_and_is_no_longer_allowed_is_told(fo, named):  # noqa: F811
    called(fo, "hold.place")
    called(fo, "gone.altogether")

    assert states(fo)["hold.place"] is State.LEFT
    assert states(fo)["gone.altogether"] is State.LEFT


@pytest.mark.parametrize("needed", ["named", "used"])
def test_what_takes_back_what_is_named_or_was_done_stays(fo, named, needed):  # noqa: F811
    if needed == "named":
        named.append(by_playbook("invoice.credit"))
    else:
        called(fo, "invoice.credit")

    one = next(one for one in rights.report(fo, 90, NOW).rights if one.name == "credit_note.reverse")

    assert (one.state, one.undo_of, one.can_go) == (State.IDLE, ("invoice.credit",), False)


def test_looking_at_a_record_is_no_use_of_the_write(fo, named):  # noqa: F811
    called(fo, "vendor.set_hold", "observe")
    called(fo, "vendor.set_hold", outcome="blocked")

    one = next(one for one in rights.report(fo, 90, NOW).rights if one.name == "vendor.set_hold")

    assert (one.state, one.used.calls, one.used.refused) == (State.UNUSED, 0, 1)
    assert one.used.last_at is None
    assert one.looked_at == NOW - timedelta(days=1)


def test_what_is_allowed_for_a_shorter_time_is_too_early_to_judge(named):  # noqa: F811
    fo = make_fo(operations=["hold.release"])
    aged(fo, days=89)

    assert states(fo, days=90)["hold.release"] is State.NEW
    assert states(fo, days=88)["hold.release"] is State.UNUSED


def test_since_when_something_is_allowed_counts_from_the_last_break(named):  # noqa: F811
    fo = make_fo(operations=["hold.release"])
    history: Any = fo.history
    for operations, days in (([], 50), (["hold.release"], 10)):
        fo.operations = operations
        fo.save()
        history.filter(pk=history.latest("history_id").pk).update(history_date=NOW - timedelta(days=days))
    history.filter(pk=history.order_by("history_id").first().pk).update(history_date=NOW - timedelta(days=300))

    one = next(one for one in rights.report(fo, 90, NOW).rights if one.name == "hold.release")

    assert one.allowed_since == NOW - timedelta(days=10)
    assert one.state is State.NEW


def test_an_empty_list_of_reads_allows_every_read(fo, named):  # noqa: F811
    called(fo, "order.get", "read")

    found = states(fo)

    assert found["order.get"] is State.UNNAMED
    assert found["vendor.get"] is State.UNUSED


def test_connections_are_told_apart(fo, named):  # noqa: F811
    other = make_fo(slug="other", operations=["hold.release"])
    aged(other)
    called(other, "hold.release")
    named.append(by_playbook("hold.release", "other"))

    assert states(fo)["hold.release"] is State.UNUSED
    assert states(other)["hold.release"] is State.IN_USE


def test_what_has_to_be_granted_over_there_covers_what_is_allowed_and_no_more(named):  # noqa: F811
    fo = make_fo(operations=["vendor.set_hold"], reads=["order.get"])

    found = rights.report(fo, 90, NOW)

    assert found.grants == {
        "SalesOrderHeadersV2: read": ["order.get"],
        "VendorsV2: read": ["vendor.set_hold"],
        "VendorsV2: update": ["vendor.set_hold"],
    }
    assert "Microsoft Entra applications" in found.told.always[0]


# --- Pages, file and API --------------------------------------------------------------------------


@pytest.fixture
def now(fo: Connection) -> Connection:
    """The same connection by the clock of today."""
    history: Any = Connection.history.model
    history.objects.update(history_date=db_now() - timedelta(days=400))
    Call.objects.create(
        connection=fo, operation="hold.release", direction="write", actor="x", outcome="ok",
        started_at=db_now() - timedelta(days=3),
    )  # fmt: skip
    return fo


def page(client, user, name: str, *args: object, query: str = "", status: int = 200) -> str:
    client.force_login(user)
    answer = client.get(reverse(name, args=args) + query)
    assert answer.status_code == status
    return str(answer.content.decode())


def test_the_console_shows_the_report_and_lets_nobody_change_anything(client, auditor, now, named):  # noqa: F811
    said = page(client, auditor, "connection-rights", "fo")

    assert "Never used" in said
    assert "Used, and named by nothing" in said
    assert "VendorsV2: update" in said
    assert "Withdraw" not in said


def test_the_list_of_connections_hints_at_what_could_go(client, operator, now, named):  # noqa: F811
    assert "unused rights</a>" in page(client, operator, "connections")


def test_all_connections_stand_on_one_page(client, auditor, now, named):  # noqa: F811
    said = page(client, auditor, "all-rights")

    assert "Unused rights" in said
    assert "vendor.set_hold" in said


@pytest.mark.parametrize("name", ["viewer", "approver"])
def test_other_roles_see_no_rights(client, request, now, name):
    user = request.getfixturevalue(name)

    page(client, user, "connection-rights", "fo", status=403)
    page(client, user, "all-rights", status=403)


@pytest.mark.parametrize("days", ["0", "-1", "731", "x", "９", "1e2", "99999999999999999999"])
def test_a_time_that_cannot_be_meant_is_refused(client, api, auditor, now, days):
    page(client, auditor, "connection-rights", "fo", query=f"?days={days}", status=404)
    answer = api(auditor).get(f"/api/v1/connections/fo/rights/?days={days}")

    assert answer.status_code == 400
    assert "days" in answer.json()["errors"]


def test_the_file_has_a_line_for_each_right_and_secret(client, auditor, now, named):  # noqa: F811
    text = page(client, auditor, "all-rights", query="?format=csv")
    lines = list(csv.DictReader(io.StringIO(text)))

    by_name = {line["operation"]: line for line in lines}
    assert by_name["vendor.set_hold"]["state"] == "unused"
    assert by_name["hold.release"]["calls"] == "1"
    assert by_name["client_secret"]["use"] == "secret"
    assert SECRET not in text


def test_no_cell_of_the_file_is_a_formula(client, auditor, now, named):  # noqa: F811
    named.append(Named("fo", "hold.release", "=cmd|' /C calc'!A0", "x"))

    text = page(client, auditor, "connection-rights", "fo", query="?format=csv")

    assert all(not cell.startswith(("=", "+", "@")) for line in csv.reader(io.StringIO(text)) for cell in line)


def test_the_api_says_the_same(api, auditor, now, named):  # noqa: F811
    named.append(by_playbook("vendor.set_hold"))
    told = api(auditor).get("/api/v1/connections/fo/rights/").json()
    by_name = {one["operation"]: one for one in told["rights"]}

    assert (told["connection"], told["days"], told["complete"]) == ("fo", 90, True)
    assert by_name["vendor.set_hold"]["named_by"] == [
        {"by": "playbook", "name": "Credit the duplicate", "url": "/playbooks/credit/"}
    ]
    assert by_name["hold.release"]["state"] == "unnamed"
    assert {"name": "client_secret", "set": True}.items() <= told["credentials"][0].items()
    assert {"right": "VendorsV2: update", "operations": ["vendor.set_hold"]} in told["grants"]["rights"]


def test_the_api_counts_all_connections(api, auditor, now, named):  # noqa: F811
    (line,) = api(auditor).get("/api/v1/connection-rights/?days=30").json()

    assert line["connection"] == "fo"
    assert line["counts"]["unnamed"] == 1
    assert "vendor.set_hold" in line["unused"]


@pytest.mark.parametrize("path", ["connections/fo/rights/", "connection-rights/"])
def test_the_api_answers_whoever_may_read_and_changes_nothing(api, viewer, automation, now, path):
    assert api(viewer).get(f"/api/v1/{path}").status_code == 403
    assert api(automation).post(f"/api/v1/{path}", {}).status_code == 405


def test_every_state_has_its_words():
    assert set(rights_pages.TITLES) == set(State)


# --- Secrets ---------------------------------------------------------------------------------------


def secret(connection: Connection, days: int = 90) -> Any:
    from connectors.door.credential_uses import credentials

    return next(one for one in credentials(connection, days, NOW) if one.name == "client_secret")


def watched(set_days: float, used_days: float | None, begun_days: float = 400) -> None:
    from connectors.door.uses import UseMark

    UseMark.objects.get_or_create(name="calls")
    UseMark.objects.update(begun_at=NOW - timedelta(days=begun_days))
    used = None if used_days is None else NOW - timedelta(days=used_days)
    CredentialUse.objects.filter(name="client_secret").update(set_at=NOW - timedelta(days=set_days), used_at=used)


@pytest.mark.parametrize(
    ("set_days", "used_days", "begun_days", "unused"),
    [
        (200, None, 400, True),
        (200, 100, 400, True),
        (200, 10, 400, False),
        (20, None, 400, False),
        (200, None, 20, False),
    ],
)
def test_a_secret_is_unused_if_it_was_watched_all_that_time(fo, set_days, used_days, begun_days, unused):
    watched(set_days, used_days, begun_days)

    assert secret(fo).unused is unused


def test_before_secrets_were_watched_none_is_called_unused(fo):
    assert not secret(fo).unused
