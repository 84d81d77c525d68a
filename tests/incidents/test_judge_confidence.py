"""How sure a severity is: counted from what people let stand, and corrected by people."""

import random
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection

from audit.clock import db_now
from audit.errors import Invalid, NotAllowed, Stale
from audit.models import Entry
from incidents.actions import correct
from incidents.confidence import FEWEST, WINDOW, Confidence, basis_of, confidence_of
from incidents.judgements import Decision
from incidents.models import Incident, SlaClock
from incidents.states import Severity
from incidents.triage import triage
from tests.incidents.factories import make_incident, make_kind, make_policy, make_queue

pytestmark = pytest.mark.django_db
RULES = [{"when": "incident.business_unit == 'EU'", "severity": "high", "because": "It is {incident.business_unit}"}]
BASIS = basis_of("duplicate_invoice", "high", RULES[0]["when"])


def sized_up(**changes: object) -> Incident:
    """An open incident that triage has called high."""
    incident = make_incident(**changes)
    triage(incident, actor="system:loop")
    return incident


def past(stood: list[bool], *, basis: str = BASIS, closed: bool = True) -> None:
    """Decisions of the same rule that are over, each let stand or changed to low."""
    now, start = db_now(), Incident.objects.count()
    incidents = Incident.objects.bulk_create(
        Incident(
            code="duplicate_invoice",
            fingerprint=f"{start + number:064d}",
            title="Past",
            entity_type="invoice",
            entity_key=str(number),
            status="dismissed" if closed else "needs_operator",
            first_signal_at=now,
            last_signal_at=now,
            opened_at=now,
            closed_at=now if closed else None,
        )
        for number in range(len(stood))
    )
    Decision.objects.bulk_create(
        Decision(
            incident=incident,
            subject="severity",
            basis=basis,
            said="high",
            decided_at=now,
            corrected_to="" if kept else "low",
            corrected_at=None if kept else now,
        )
        for incident, kept in zip(incidents, stood, strict=True)
    )


def severity_of(incident: Incident) -> Confidence:
    return confidence_of(incident, "severity")


def test_with_too_little_history_no_number_is_named():
    make_kind(severity=RULES)
    incident = sized_up()
    past([True] * (FEWEST - 1))

    found = severity_of(incident)

    assert (found.value, found.interval, found.n) == (None, None, FEWEST - 1)


def test_the_share_that_people_let_stand_is_the_confidence():
    make_kind(severity=RULES)
    incident = sized_up()
    past([True] * 90 + [False] * 10)

    found = severity_of(incident)

    assert (found.n, found.stood, found.value) == (100, 90, round(91 / 102, 3))
    assert found.interval == (0.826, 0.945)
    assert "90 of 100" in found.basis


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_what_is_stated_comes_true_within_its_interval(share):
    make_kind(severity=RULES)
    incident = sized_up()
    chance = random.Random(7)
    past([chance.random() < share for _ in range(400)])
    stated = severity_of(incident)

    later = [chance.random() < share for _ in range(4_000)]

    assert stated.interval is not None
    assert stated.interval[0] <= sum(later) / len(later) <= stated.interval[1]
    assert stated.value == pytest.approx(stated.stood / stated.n, abs=0.01)


def test_nineteen_of_twenty_histories_cover_the_truth():
    chance, covered = random.Random(11), 0
    for _ in range(1_000):
        found = Confidence(60, sum(chance.random() < 0.85 for _ in range(60)), "")
        assert found.interval is not None
        covered += found.interval[0] <= 0.85 <= found.interval[1]

    assert 920 <= covered <= 980


def test_another_rule_an_open_incident_and_a_merged_one_count_for_nothing():
    make_kind(severity=RULES)
    incident = sized_up()
    past([False] * 30, basis=basis_of("duplicate_invoice", "high", "true"))
    past([True] * 30, closed=False)
    past([True] * 30)
    Incident.objects.filter(closed_at__isnull=False, decisions__basis=BASIS).update(merged_into=incident)

    assert severity_of(incident).n == 0


def test_only_the_latest_of_a_long_history_are_looked_at():
    make_kind(severity=RULES)
    incident = sized_up()
    past([False] * 50)
    past([True] * WINDOW)

    assert (severity_of(incident).n, severity_of(incident).stood) == (WINDOW, WINDOW)


def test_the_answer_reads_an_index(django_assert_num_queries):
    make_kind(severity=RULES)
    incident = sized_up()
    with django_assert_num_queries(2):
        severity_of(incident)

    with connection.cursor() as cursor:
        query = Decision.objects.filter(basis=BASIS).order_by("-id")[:WINDOW].query
        text, values = query.sql_with_params()
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # a small table is read whole
            text = text.replace("SELECT", "EXPLAIN SELECT", 1)
        else:
            text = text.replace("SELECT", "EXPLAIN QUERY PLAN SELECT", 1)
        cursor.execute(text, values)
        plan = str(cursor.fetchall())
    assert "decision_by_basis" in plan


# --- a person's word -------------------------------------------------------------------------------


