"""What operators do to incidents over HTTP: reasons, versions, refusals."""

import pytest

from audit.models import Entry
from incidents.models import Comment, Incident
from incidents.states import Status
from tests.factories import make_user
from tests.incidents.factories import make_incident, make_kind, make_policy

pytestmark = pytest.mark.django_db
SIMPLE = ["acknowledge", "hold", "release", "dismiss", "reopen"]
ALL = [*SIMPLE, "assign", "merge", "unmerge", "comment"]


def url(incident: Incident, verb: str) -> str:
    return f"/api/v1/incidents/{incident.pk}/{verb}/"


@pytest.fixture
def incident(db):
    make_kind()
    make_policy()
    return make_incident()


@pytest.fixture
def client(api, operator):
    return api(operator)


def test_hold_and_release_move_it_and_back(client, incident):
    held = client.post(url(incident, "hold"), {"reason": "Customer asked."})
    released = client.post(url(incident, "release"), {})

    assert (held.status_code, held.json()["status"], held.json()["status_reason"]) == (
        200,
        "on_hold",
        "Customer asked.",
    )
    assert released.json()["status"] == "triaged"
    assert held["ETag"] != released["ETag"]
    assert Entry.objects.get(verb="incident.on_hold").actor == "operator"


def test_dismiss_and_reopen_close_it_and_take_it_up_again(client, incident):
    closed = client.post(url(incident, "dismiss"), {"reason": "A test order."}).json()
    opened = client.post(url(incident, "reopen"), {"reason": "It was real."}).json()

    assert (closed["status"], opened["status"]) == ("dismissed", "triaged")
    assert closed["closed_at"] is not None
    assert opened["closed_at"] is None


@pytest.mark.parametrize("verb", ["hold", "dismiss"])
def test_where_a_reason_is_needed_none_is_400(client, incident, verb):
    answer = client.post(url(incident, verb), {"reason": "  "})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["reason"])
    assert Incident.objects.get().status == Status.NEW


def test_acknowledging_stops_the_clock_to_acknowledge(client, incident):
    answer = client.post(url(incident, "acknowledge"), {})

    assert answer.status_code == 200
    assert answer.json()["sla"]["acknowledged_at"] is not None


def test_it_is_given_to_a_person_and_taken_back(client, incident):
    given = client.post(url(incident, "assign"), {"assignee": "operator"}).json()
    taken = client.post(url(incident, "assign"), {"assignee": None, "reason": "On leave."}).json()

    assert (given["assignee"], taken["assignee"]) == ("operator", None)
    assert Entry.objects.filter(verb="incident.assigned").count() == 2


def test_it_is_given_to_nobody_who_is_unknown_or_cannot_see_it(client, incident, viewer):
    make_user("elsewhere", role="operator", units=["US"])

    answers = [client.post(url(incident, "assign"), {"assignee": name}) for name in ("ghost", "viewer", "elsewhere")]

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert all("assignee" in answer.json()["errors"] for answer in answers)
    assert client.post(url(incident, "assign"), {}).status_code == 400


def test_a_comment_is_kept(client, incident):
    answer = client.post(url(incident, "comment"), {"text": "I ask the customer."})

    assert answer.status_code == 201
    assert answer.json() == {
        "id": Comment.objects.get().pk,
        "author": "operator",
        "text": "I ask the customer.",
        "created_at": answer.json()["created_at"],
    }


@pytest.mark.parametrize("body", [{}, {"text": " "}, {"text": "x" * 10_001}, {"text": "a", "reason": "b"}])
def test_a_comment_that_cannot_be_meant_is_400(client, incident, body):
    assert client.post(url(incident, "comment"), body).status_code == 400
    assert not Comment.objects.exists()


def test_merge_and_unmerge(client, incident):
    other = make_incident(entity_key="CIV-000698")

    folded = client.post(url(other, "merge"), {"into": incident.pk, "reason": "The same case."})
    kept = client.get(url(incident, "")[:-1]).json()
    apart = client.post(url(other, "unmerge"), {"reason": "It was not."})

    assert folded.status_code == 200, folded.content
    assert (folded.json()["merged_into"], folded.json()["status"]) == (incident.pk, "dismissed")
    assert kept["signals_count"] == 2
    assert (apart.status_code, apart.json()["merged_into"], apart.json()["status"]) == (200, None, "new")


