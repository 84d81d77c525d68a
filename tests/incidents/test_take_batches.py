"""Batches: one way for all of them, and the same rows as signals that come one by one."""

from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.ledger import verify
from audit.models import Entry
from incidents import homes
from incidents.intake import accept, accept_many
from incidents.models import Evidence, Incident, Signal
from incidents.reach import Reach
from incidents.states import Status
from tests.incidents.factories import assert_counters_equal_rows, later, make_kind, make_policy, make_signal
from tests.incidents.test_accept_signals import close
from tests.incidents.test_storm_intake import at_once

pytestmark = pytest.mark.django_db
# Enough that PostgreSQL takes them by COPY.
MANY = 40


def batch(count: int = MANY, keys: int = 10, prefix: str = "e"):
    return [make_signal(id=f"{prefix}{n}", entity_key=f"CIV-{n % keys}7", time=later(n)) for n in range(count)]


def test_each_signal_of_a_batch_has_its_evidence_and_each_opening_all_that_belongs_to_it():
    make_kind()
    make_policy()

    answers = accept_many(batch())

    assert [answer.key for answer in answers] == list(Signal.objects.order_by("pk").values_list("pk", flat=True))
    assert [answer.merged for answer in answers] == [False] * 10 + [True] * 30
    assert Evidence.objects.filter(signal__in=[answer.key for answer in answers]).count() == MANY
    for incident in Incident.objects.all():
        assert incident.history.get().title == incident.title == f"Invoice {incident.entity_key} was sent twice"
        assert incident.sla.started_at == incident.opened_at
        assert Entry.objects.get(incident_id=incident.pk).verb == "incident.opened"
    assert verify().broken is None
    assert_counters_equal_rows()