def test_a_person_sets_the_severity_right_and_triage_leaves_it(operator):
    make_kind(severity=RULES)
    incident = sized_up()

    incident = correct(incident, by=operator, severity="low", reason="A copy was asked for.")
    triage(incident, actor="system:loop")

    incident.refresh_from_db()
    assert (incident.severity, incident.severity_rank) == ("low", 3)
    assert incident.severity_reason == "A copy was asked for. (operator)"
    made = Decision.objects.get(incident=incident, subject="severity")
    assert (made.said, made.corrected_to, made.corrected_by) == ("high", "low", "operator")
    entry = Entry.objects.get(verb="incident.corrected")
    assert (entry.actor, entry.reason) == ("operator", "A copy was asked for.")
    assert severity_of(incident).corrected_by == "operator"


def test_a_changed_severity_times_the_clock_anew(operator):
    make_kind(severity=RULES)
    make_policy()
    incident = sized_up()
    before = SlaClock.objects.get(incident=incident)

    correct(incident, by=operator, severity="medium", reason="No hurry.")

    after = SlaClock.objects.get(incident=incident)
    assert after.resolve_due - after.started_at == timedelta(minutes=1440)
    assert before.resolve_due - before.started_at == timedelta(minutes=120)


def test_a_corrected_decision_counts_as_changed_and_one_put_back_as_let_stand(operator):
    make_kind(severity=RULES)
    first, second, third = (sized_up(entity_key=f"CIV-{number}") for number in range(3))
    correct(first, by=operator, severity="low", reason="Small.")
    correct(second, by=operator, severity="low", reason="Small.")
    correct(Incident.objects.get(pk=second.pk), by=operator, severity="high", reason="Not small.")

    found = severity_of(third)

    assert (found.n, found.stood) == (2, 1)


def test_a_new_domain_chooses_the_queue_anew(operator):
    make_kind(severity=RULES)
    make_queue("billing", domains=["billing"])
    credit = make_queue("credit", domains=["credit"])
    incident = sized_up()

    incident = correct(incident, by=operator, domain="credit", reason="It is a limit.")
    triage(incident, actor="system:loop")

    incident.refresh_from_db()
    assert (incident.domain, incident.queue) == ("credit", credit)
    assert confidence_of(incident, "domain").corrected_by == "operator"


def test_what_was_never_judged_can_be_set_right_too(operator):
    incident = make_incident(code="unheard_of")

    correct(incident, by=operator, severity="critical", reason="The line stands still.")

    assert Decision.objects.get(incident=incident).basis == ""
    assert Incident.objects.get(pk=incident.pk).severity == Severity.CRITICAL


@pytest.mark.parametrize(
    "given", [{}, {"severity": "dire"}, {"domain": "nowhere"}, {"severity": "low", "reason": " "}], ids=str
)
def test_an_empty_or_unknown_correction_is_refused(operator, given):
    make_kind(severity=RULES)
    incident = sized_up()

    with pytest.raises(Invalid):
        correct(incident, by=operator, **{"reason": "Because.", **given})

    assert not Entry.objects.filter(verb="incident.corrected").exists()


def test_only_those_who_work_on_incidents_correct_them(viewer):
    incident = make_incident()

    with pytest.raises(NotAllowed):
        correct(incident, by=viewer, severity="low", reason="I think so.")


def test_a_correction_of_what_has_changed_since_is_refused(operator):
    incident = make_incident()

    with pytest.raises(Stale):
        correct(incident, by=operator, severity="low", reason="Small.", if_version=99)


def test_programs_correct_and_read_the_confidence(api, operator: User):
    make_kind(severity=RULES)
    past([True] * 40)
    incident = sized_up()
    url = f"/api/v1/incidents/{incident.pk}/"

    before = api(operator).get(url).json()["severity_confidence"]
    answer = api(operator).post(f"{url}correct/", {"severity": "low", "reason": "Small."}, format="json")

    assert (before["value"], before["n"]) == (round(41 / 42, 3), 40)
    assert before["interval"][0] < before["value"] <= before["interval"][1]
    assert answer.status_code == 200, answer.content
    assert answer.json()["severity"] == "low"
    assert answer.json()["severity_confidence"]["value"] is None
    assert "operator" in answer.json()["severity_confidence"]["basis"]


def test_a_person_who_may_not_see_it_finds_nothing_to_correct(api, viewer):
    incident = make_incident(business_unit="US")

    assert api(viewer).post(f"/api/v1/incidents/{incident.pk}/correct/", {}, format="json").status_code == 404


# --- on the page -----------------------------------------------------------------------------------


def page_of(client, incident: Incident) -> str:
    return " ".join(client.get(incident.get_absolute_url()).content.decode().split())


def test_the_page_says_the_reason_and_how_sure_it_is(client, operator):
    make_kind(severity=RULES)
    past([True] * 90 + [False] * 10)
    incident = sized_up()
    client.force_login(operator)

    page = page_of(client, incident)

    assert "High: It is EU" in page
    assert "confidence 89 % (83–94 %, n=100)" in page
    assert "confidence not yet known (n=0)" in page  # the domain


def test_a_person_corrects_on_the_page(client, operator):
    make_kind(severity=RULES)
    incident = sized_up()
    client.force_login(operator)
    url = f"/incidents/{incident.pk}/do/correct/"

    client.post(url, {"severity": "low", "domain": "", "reason": "A copy."})

    page = page_of(client, incident)
    assert "Low: A copy. (operator)" in page
    assert "Set by operator; the rule had said high." in page


def test_a_reader_is_not_asked_to_correct(client, viewer):
    make_kind(severity=RULES)
    incident = sized_up()
    client.force_login(viewer)

    assert 'data-open="correct"' not in page_of(client, incident)
