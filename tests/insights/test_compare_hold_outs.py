"""Held out against handled: counted as drawn, by figures worked out by hand, and refused where they are thin."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from audit.clock import db_now
from incidents.models import Incident
from incidents.states import Status
from insights.kpis import feedback, holdouts
from insights.kpis.holdouts import Contrast, Trial
from playbooks.holdout_models import HoldOut, HoldOutDraw
from playbooks.states import ExecutionState
from tests.factories import make_user
from tests.insights import score
from tests.insights.factories import make_log
from tests.insights.test_feed_back_outcomes import case

pytestmark = pytest.mark.django_db
HOUR = 3_600.0


@pytest.fixture
def reader():
    return make_user("reader", role="auditor")


def make_trial(number: int = 1, *, playbook: str = "credit", **changes: Any) -> HoldOut:
    """A hold-out of a tenth."""
    values = {"share": 10, "purpose": "Does it save time?", "days": 90, "secret_seed": "a" * 64, "author": "owner"}
    times = {"begun_at": score.at(), "ends_at": score.at(90)}
    version = score.version_of(playbook)
    return HoldOut.objects.create(playbook=version.playbook, number=number, **{**values, **times, **changes})


def draw(trial: HoldOut, incident: Incident, *, out: bool, left: datetime | None = None, version: int = 1) -> None:
    """The lot of an incident; its record is its entity."""
    HoldOutDraw.objects.create(
        hold_out=trial,
        incident=incident,
        playbook_version=score.version_of(trial.playbook.slug, version),
        held_out=out,
        record=incident.entity_key,
        drawn_at=incident.opened_at,
        left_at=left,
        left_by="operator" if left else "",
    )


def lasting(hours: float, **changes: Any) -> Incident:
    """An incident that was closed after so many hours."""
    opened = changes.pop("opened_at", score.at())
    return score.make_incident(opened_at=opened, closed_at=opened + timedelta(hours=hours), **changes)


def two_groups(trial: HoldOut) -> None:
    """Twenty held out of 8 or 12 hours, four of them came back; thirty handled of 3 or 5 hours, three came back."""
    for out, hours, n, back in ((True, (8, 12), 20, 4), (False, (3, 5), 30, 3)):
        for number in range(n):
            one = lasting(hours[number % 2])
            draw(trial, one, out=out)
            if number < back:
                score.make_incident(Status.NEEDS_OPERATOR, entity_key=one.entity_key, opened_at=score.at(3))


def only(user: Any) -> Trial:
    (found,) = holdouts.trials(user)
    return found


def measure(trial: Trial, name: str) -> Contrast:
    return next(one for one in trial.contrasts if one.name == name)


# --- the figures -----------------------------------------------------------------------------------


def test_times_are_compared_as_worked_out_by_hand(reader):
    two_groups(make_trial())

    found = measure(only(reader), "time_open").found

    # Means 10 h and 4 h; standard error √(4.2105/20 + 1.0345/30) = 0.49498 h; Student at 25.29 degrees: 2.29955.
    assert (found.before, found.after) == (10 * HOUR, 4 * HOUR)
    assert (found.n_before, found.n_after) == (20, 30)
    assert found.value == -6 * HOUR
    assert found.interval == pytest.approx((-7.138238 * HOUR, -4.861762 * HOUR), rel=1e-6)
    assert found.verdict == "less"


def test_shares_are_compared_as_worked_out_by_hand(reader):
    two_groups(make_trial())

    found = measure(only(reader), "came_back").found

    # Newcombe, from Wilson's limits of 4/20 and 3/30 at 97 %.
    assert (found.before, found.after) == (0.2, 0.1)
    assert found.interval == pytest.approx((-0.350566, 0.117910), abs=1e-6)
    assert found.verdict == "no_effect"


def test_money_is_weighed_with_its_days_and_each_currency_is_apart(reader):
    trial = make_trial()
    for number in range(4):
        draw(trial, lasting(24, revenue_at_risk=Decimal(100 + number), currency="EUR"), out=True)
    draw(trial, lasting(12, revenue_at_risk=Decimal(300), currency="USD"), out=False)
    draw(trial, lasting(12, revenue_at_risk=None, currency="EUR"), out=False)

    money = [one for one in only(reader).contrasts if one.name == "exposure"]

    assert [(one.currency, one.found.n_before, one.found.n_after) for one in money] == [("EUR", 4, 0), ("USD", 0, 1)]
    assert money[0].found.before == pytest.approx(101.5)
    assert money[1].found.after == pytest.approx(150.0)


# --- counted as drawn --------------------------------------------------------------------------------


def test_who_left_the_group_counts_as_held_out_all_the_same(reader):
    trial = make_trial()
    for number in range(20):
        one = lasting(1 if number < 15 else 20)
        draw(trial, one, out=True, left=score.at(0, 30) if number < 15 else None)
        if number < 15:
            score.make_mend(one, autonomous=True)
    for _ in range(20):
        draw(trial, lasting(2), out=False)

    found = only(reader)

    # As drawn: (15 × 1 + 5 × 20) / 20 = 5.75 h. As treated it would have been 20 h against 1.57 h.
    assert measure(found, "time_open").found.before == 5.75 * HOUR
    assert (found.held_out, found.left, found.handled) == (20, 15, 20)


def test_what_the_playbook_could_not_mend_counts_as_handled(reader):
    trial = make_trial()
    failed = score.make_incident(Status.NEEDS_OPERATOR, opened_at=db_now() - timedelta(hours=50))
    score.make_mend(failed, ExecutionState.FAILED, autonomous=True)
    draw(trial, failed, out=False)

    found = only(reader)

    assert (found.handled, found.still_open) == (1, 1)
    assert measure(found, "time_open").found.after == pytest.approx(50 * HOUR, abs=60)


def test_what_is_open_for_ever_counts_with_thirty_days(reader):
    trial = make_trial()
    draw(trial, score.make_incident(Status.NEEDS_OPERATOR, opened_at=score.at(-700)), out=True)

    assert measure(only(reader), "time_open").found.before == 30 * 24 * HOUR


def test_of_one_record_the_first_incident_counts(reader):
    trial = make_trial()
    draw(trial, lasting(5, entity_key="SO-1"), out=True)
    draw(trial, lasting(100, entity_key="SO-1", opened_at=score.at(2)), out=True, version=2)
    draw(trial, lasting(7, entity_key="SO-2"), out=True)

    found = only(reader)

    assert (found.version.number, found.held_out) == (1, 2)
    assert measure(found, "time_open").found.before == 6 * HOUR
    assert measure(found, "came_back").found.before == 0.5


def test_a_mend_that_was_taken_back_came_back(reader):
    trial = make_trial()
    one = lasting(1)
    run = score.make_mend(one, autonomous=True)
    run.pk = None
    run.direction, run.undoes_id = "backward", one.executions.get().pk
    run.save()
    draw(trial, one, out=False)

    assert measure(only(reader), "came_back").found.after == 1.0


def test_what_was_folded_into_another_is_over_when_that_one_is(reader):
    trial = make_trial()
    kept = lasting(9)
    draw(trial, lasting(1, status=Status.DISMISSED, merged_into=kept), out=True)

    assert measure(only(reader), "time_open").found.before == 9 * HOUR


def test_each_version_and_each_trial_is_told_apart(reader):
    first = make_trial(ended_at=score.at(5))
    second = make_trial(2)
    for trial, version in ((first, 1), (first, 2), (second, 2)):
        draw(trial, lasting(1), out=True, version=version)

    told = [(one.hold_out.number, one.version.number, one.over) for one in holdouts.trials(reader)]

    assert told == [(2, 2, False), (1, 1, True), (1, 2, True)]


# --- thin data ---------------------------------------------------------------------------------------


def test_thin_groups_claim_nothing_and_say_how_many_more_it_takes(client, reader):
    trial = make_trial()
    for number in range(27):
        draw(trial, lasting(20 if number < 3 else 1), out=number < 3)

    found = measure(only(reader), "time_open")
    client.force_login(reader)
    page = client.get(reverse("hold_outs")).content.decode()

    assert (found.found.verdict, found.found.interval) == ("too_thin", None)
    assert found.more_needed == (17, 0)
    assert "too few to say: 17 more held out needed" in page


def test_groups_of_twenty_are_enough(reader):
    trial = make_trial()
    for number in range(40):
        draw(trial, lasting(2 + number % 3), out=number % 2 == 0)

    found = measure(only(reader), "time_open")

    assert (found.more_needed, found.found.verdict) == ((0, 0), "no_effect")


# --- in a log ------------------------------------------------------------------------------------------


def test_the_cases_of_a_log_are_compared_as_drawn_too(reader):
    trial, events = make_trial(), []
    for number in range(40):
        key, out = f"C{number:02d}", number < 20
        opened = score.at(number)
        events += case(key, opened, hours=20 if out else 10, again=1 if out else 0)
        draw(trial, lasting(1, entity_key=key, opened_at=opened), out=out)
    draw(trial, lasting(1, entity_key="in no log"), out=True)

    (found,) = holdouts.by_log(make_log(events), reader)

    assert (found.held_out, found.handled) == (20, 20)
    assert measure(found, "throughput").found.value == -10 * HOUR
    assert (measure(found, "rework").found.before, measure(found, "rework").found.after) == (1.0, 0.0)
    # The target is the median of what people do: 20 hours, which nobody is over.
    assert measure(found, "leakage").found.value == 0.0


def test_a_log_that_no_drawn_incident_is_about_has_no_hold_out(reader):
    draw(make_trial(), lasting(1), out=True)

    assert holdouts.by_log(make_log(case("A", score.at(), hours=3)), reader) == []


def test_before_and_after_leaves_out_who_was_held_out_first(reader):
    trial, events = make_trial(), []
    for number in range(4):
        key = f"K{number}"
        events += case(key, score.at(60 + number), hours=5)
        one = score.make_incident(entity_key=key, opened_at=score.at(60 + number))
        score.make_mend(one)
        if number == 0:
            draw(trial, one, out=True, left=score.at(61))
    log = make_log(events)
    ((version, begun),) = feedback.versions_at_work(reader)

    found = feedback.compare(log, version, begun - timedelta(hours=1), reader)

    assert found.throughput.n_after == 3


# --- who sees it ---------------------------------------------------------------------------------------


def test_nobody_is_told_of_incidents_of_other_units():
    trial = make_trial()
    draw(trial, lasting(1), out=True)
    draw(trial, lasting(1, business_unit="US", region="TX"), out=False)

    american = only(make_user("american", role="viewer", units=["US"]))

    assert (american.held_out, american.handled) == (0, 1)
    assert holdouts.trials(make_user("nowhere", role="viewer", units=["APAC"])) == []
    assert holdouts.trials(make_user("program", role="integration")) == []


def test_the_same_number_in_another_unit_is_another_record(reader):
    trial = make_trial()
    one = lasting(1)
    draw(trial, one, out=True)
    score.make_incident(Status.NEEDS_OPERATOR, entity_key=one.entity_key, business_unit="US", opened_at=score.at(1))

    assert measure(only(reader), "came_back").found.before == 0.0


def test_the_api_tells_both_comparisons_and_how_strong_each_is(api, reader):
    trial = make_trial()
    two_groups(trial)
    log = make_log(case(trial.draws.all()[0].incident.entity_key, score.at(), hours=3))

    told = api(reader).get("/api/v1/hold-outs/").json()
    outcomes = api(reader).get(f"/api/v1/event-logs/{log.pk}/outcomes/").json()

    assert "stronger evidence" in told["evidence"]
    (one,) = told["results"]
    assert (one["playbook"], one["version"], one["hold_out"], one["share"]) == ("credit", 1, 1, 10)
    first = one["measures"][0]
    assert (first["measure"], first["n_first"], first["n_second"], first["verdict"]) == ("time_open", 20, 30, "less")
    assert first["more_needed"] == [0, 0]
    assert outcomes["held_out"]["results"][0]["measures"][0]["more_needed"] == [19, 20]
    assert "weaker" in outcomes["before_and_after"]["evidence"]


def test_a_log_of_another_unit_has_no_outcomes(api):
    log = make_log(case("A", score.at(), hours=3), business_unit="US")
    european = make_user("european", role="viewer", units=["EU"])

    assert api(european).get(f"/api/v1/event-logs/{log.pk}/outcomes/").status_code == 404


def test_the_pages_label_the_stronger_evidence(client, reader):
    trial = make_trial()
    two_groups(trial)
    log = make_log(case(trial.draws.all()[0].incident.entity_key, score.at(), hours=3))
    client.force_login(reader)

    page = client.get(reverse("hold_outs")).content.decode()
    outcomes = client.get(reverse("kpi_feedback", args=[log.pk])).content.decode()

    assert "the stronger evidence" in page
    assert "less (" in page
    assert "n = 20" in page
    assert "the stronger evidence" in outcomes
    assert "weaker than a trial" in outcomes


def test_without_a_hold_out_the_page_says_how_one_is_begun(client, reader):
    client.force_login(reader)

    assert "Nothing is held out" in client.get(reverse("hold_outs")).content.decode()
