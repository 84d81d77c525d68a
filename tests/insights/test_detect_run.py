"""Detectors at work: made, rehearsed, switched on, run; each finding opens at most one incident, once."""

import ast
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from django.db import connections
from django.db.models.functions import Now

from audit.clock import db_now
from audit.errors import Invalid, NotAllowed, Stale
from audit.models import Entry
from incidents.models import Evidence, Incident, Signal
from insights.detectors import actions, looking, rehearsing, running, tasks
from insights.detectors.models import Detector, DetectorFinding, DetectorRun, Rehearsal
from insights.detectors.states import Fate, Outcome
from tests.factories import make_user
from tests.insights.detecting import at, definition, finished, make_detector, orders, write_later
from tests.insights.factories import make_log, path

pytestmark = pytest.mark.django_db


def switched_on(by, log=None, **more):
    detector = make_detector(by, log or orders(), **more)
    actions.rehearse_now(detector, by=by)
    return actions.enable(detector, by=by)


def run_again(detector):
    Detector.objects.filter(pk=detector.pk).update(next_at=Now(), lease_until=None)
    return running.run(detector.pk)


def test_a_run_opens_an_incident_with_the_events_it_rests_on(automation):
    detector = switched_on(automation, opens={"amount": "amount", "currency": "EUR", "severity": "high",
                                                                "attributes": {"customer": "customer"}})  # fmt: skip

    made = running.run(detector.pk)

    assert (made.outcome, made.found, made.raised) == (Outcome.DONE, 2, 2)
    one = Incident.objects.get(entity_key="2")
    assert (one.code, one.entity_type, str(one.amount), one.currency) == ("process_deviation", "case", "250.50", "EUR")
    assert one.attributes["customer"] == "C2"
    assert one.attributes["severity_hint"] == "high"
    signal = one.signals.get()
    assert (signal.source, signal.event_id, signal.occurred_at) == (
        f"goldseam:detector:{detector.slug}",
        "loop:2",
        at(20),
    )
    told = Evidence.objects.get(signal=signal).content["attributes"]["evidence"]
    assert [event["activity"] for event in told] == ["Create", "Approve", "Pay", "Pay"]
    assert detector.findings.get(key="loop:2").incident == one


def test_the_same_finding_again_adds_nothing(automation):
    detector = switched_on(automation)
    running.run(detector.pk)

    again = run_again(detector)

    assert (again.found, again.known, again.raised) == (2, 2, 0)
    assert (Incident.objects.count(), Signal.objects.count(), DetectorFinding.objects.count()) == (2, 2, 2)


def test_a_finding_whose_row_was_lost_is_still_not_told_twice(automation):
    detector = switched_on(automation)
    running.run(detector.pk)
    DetectorFinding.objects.all().delete()

    run_again(detector)

    assert (Incident.objects.count(), Signal.objects.count()) == (2, 2)


def test_only_one_of_two_workers_runs_a_detector(automation):
    detector = switched_on(automation)
    claim = running._claim(detector.pk)

    assert claim is not None
    assert running._claim(detector.pk) is None
    assert running.run(detector.pk) is None


def test_a_worker_that_was_overtaken_adds_nothing(automation, monkeypatch):
    detector = switched_on(automation)

    def overtaken(definition_, world, since):
        found = looking.look(definition_, world, since)
        Detector.objects.filter(pk=detector.pk).update(fence=99)
        return found

    monkeypatch.setattr(running, "look", overtaken)
    made = running.run(detector.pk)

    assert made.outcome == Outcome.FAILED
    assert (Incident.objects.count(), DetectorFinding.objects.count()) == (0, 0)


def test_a_detector_that_is_switched_off_during_its_look_adds_nothing(automation, monkeypatch):
    detector = switched_on(automation)

    def meanwhile(definition_, world, since):
        actions.disable(detector, by=automation, reason="too many")
        return looking.look(definition_, world, since)

    monkeypatch.setattr(running, "look", meanwhile)
    running.run(detector.pk)

    assert Incident.objects.count() == 0


def test_a_run_above_its_limit_opens_the_surest_and_one_that_says_how_many_more(automation):
    detector = switched_on(automation, limits={"cap": 1})

    made = running.run(detector.pk)

    assert (made.raised, made.held) == (1, 1)
    extra = Incident.objects.get(entity_type="detector")
    assert extra.attributes["held_back"] == 1
    assert "1 more than the 1 that one run may open" in extra.signals.get().text
    assert run_again(detector).raised == 0
    assert Incident.objects.count() == 2