def test_a_signal_is_kept_alike_in_a_batch_and_alone():
    make_kind(fingerprint={"attributes": ["line", "absent"]})
    said = {
        "attributes": {"line": 1, "note": 'tab\t, "quote", back\\slash and \\N'},
        "text": "first\nsecond \\. é 缝",
        "raw": {"b": 1, "a": [None, True, 1.5, "\\"]},
    }
    accept(make_signal(id="alone", **said))

    accept_many([make_signal(id="e-many", **said), *batch()])

    one, other = (Signal.objects.get(event_id=name) for name in ("alone", "e-many"))
    for name in ("attributes", "text", "raw", "amount", "occurred_at", "fingerprint", "fingerprint_explained"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.fingerprint_explained["missing"] == ["absent"]
    proofs = [signal.evidence.get() for signal in (one, other)]
    assert proofs[0].content | {"id": "e-many"} == proofs[1].content


def test_a_batch_of_old_and_new_and_repeats_adds_only_what_is_new():
    make_kind()
    accept_many(batch(MANY // 2))
    known = accept(make_signal(id="e0", entity_key="CIV-07"))

    answers = accept_many([*batch(), make_signal(id="e39", entity_key="CIV-97")])

    assert [answer.repeated for answer in answers] == [True] * 20 + [False] * 20 + [True]
    assert answers[0].key == known.key
    assert answers[-1].key == answers[-2].key
    assert Signal.objects.count() == Evidence.objects.count() == MANY
    assert Entry.objects.count() == Incident.objects.count() == 10
    assert_counters_equal_rows()


def test_late_duplicates_in_a_batch_join_what_was_mended_until_one_is_newer():
    first = accept(make_signal(id="first")).incident
    close(first, resolved_at=later(60))

    answers = accept_many(
        [*(make_signal(id=f"s{minute}", time=later(minute)) for minute in (10, 60, 61, 20)), *batch(MANY)]
    )

    fresh = answers[2].joined
    assert [answer.joined == first.pk for answer in answers[:4]] == [True, True, False, False]
    assert answers[3].joined == fresh
    assert Incident.objects.get(pk=first.pk).closed_at is not None
    assert_counters_equal_rows()


def test_what_a_batch_knows_completes_its_incidents_whether_old_or_new():
    make_kind()
    blank = {"business_unit": "", "region": "", "amount": None, "currency": ""}
    accept(make_signal(id="old", entity_key="CIV-07", **blank))

    accept_many(
        [make_signal(id="new", entity_key="CIV-99", **blank), make_signal(id="told", entity_key="CIV-99"), *batch()]
    )

    for key in ("CIV-07", "CIV-99"):
        incident = Incident.objects.get(entity_key=key)
        assert (incident.business_unit, incident.region, str(incident.amount)) == ("EU", "DE", "1234.50")
        assert Entry.objects.filter(verb="incident.completed", incident_id=incident.pk).count() == 1
    assert_counters_equal_rows()


def test_an_incident_that_closes_between_look_and_lock_is_looked_for_again(monkeypatch):
    incident = accept(make_signal(id="first")).incident
    look, looks = homes.look, []

    def closed_meanwhile(*given):
        # Starting over takes back what the test did inside, so it is done again.
        if looks:
            close(incident, resolved_at=later(60))
        looks.append(look(*given))
        if len(looks) == 1:
            close(incident, resolved_at=later(60))
        return looks[-1]

    monkeypatch.setattr(homes, "look", closed_meanwhile)

    answers = accept_many([make_signal(id="late", time=later(5)), make_signal(id="newer", time=later(90))])

    assert len(looks) == 2
    assert answers[0].joined == incident.pk != answers[1].joined
    assert_counters_equal_rows()


def test_an_incident_that_opens_between_look_and_lock_is_joined(monkeypatch):
    look = homes.look

    def nothing_was_there(*given):
        seen = look(*given)
        return replace(seen, open={}) if connection.vendor == "postgresql" else seen

    first = accept(make_signal(id="first"))
    monkeypatch.setattr(homes, "look", nothing_was_there)

    answers = accept_many([*batch(3, keys=1, prefix="b"), make_signal(id="second", time=later(-5))])

    assert (answers[-1].joined, answers[-1].merged) == (first.joined, True)
    assert Entry.objects.filter(verb="incident.opened").count() == Incident.objects.count() == 2
    assert_counters_equal_rows()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets nobody write between the two.")
def test_an_incident_of_another_unit_that_opens_between_look_and_lock_is_not_joined(monkeypatch):
    first = accept(make_signal(id="first"))
    look, looks = homes.look, []

    def too_early(*given):
        looks.append(look(*given))
        return replace(looks[0], open={}) if len(looks) == 1 else looks[-1]

    monkeypatch.setattr(homes, "look", too_early)
    theirs = {"business_unit": "US", "region": "US-EAST"}

    answers = accept_many([make_signal(id=f"u{n}", **theirs) for n in range(2)], reach=Reach(("US",)))

    assert len(looks) == 2
    assert first.joined not in {answer.joined for answer in answers}
    assert [answer.merged for answer in answers] == [False, True]
    assert Incident.objects.get(pk=answers[0].joined).business_unit == "US"
    assert_counters_equal_rows()


def test_a_folded_problem_and_its_keeper_in_one_batch_count_into_one_incident():
    kept = accept(make_signal(id="kept", entity_key="CIV-1")).incident
    gone = accept(make_signal(id="gone", entity_key="CIV-2")).incident
    Incident.objects.filter(pk=gone.pk).update(
        status=Status.DISMISSED, closed_at=later(1), merged_into=kept, signals_count=0
    )
    Signal.objects.filter(event_id="gone").update(incident=kept)
    Evidence.objects.filter(signal__event_id="gone").update(incident=kept)
    Incident.objects.filter(pk=kept.pk).update(signals_count=2)

    answers = accept_many([make_signal(id=f"m{n}", entity_key=f"CIV-{1 + n % 2}", time=later(n)) for n in range(6)])

    assert {answer.joined for answer in answers} == {kept.pk}
    assert Incident.objects.get(pk=kept.pk).signals_count == Signal.objects.filter(incident=kept).count() == 8


def test_a_large_batch_takes_as_many_statements_as_a_small_one():
    make_kind()
    counts = []
    for size in (MANY, 5 * MANY):
        with CaptureQueriesContext(connection) as queries:
            accept_many(batch(size, keys=size // 2, prefix=f"{size}-"))
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 16


@pytest.mark.django_db(transaction=True)
def test_batches_of_the_same_fresh_problems_meet_without_starting_over(monkeypatch):
    make_kind()
    look, looks = homes.look, []

    def counted(*given):
        looks.append(1)
        return look(*given)

    monkeypatch.setattr(homes, "look", counted)

    def send(number):
        keys = [f"CIV-{(n * (number * 2 + 1)) % 23}7" for n in range(46)]
        return accept_many([make_signal(id=f"{number}-{n}", entity_key=key) for n, key in enumerate(keys)])

    at_once(16, send, workers=8)

    assert len(looks) == 16
    assert Incident.objects.count() == Entry.objects.count() == 23
    assert Signal.objects.count() == Evidence.objects.count() == 16 * 46
    assert verify().broken is None
    assert_counters_equal_rows()


@pytest.mark.django_db(transaction=True)
def test_batches_and_single_signals_of_the_same_problems_at_once_lose_nothing():
    make_kind()

    def act(number):
        if number % 4:
            return accept(make_signal(id=f"one-{number}", entity_key=f"CIV-{number % 10}7"))
        return accept_many(batch(prefix=f"{number}-"))

    at_once(40, act, workers=8)

    assert Signal.objects.count() == 30 + 10 * MANY
    assert Incident.objects.filter(closed_at=None).count() == Entry.objects.count() == 10
    assert_counters_equal_rows()


@pytest.mark.django_db(transaction=True)
def test_one_batch_sent_many_times_at_once_is_kept_once():
    make_kind()

    answers = at_once(8, lambda _: accept_many(batch()), workers=8)

    assert len({tuple(one.key for one in answer) for answer in answers}) == 1
    assert sum(not answer[0].repeated for answer in answers) == 1
    assert Signal.objects.count() == Evidence.objects.count() == MANY
    assert_counters_equal_rows()
