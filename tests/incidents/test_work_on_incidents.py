"""What people do to incidents: who may, why, at which version, and the line each verb leaves in the ledger."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from audit.errors import IllegalMove, Invalid, NotAllowed, Refusal, Stale
from audit.models import Entry
from incidents import actions
from incidents.intake import accept
from incidents.models import Comment, Incident, Merge
from incidents.states import Status
from tests.factories import make_user
from tests.incidents.factories import later, make_incident, make_kind, make_signal, put

pytestmark = pytest.mark.django_db


def do(verb: str, incident: Incident, by: Any, reason: str = "Because.", **given: Any) -> Any:
    """Call one verb with what it needs besides."""
    if verb == "merge":
        return actions.merge(make_incident(entity_key="CIV-2"), incident, by=by, reason=reason, **given)
    if verb == "unmerge":
        merge = Merge(kept=incident, folded=incident)
        return actions.unmerge(merge, by=by, reason=reason)
    if verb == "assign":
        given["to"] = by
    return getattr(actions, verb)(incident, by=by, reason=reason, **given)


@pytest.mark.parametrize("role", ["viewer", "approver", "compliance", "auditor", "integration"])
@pytest.mark.parametrize("verb", ["assign", "hold", "release", "dismiss", "reopen", "merge", "unmerge"])
def test_only_those_who_work_on_incidents_change_them(verb, role):
    incident = put(make_incident(), Status.DISMISSED if verb == "reopen" else Status.NEEDS_OPERATOR)

    with pytest.raises(NotAllowed, match="Operators do"):
        do(verb, incident, make_user(role, role=role))

    assert Incident.objects.get(pk=incident.pk).row_version == 1


@pytest.mark.parametrize("verb", ["hold", "dismiss", "reopen", "merge", "unmerge"])
@pytest.mark.parametrize("reason", ["", "  \n", "\x00"])
def test_where_a_reason_is_needed_one_is_asked_for(operator, verb, reason):
    incident = put(make_incident(), Status.DISMISSED if verb == "reopen" else Status.NEEDS_OPERATOR)

    with pytest.raises(Invalid) as refused:
        do(verb, incident, operator, reason)

    assert "reason" in refused.value.errors


@pytest.mark.parametrize(
    ("verb", "before"),
    [
        ("hold", Status.NEEDS_OPERATOR),
        ("release", Status.ON_HOLD),
        ("dismiss", Status.NEEDS_OPERATOR),
        ("reopen", Status.DISMISSED),
    ],
)
def test_whoever_saw_an_older_version_is_stopped(operator, verb, before):
    incident = put(make_incident(), before)

    with pytest.raises(Stale):
        getattr(actions, verb)(incident, by=operator, reason="Because.", if_version=7)

    assert Incident.objects.get(pk=incident.pk).status == before


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("hold", Status.AWAITING_APPROVAL, Status.ON_HOLD),
        ("release", Status.ON_HOLD, Status.TRIAGED),
        ("dismiss", Status.NEEDS_OPERATOR, Status.DISMISSED),
        ("reopen", Status.RESOLVED, Status.TRIAGED),
        ("reopen", Status.ROLLED_BACK, Status.TRIAGED),
    ],
)
def test_each_verb_leaves_the_state_and_the_person_in_the_ledger(operator, verb, before, after):
    make_kind()
    incident = put(make_incident(), before)

    row = getattr(actions, verb)(incident, by=operator, reason="The customer called.", if_version=1)

    entry = Entry.objects.get(verb=f"incident.{after}")
    assert (row.status, row.row_version) == (after, 2)
    assert (entry.actor, entry.reason) == ("operator", "The customer called.")
    assert row.history.first().history_user == operator


@pytest.mark.parametrize(
    ("verb", "status"),
    [("hold", Status.EXECUTING), ("release", Status.TRIAGED), ("dismiss", Status.EXECUTING), ("reopen", Status.NEW)],
)
def test_a_verb_at_the_wrong_time_is_refused(operator, verb, status):
    incident = put(make_incident(), status)

    with pytest.raises(IllegalMove):
        getattr(actions, verb)(incident, by=operator, reason="Because.")


def test_an_incident_of_no_kind_goes_back_to_a_person(operator):
    incident = put(make_incident(code="unknown"), Status.ON_HOLD)

    assert actions.release(incident, by=operator).status == Status.NEEDS_OPERATOR


def test_a_problem_that_is_open_elsewhere_is_not_reopened(operator):
    make_kind()
    incident = put(make_incident(), Status.DISMISSED)
    other = accept(make_signal(id="new", time=later(10**7))).incident

    with pytest.raises(IllegalMove, match=f"INC-{other.pk}"):
        actions.reopen(incident, by=operator, reason="Again.")

    assert Incident.objects.get(pk=incident.pk).status == Status.DISMISSED


def test_an_incident_is_given_to_an_operator_who_may_see_it(operator):
    incident, second = make_incident(), make_user("second", role="operator", units=["EU"])

    row = actions.assign(incident, by=operator, to=second)

    entry = Entry.objects.get(verb="incident.assigned")
    assert row.assignee == second
    assert json.loads(entry.body)["after"] == {"assignee_id": second.pk}


@pytest.mark.parametrize(
    "person", [{"role": "viewer"}, {"role": "operator", "units": ["US"]}, {"role": "operator", "regions": ["FR"]}]
)
def test_an_incident_is_not_given_to_somebody_who_could_not_work_on_it(operator, person):
    incident, other = make_incident(), make_user("other", **person)

    with pytest.raises(Invalid) as refused:
        actions.assign(incident, by=operator, to=other)

    assert "assignee" in refused.value.errors


def test_an_incident_can_be_given_back(operator):
    incident = actions.assign(make_incident(), by=operator, to=operator)

    assert actions.assign(incident, by=operator, to=None).assignee is None


def test_a_comment_is_kept_as_text(approver):
    incident = make_incident()

    actions.comment(incident, by=approver, text="  <b>Look</b> {incident.code} ")

    remark = Comment.objects.get()
    assert (remark.text, remark.author) == ("<b>Look</b> {incident.code}", "approver")
    assert Entry.objects.get(verb="incident.commented").actor == "approver"


@pytest.mark.parametrize("text", ["", "  ", "\x00", "x" * 10_001])
def test_a_comment_that_says_nothing_or_too_much_is_refused(operator, text):
    with pytest.raises(Invalid):
        actions.comment(make_incident(), by=operator, text=text)


def test_a_viewer_does_not_comment(viewer):
    with pytest.raises(NotAllowed):
        actions.comment(make_incident(), by=viewer, text="Hello")


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_dismiss_at_once_one_does(operator):
    incident = make_incident()

    def dismiss(number: int) -> str:
        try:
            return actions.dismiss(incident, by=operator, reason=f"Person {number}").status_reason
        except Refusal as refusal:
            return type(refusal).__name__
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(dismiss, range(8)))

    assert answers.count("IllegalMove") == 7
    assert Entry.objects.filter(verb="incident.dismissed").count() == 1