def test_the_same_record_is_quiet_for_a_while(automation):
    rule = {"kind": "pattern", "pattern": "loop", "activity": "Pay", "times": 1}
    detector = switched_on(automation, rule=rule, opens={"entity": "customer", "entity_type": "customer"},
                           limits={"cool_down_hours": 1000})  # fmt: skip
    running.run(detector.pk)
    log = detector.log
    write_later(log, ("7", "Pay", at(200)), ("7", "Pay", at(210)), customer="C2", amount=1.0)

    made = run_again(detector)

    assert (made.raised, made.cooled) == (0, 1)
    assert detector.findings.get(key="loop:7").fate == Fate.COOLED


def test_a_finding_that_names_no_record_is_kept_and_opens_nothing(automation):
    detector = switched_on(automation, rule={"kind": "drift", "check": "required", "field": "customer"},
                           opens={"entity": "customer"})  # fmt: skip

    made = running.run(detector.pk)

    assert (made.found, made.raised) == (1, 0)
    assert "named no record" in made.message
    assert detector.findings.get().fate == Fate.REFUSED


def test_a_log_that_went_away_fails_the_run_and_the_next_turn_comes(automation):
    detector = switched_on(automation)
    detector.log.delete()

    made = running.run(detector.pk)

    assert made.outcome == Outcome.FAILED
    assert "no log" in made.message
    detector.refresh_from_db()
    assert detector.next_at > db_now()
    assert detector.lease_until is None


def test_a_log_that_came_back_under_its_name_is_found_again(automation):
    detector = switched_on(automation)
    detector.log.delete()
    orders()

    assert running.run(detector.pk).raised == 2


def test_a_detector_that_was_switched_off_and_on_again_does_not_wait_for_an_old_lease(automation):
    detector = switched_on(automation)
    running._claim(detector.pk)
    actions.disable(detector, by=automation)
    actions.enable(detector, by=automation)

    assert running.run(detector.pk).raised == 2


def test_a_case_with_letters_that_no_database_holds_is_told_all_the_same(automation):
    log = finished(make_log([*path("bad\x00case", "Pay", "Pay")]))
    detector = switched_on(automation, log)

    assert running.run(detector.pk).raised == 1
    assert detector.findings.get().entity_key == "bad\ufffdcase"


@pytest.mark.usefixtures("one_turn")
def test_two_schedulers_ring_once(automation, monkeypatch):
    detector = switched_on(automation)
    rung = []
    monkeypatch.setattr(tasks.bells, "ring", lambda task, **ids: rung.append(ids))

    assert [tasks.run_detectors(), tasks.run_detectors()] == [1, 0]
    assert rung == [{"detector_id": detector.pk}]


def test_what_is_not_due_or_switched_off_is_left_alone(automation):
    detector = switched_on(automation)
    Detector.objects.filter(pk=detector.pk).update(next_at=db_now() + timedelta(hours=1))
    assert (running.due(), running.run(detector.pk)) == ([], None)

    Detector.objects.filter(pk=detector.pk).update(next_at=Now(), enabled=False)
    assert (running.due(), running.run(detector.pk)) == ([], None)


def test_switching_on_needs_a_rehearsal_of_that_version_or_a_reason(automation):
    detector = make_detector(automation, orders())
    with pytest.raises(Invalid, match="never rehearsed"):
        actions.enable(detector, by=automation)

    actions.rehearse_now(detector, by=automation)
    assert actions.enable(detector, by=automation).enabled

    actions.revise(detector, by=automation, definition=definition(
        {"kind": "pattern", "pattern": "loop", "activity": "Pay", "times": 2}))  # fmt: skip
    assert not detector.enabled
    with pytest.raises(Invalid):
        actions.enable(detector, by=automation)
    assert actions.enable(detector, by=automation, reason="agreed with finance").enabled
    verbs = list(Entry.objects.filter(target_type="insights.detector").order_by("n").values_list("verb", flat=True))
    assert verbs == [
        "detector.added", "detector.versioned", "detector.rehearsed", "detector.enabled", "detector.versioned",
        "detector.disabled", "detector.enabled",
    ]  # fmt: skip


def test_the_same_text_again_is_no_new_version(automation):
    detector = make_detector(automation, orders())

    actions.revise(detector, by=automation, definition=detector.active.definition, label="Paid twice")

    assert detector.versions.count() == 1
    assert detector.label == "Paid twice"


def test_a_change_to_a_version_that_was_not_seen_is_refused(automation):
    detector = make_detector(automation, orders())

    with pytest.raises(Stale):
        actions.disable(detector, by=automation, if_version=99)


