"""Approvals over HTTP, as the contract has them."""

import pytest

from approvals import actions
from approvals.api import part_for_incident
from approvals.models import ApprovalRequest, Decision
from tests.approvals.factories import DIGEST, OTHER_DIGEST, demand, make_request
from tests.factories import make_user

pytestmark = pytest.mark.django_db
LIST = "/api/v1/approvals/"


def url(approval: ApprovalRequest, verb: str = "") -> str:
    return f"{LIST}{approval.pk}/{verb}"


def test_one_request_reads_as_the_contract_says(api, approver):
    approval = make_request()

    answer = api(approver).get(url(approval))

    body = answer.json()
    assert answer.status_code == 200
    assert {name: body[name] for name in ("id", "kind", "incident", "digest", "state", "required", "given")} == {
        "id": approval.pk,
        "kind": "plan",
        "incident": 7,
        "digest": DIGEST,
        "state": "pending",
        "required": 1,
        "given": 0,
    }
    assert body["amount"] == {"amount": "1250.00", "currency": "EUR"}
    assert body["asked_because"] == "money is posted; approver is asked"
    assert body["expires_at"].endswith("Z")
    assert (body["can_decide"], body["why_not"]) == (True, "")
    assert answer["ETag"] == '"1"'


def test_who_may_only_look_is_told_why(api, operator):
    body = api(operator).get(url(make_request())).json()

    assert body["can_decide"] is False
    assert "approver" in body["why_not"]


def test_the_list_filters_by_state_incident_and_kind(api, approver):
    settled = make_request()
    actions.decide(settled, by=approver, verdict="approve", digest=DIGEST)
    pending = make_request(subject_id=2, incident_id=8, subject="rollback")
    client = api(approver)

    def found(query: str) -> list[int]:
        return [row["id"] for row in client.get(f"{LIST}?{query}").json()["results"]]

    assert found("") == [pending.pk, settled.pk]
    assert found("state=pending") == [pending.pk]
    assert found("incident=7") == [settled.pk]
    assert found("kind=rollback") == [pending.pk]
    assert found("needs=me") == [pending.pk]


@pytest.mark.parametrize("query", ["state=perhaps", "incident=x", "kind=party", "needs=you", f"incident={2**64}"])
def test_a_filter_that_means_nothing_is_400(api, approver, query):
    answer = api(approver).get(f"{LIST}?{query}")

    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["errors"]


def test_a_yes_over_http_settles_the_request(api, approver):
    approval = make_request()

    answer = api(approver).post(url(approval, "approve/"), {"comment": "Fine.", "digest": DIGEST})

    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["given"]) == ("approved", 1)
    assert answer.json()["decisions"][0]["person"] == "approver"


def test_a_no_over_http_keeps_its_reason(api, approver):
    approval = make_request()

    answer = api(approver).post(url(approval, "reject/"), {"comment": "Wrong customer.", "digest": DIGEST})

    assert (answer.json()["state"], answer.json()["state_reason"]) == ("rejected", "Wrong customer.")


@pytest.mark.parametrize(
    ("verb", "body", "problem"),
    [
        ("approve/", {"digest": OTHER_DIGEST}, (409, "stale_digest")),
        ("approve/", {"comment": "no digest"}, (400, "invalid")),
        ("approve/", {"digest": DIGEST, "dijest": ""}, (400, "invalid")),
        ("approve/", {"digest": 7 * [7]}, (400, "invalid")),
        ("approve/", ["digest"], (400, "invalid")),
        ("reject/", {"digest": DIGEST}, (400, "invalid")),
        ("delegate/", {"to": "nobody here", "comment": "Leave."}, (400, "invalid")),
        ("delegate/", {"comment": "Leave."}, (400, "invalid")),
    ],
)
def test_what_cannot_be_done_is_a_problem_that_says_so(api, approver, verb, body, problem):
    approval = make_request()

    answer = api(approver).post(url(approval, verb), body)

    assert (answer.status_code, answer.json()["code"]) == problem
    assert answer["Content-Type"].startswith("application/problem+json")
    assert not Decision.objects.exists()


