"""What mends are worth: on stated assumptions with an interval, or with the reason why nothing is said."""

from datetime import timedelta
from decimal import Decimal

import pytest

from incidents.models import Evidence
from incidents.states import Status
from insights.kpis import measures, roi, worth
from insights.kpis.assumptions import stated
from insights.kpis.models import Assumption
from insights.kpis.periods import Period
from tests.factories import make_user
from tests.insights import score

pytestmark = pytest.mark.django_db
MARCH = Period(score.at(-1), score.at(29))


@pytest.fixture
def reader():
    return make_user("reader", role="auditor")


def assume(name: str, value: str, subject: str = "", currency: str = "") -> Assumption:
    return Assumption.objects.create(
        name=name, subject=subject, value=Decimal(value), currency=currency, because="measured in May"
    )


def state_all() -> None:
    assume("minutes_by_hand", "30")
    assume("minutes_to_approve", "3")
    assume("hourly_rate", "60", currency="EUR")


def mend(alone: int = 0, approved: int = 0, by_hand: int = 0) -> None:
    for number in range(alone + approved + by_hand):
        one = score.make_incident()
        if number >= alone + approved:
            score.hand_over(one)
        score.make_mend(one, autonomous=number < alone)


def saved(reader, tokens=()):
    return roi.saved(measures.counted(reader, MARCH).cells, tokens, stated())


def test_what_was_saved_is_counted_from_rows_on_stated_minutes(reader):
    state_all()
    mend(alone=10, approved=10, by_hand=5)

    found = saved(reader)

    # By hand 25 × 30 min at 60 an hour = 750; now 10 × 0 + 10 × 3 + 5 × 30 = 180.
    assert found.value == pytest.approx(1 - 180 / 750)
    assert (found.n, found.data["saved"], found.data["currency"]) == (25, 570.0, "EUR")
    low, high = found.interval
    assert 0 < low < found.value < high < 1
    assert {one["assumption"] for one in found.data["assumptions"]} == {
        "minutes_by_hand",
        "minutes_to_approve",
        "hourly_rate",
    }


def test_the_interval_is_the_same_every_time(reader):
    state_all()
    mend(alone=10, approved=10, by_hand=5)

    assert saved(reader).interval == saved(reader).interval


def test_few_incidents_are_no_figure(reader):
    state_all()
    mend(alone=19)

    found = saved(reader)

    assert found.value is None
    assert "at least 20" in found.because


def test_without_assumptions_nothing_is_made_up(reader):
    mend(alone=25)

    found = saved(reader)

    assert found.value is None
    assert "state them as assumptions" in found.because


def test_all_by_hand_is_no_effect(reader):
    state_all()
    mend(by_hand=25)

    found = saved(reader)

    assert found.value == 0.0
    assert "No effect" in found.because


def test_tokens_cost_what_is_stated_and_never_nothing(reader):
    state_all()
    mend(alone=20)

    assert "No price of a million tokens" in saved(reader, [("ai", 2_000_000)]).because
    assume("token_price", "5", "ai", "EUR")
    assert saved(reader, [("ai", 2_000_000)]).data["tokens"] == 10.0


def test_assumptions_in_two_currencies_are_not_added(reader):
    state_all()
    assume("token_price", "5", "ai", "USD")
    mend(alone=20)

    assert "nothing is converted" in saved(reader, [("ai", 1)]).because


def test_leaks_are_told_by_what_became_of_them(reader):
    unpaid = score.make_incident()
    Evidence.objects.create(
        incident=unpaid, form="record", name="invoice", round=1, system="fo", entity="SalesInvoiceHeadersV2",
        record_id="demf/1", captured_at=score.MONDAY, digest="d",
        content={"RemainingAmount": 10.5, "TotalInvoiceAmount": 10.5},
    )  # fmt: skip
    score.make_incident()
    score.make_incident(Status.ROLLED_BACK)
    score.make_clock(score.make_incident(Status.NEEDS_OPERATOR), late=True)
    score.make_incident(Status.AWAITING_APPROVAL)
    score.make_incident(Status.DISMISSED)
    score.make_incident(code="freight_misrate", revenue_at_risk=None, amount=Decimal("28.00"))

    duplicates, freight = worth.leaks(reader, MARCH)

    assert duplicates.counts == {"prevented": 1, "recovered": 1, "missed": 2, "open": 1}
    assert duplicates.found_amount == Decimal("5000.00")
    assert (freight.name, freight.amounts["recovered"]) == ("freight_misrates", Decimal("28.00"))


def test_capital_is_released_only_by_verified_mends_with_stated_days(reader):
    score.make_mend(score.make_incident(closed_at=score.MONDAY + timedelta(days=1)))
    score.make_incident(Status.NEEDS_OPERATOR)

    refused = worth.working_capital(measures.counted(reader, MARCH).cells, MARCH, stated())[0]
    assume("days_by_hand", "4", "duplicate_invoice")
    found = worth.working_capital(measures.counted(reader, MARCH).cells, MARCH, stated())[0]

    assert refused.value is None
    assert "duplicate invoice" in refused.because
    # 1000 × (4 − 1) days over 30 days.
    assert (found.value, found.n, found.data["currency"]) == (100.0, 1, "EUR")


def test_leaving_things_open_costs_what_each_kind_declares(reader, settings):
    settings.REWORK_HOURLY_RATE = 60.0
    for _ in range(2):
        score.make_incident(Status.NEEDS_OPERATOR)
    score.make_incident(Status.NEEDS_OPERATOR, currency="USD")
    score.make_incident()

    euros, dollars = worth.inaction(reader)

    assert (euros.name, euros.currency, euros.n, dollars.n) == ("order-to-cash", "EUR", 2, 1)
    assert dict(euros.costs) == {
        "SLA penalty": Decimal("100.00"),
        "Write-off": Decimal("200.00"),
        "Regulatory risk": Decimal("40.00"),
        "Rework by hand": Decimal("60.00"),
    }
