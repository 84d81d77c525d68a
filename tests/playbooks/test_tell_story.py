"""What happened to an incident, told from the ledger in words."""

from typing import Any

import pytest
from django.db import transaction

from audit.actions import record
from incidents.models import Incident
from incidents.states import Status
from playbooks.console.story import story_of, words_for
from tests.playbooks import scenes

pytestmark = pytest.mark.django_db


def told(incident: Incident, verb: str, actor: str = "system:loop", **more: Any) -> None:
    with transaction.atomic():
        record(verb, actor=actor, incident=incident.pk, **more)


def whats(incident: Incident) -> list[str]:
    return [event.what for event in story_of(incident)]


@pytest.fixture
def incident() -> Incident:
    return scenes.make_incident(Status.TRIAGED)


def test_the_newest_comes_first(incident):
    told(incident, "incident.triaged")

    assert whats(incident) == ["Sized up and routed", "A signal opened the incident"]


def test_an_incident_that_is_taken_up_again_is_said_to_be(incident):
    told(incident, "incident.triaged", before={"status": "new"}, after={"status": "triaged"})
    told(incident, "incident.triaged", before={"status": "needs_operator"}, reason="A signal says something new.")

    assert whats(incident)[:2] == ["Looked at again", "Sized up and routed"]


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("plan.approved", "Plan approved"),
        ("incident.on_hold", "Incident on hold"),
        ("refused.approve", "Refused: approve"),
        ("incident.cause_not_found", "No cause found"),
        ("dead_letter.put", "Set aside as a dead letter"),
        ("odd", "Odd"),
    ],
)
def test_every_verb_has_words(verb, words):
    assert words_for(verb) == words


def test_the_machines_small_steps_are_left_to_the_ledger(incident):
    for verb in ("incident.assessed", "evidence.collected", "plan.proposed", "effect.intent", "effect.done"):
        told(incident, verb)

    assert whats(incident) == ["A signal opened the incident"]


def test_a_persons_step_is_told_whatever_it_is(incident):
    told(incident, "plan.proposed", actor="operator", reason="The other carrier.")

    event = story_of(incident)[0]

    assert (event.what, event.note, event.tone) == ("Plan proposed", "operator · The other carrier.", "person")


def test_a_comment_stands_among_the_comments_only(incident):
    told(incident, "incident.commented", actor="operator")

    assert whats(incident) == ["A signal opened the incident"]


@pytest.mark.parametrize(("verdict", "word"), [("approve", "Approved"), ("reject", "Rejected")])
def test_a_decision_is_told_by_its_verdict(incident, verdict, word):
    told(incident, "approval.decided", actor="approver", data={"verdict": verdict})

    assert whats(incident)[0] == word


@pytest.mark.parametrize(
    ("act", "words"),
    [("sent", "Step 2 sent: crm:case.close"), ("verified", "Step 2 read back: crm:case.close")],
)
def test_an_effect_names_its_step_and_operation(incident, act, words):
    told(incident, f"effect.{act}", data={"step": 2, "operation": "crm:case.close"})

    assert whats(incident)[0] == words


def test_what_was_mended_is_gold_and_what_failed_is_marked(incident):
    told(incident, "effect.verified", data={"step": 1})
    told(incident, "dead_letter.put")

    assert [event.tone for event in story_of(incident)[:2]] == ["critical", "gold"]


def test_a_long_reason_is_cut(incident):
    told(incident, "incident.diagnosed", reason="x" * 500)

    assert len(story_of(incident)[0].note) < 170


def test_each_line_leads_to_its_entry(incident):
    told(incident, "incident.triaged")

    assert story_of(incident)[0].url.startswith("/audit/")


def test_signals_that_joined_are_part_of_the_story(incident):
    scenes.make_signal(incident, channel="mail", merged=True, text="Please look.")

    assert "A signal joined by mail" in whats(incident)


def test_an_entry_whose_body_says_nothing_useful_does_no_harm(incident):
    told(incident, "effect.sent")

    assert whats(incident)[0] == "Effect sent"


def test_another_incidents_story_is_its_own(incident):
    told(scenes.make_incident(), "incident.triaged")

    assert whats(incident) == ["A signal opened the incident"]


@pytest.mark.parametrize("verb", ["approval.approved", "approval.rejected", "incident.rolling_back"])
def test_what_another_line_tells_is_told_once_whoever_did_it(incident, verb):
    told(incident, verb, actor="approver")

    assert whats(incident) == ["A signal opened the incident"]