def test_ones_own_request_is_403(api, approver):
    approval = make_request(requested_by="approver")

    answer = api(approver).post(url(approval, "approve/"), {"digest": DIGEST})

    assert (answer.status_code, answer.json()["code"]) == (403, "own_request")


def test_deciding_again_is_409(api, approver):
    approval = make_request(demand(quorum=2))
    client = api(approver)
    client.post(url(approval, "approve/"), {"digest": DIGEST})

    answer = client.post(url(approval, "approve/"), {"digest": DIGEST})

    assert (answer.status_code, answer.json()["code"]) == (409, "already_decided")


@pytest.mark.parametrize("verb", ["", "approve/", "reject/", "delegate/"])
@pytest.mark.parametrize("role", ["approver", "integration", ""])
def test_what_is_not_theirs_to_see_is_404_on_every_path(api, role, verb):
    elsewhere = make_user("elsewhere", role=role, units=["US"])
    approval = make_request(business_unit="EU")
    body = {"digest": DIGEST, "comment": "x", "to": "approver"}

    client = api(elsewhere)
    answer = client.post(url(approval, verb), body if verb != "approve/" else {"digest": DIGEST}) if verb else None
    answer = answer or client.get(url(approval))

    assert answer.status_code == 404
    assert client.get(LIST).json()["results"] == []


def test_without_a_token_nothing_is_told(api):
    approval = make_request()

    assert api().get(LIST).status_code == 401
    assert api().post(url(approval, "approve/"), {"digest": DIGEST}).status_code == 401


def test_a_token_that_may_only_read_decides_nothing(api, approver):
    approval = make_request()

    answer = api(approver, scopes=["approvals:read"]).post(url(approval, "approve/"), {"digest": DIGEST})

    assert answer.status_code == 403
    assert not Decision.objects.exists()


def test_a_stale_version_is_412_and_a_fresh_one_passes(api, approver, approver2):
    approval = make_request(demand(quorum=2))
    tag = api(approver).get(url(approval))["ETag"]
    actions.decide(approval, by=approver, verdict="approve", digest=DIGEST)

    stale = api(approver2).post(url(approval, "approve/"), {"digest": DIGEST}, headers={"if-match": tag})
    fresh = api(approver2).post(url(approval, "approve/"), {"digest": DIGEST}, headers={"if-match": '"2"'})

    assert (stale.status_code, fresh.status_code) == (412, 200)
    assert fresh.json()["state"] == "approved"


def test_handing_over_lets_the_other_decide(api, approver, operator):
    approval = make_request()

    answer = api(approver).post(url(approval, "delegate/"), {"to": "operator", "comment": "Leave.", "digest": DIGEST})
    settled = api(operator).post(url(approval, "approve/"), {"digest": DIGEST})

    assert answer.status_code == 200
    assert settled.json()["decisions"][0]["on_behalf_of"] == "approver"


def test_an_unknown_taker_and_an_onlooker_get_the_same_words(api, approver, auditor):
    client, approval = api(approver), make_request()

    unknown = client.post(url(approval, "delegate/"), {"to": "ghost", "comment": "Leave."}).json()
    onlooker = client.post(url(approval, "delegate/"), {"to": "auditor", "comment": "Leave."}).json()

    assert unknown["detail"] == onlooker["detail"]
    assert unknown["errors"] == onlooker["errors"]


def test_an_incidents_answer_holds_its_newest_request(approver):
    first = make_request()
    actions.void("plan", 1, reason="Edited.", actor="system:loop")
    second = make_request(digest=OTHER_DIGEST)

    part = part_for_incident(7, approver)

    assert part is not None
    assert (part["id"], part["digest"], part["state"]) == (second.pk, OTHER_DIGEST, "pending")
    assert first.pk != second.pk
    assert part_for_incident(8, approver) is None


def test_an_incidents_answer_holds_no_request_of_another_unit():
    make_request(business_unit="EU")

    assert part_for_incident(7, make_user("elsewhere", role="approver", units=["US"])) is None