def test_a_definition_is_held_against_its_log(automation):
    rule = {"kind": "pattern", "pattern": "missing", "activity": "Sing", "before": "Pay"}

    with pytest.raises(Invalid) as wrong:
        make_detector(automation, orders(), rule, opens={"amount": "user"}, filter="with=Pay")

    assert set(wrong.value.errors) == {"rule.activity", "opens.amount", "filter"}


def test_viewers_change_no_detector_and_nobody_watches_for_others(automation, viewer):
    with pytest.raises(NotAllowed):
        make_detector(viewer, orders())
    stranger = make_user("eu", role="automation_admin", units=["EU"])
    with pytest.raises(Invalid):
        make_detector(stranger, orders(business_unit="US"))


def test_a_detector_of_one_unit_opens_incidents_of_that_unit_only(automation):
    detector = switched_on(automation, orders(business_unit="EU"), opens={"business_unit": "customer"})

    running.run(detector.pk)

    assert set(Incident.objects.values_list("business_unit", flat=True)) == {"EU"}


def test_a_rehearsal_tells_what_would_have_been_opened_and_opens_nothing(automation):
    detector = make_detector(automation, orders())

    made = actions.rehearse_now(detector, by=automation)

    assert (made.found, made.raised, made.result["judged"]) == (2, 2, 6)
    assert [one["entity"] for one in made.result["examples"]] == ["4", "2"]
    assert sum(count for _, count in made.result["weeks"]) == 2
    assert made.per_week == pytest.approx(2 * 7 / 90, abs=0.01)
    for model in (Incident, Signal, Evidence, DetectorRun, DetectorFinding):
        assert not model.objects.exists()


def test_a_rehearsal_knows_no_way_to_an_effect():
    """Its modules, and all that they import of detectors, import neither intake nor any verb of another floor."""
    seen, todo = set(), {"rehearsing"}
    folder = Path(rehearsing.__file__).parent
    forbidden = (
        "incidents.intake",
        "incidents.actions",
        "playbooks",
        "approvals.actions",
        "insights.detectors.running",
    )
    while todo:
        name = todo.pop()
        seen.add(name)
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            imported = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported += [f"{node.module}.{one.name}" for one in node.names] if isinstance(node, ast.ImportFrom) else []
            assert not [one for one in imported if one.startswith(forbidden)], name
            todo |= {
                one.rpartition(".")[2] for one in imported
                if one.startswith("insights.detectors.") and (folder / f"{one.rpartition('.')[2]}.py").exists()
            } - seen  # fmt: skip
    assert {"looking", "queries", "pattern", "forecast"} <= seen


def test_past_verdicts_of_people_tell_the_precision(automation):
    detector = switched_on(automation)
    running.run(detector.pk)
    Incident.objects.filter(entity_key="2").update(status="resolved", closed_at=db_now())
    Incident.objects.filter(entity_key="4").update(status="dismissed", closed_at=db_now())

    precision = actions.rehearse_now(detector, by=automation).result["precision"]

    assert (precision["hits"], precision["n"], precision["value"]) == (1, 2, 0.5)
    assert precision["low"] == pytest.approx(0.0945, abs=0.001)
    assert precision["high"] == pytest.approx(0.9055, abs=0.001)


def test_labels_that_a_person_may_not_see_are_not_counted(automation):
    log = orders()
    detector = switched_on(automation, log)
    running.run(detector.pk)
    Incident.objects.update(status="resolved", closed_at=db_now(), business_unit="US")
    eu = make_user("eu", role="automation_admin", units=["EU"])

    result = rehearsing.rehearse(
        actions.read(detector.active.definition), actions.world_of(detector, actor="x"),
        visible=Incident.objects.visible_to(eu),
    )  # fmt: skip

    assert result.labels.n == 0


def test_rehearsals_are_kept_with_their_version(automation):
    detector = make_detector(automation, orders())
    actions.rehearse_now(detector, by=automation)
    actions.rehearse_now(detector, by=automation, days=7)

    assert Rehearsal.objects.filter(version=detector.active).count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_four_workers_that_start_together_one_runs_the_detector(automation):
    detector = switched_on(automation)
    gate = Barrier(4)

    def work(_):
        try:
            gate.wait(timeout=20)
            return running.run(detector.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        made = [one for one in pool.map(work, range(4)) if one is not None]

    assert [(one.outcome, one.raised) for one in made] == [(Outcome.DONE, 2)]
    assert (Incident.objects.count(), DetectorRun.objects.count()) == (2, 1)