def test_what_is_not_merged_is_not_taken_apart(client, incident):
    assert client.post(url(incident, "unmerge"), {}).status_code == 409


def test_it_is_merged_only_into_what_one_may_see(api, incident):
    elsewhere = make_incident(entity_key="CIV-9", business_unit="US", region="US-EAST")
    client = api(make_user("eu", role="operator", units=["EU"]))

    answers = [client.post(url(incident, "merge"), {"into": into}) for into in (elsewhere.pk, 10**12, "x", -1)]

    assert [answer.status_code for answer in answers] == [400] * 4
    assert all("into" in answer.json()["errors"] for answer in answers)


def test_it_is_taken_apart_only_by_who_may_see_both(api, client, incident):
    elsewhere = make_incident(entity_key="CIV-9", region="FR")
    client.post(url(incident, "merge"), {"into": elsewhere.pk, "reason": "The same case."})

    answer = api(make_user("de", role="operator", regions=["DE"])).post(url(incident, "unmerge"), {"reason": "No."})

    assert answer.status_code == 403
    assert client.get(f"/api/v1/incidents/{incident.pk}/").json()["merged_into"] == elsewhere.pk


@pytest.mark.parametrize("verb", ALL)
def test_a_stale_version_is_412_and_changes_nothing(client, incident, verb):
    body = {"reason": "Why not.", "assignee": None, "into": incident.pk, "text": "Hello"}
    wanted = {"assign": ["assignee", "reason"], "merge": ["into", "reason"], "comment": ["text"]}.get(verb, ["reason"])

    answer = client.post(url(incident, verb), {name: body[name] for name in wanted}, headers={"If-Match": '"7"'})

    assert answer.status_code == 412
    assert Incident.objects.get().row_version == 1
    assert not Comment.objects.exists()


def test_the_version_that_was_seen_is_enough(client, incident):
    seen = client.get(f"/api/v1/incidents/{incident.pk}/")["ETag"]

    first = client.post(url(incident, "hold"), {"reason": "Wait."}, headers={"If-Match": seen})
    second = client.post(url(incident, "release"), {}, headers={"If-Match": seen})

    assert (first.status_code, second.status_code) == (200, 412)


def test_a_move_that_does_not_exist_is_409(client, incident):
    client.post(url(incident, "dismiss"), {"reason": "Known."})

    answer = client.post(url(incident, "hold"), {"reason": "Wait."})

    assert (answer.status_code, answer.json()["code"]) == (409, "illegal_move")


@pytest.mark.parametrize("verb", ["acknowledge", "hold", "release", "dismiss", "assign"])
@pytest.mark.parametrize("role", ["viewer", "auditor", "integration"])
def test_other_roles_are_refused(api, incident, verb, role):
    client = api(make_user("person", role=role))

    answer = client.post(url(incident, verb), {"reason": "Why not."} | ({"assignee": None} if verb == "assign" else {}))

    assert answer.status_code == 403
    assert Incident.objects.get().row_version == 1


def test_only_operators_reopen_what_is_closed(api, client, incident):
    client.post(url(incident, "dismiss"), {"reason": "Known."})

    answer = api(make_user("person", role="approver")).post(url(incident, "reopen"), {"reason": "Why not."})

    assert answer.status_code == 403
    assert Incident.objects.get().status == Status.DISMISSED


@pytest.mark.parametrize("verb", ALL)
def test_nobody_works_on_what_they_cannot_see(api, incident, verb):
    client = api(make_user("us", role="operator", units=["US"]))

    assert client.post(url(incident, verb), {"reason": "Why not."}).status_code == 404
    assert api().post(url(incident, verb), {}).status_code == 401


@pytest.mark.parametrize("verb", ALL)
def test_a_misspelt_member_is_400(client, incident, verb):
    answer = client.post(url(incident, verb), {"raeson": "Why not."})

    assert answer.status_code == 400
    assert "raeson" in answer.json()["errors"]
