"""Which rules speak, and what they demand."""

from decimal import Decimal
from typing import Any

import pytest

from approvals.rules import Requirement, requirements_for
from tests.approvals.factories import make_rule

pytestmark = pytest.mark.django_db


def demands(**changes: Any) -> list[Requirement]:
    stake: dict[str, Any] = {
        "subject": "plan",
        "risk_tier": "medium",
        "amount": Decimal("1250.00"),
        "currency": "EUR",
        "domain": "o2c",
        "business_unit": "EU",
        "financial": True,
    }
    return requirements_for(**{**stake, **changes})


def test_without_rules_nobody_is_asked_about_a_medium_plan():
    assert demands() == []


def test_a_rule_demands_its_role_and_quorum_and_says_why():
    make_rule("large-credits", role="compliance", quorum=2, min_amount="1000.00", currency="EUR", expires_minutes=90)

    (requirement,) = demands()

    assert (requirement.rule, requirement.version, requirement.role) == ("large-credits", 1, "compliance")
    assert (requirement.quorum, requirement.expires_minutes) == (2, 90)
    assert requirement.because == "Large credits: 1,250.00 EUR reaches 1,000.00 EUR"


def test_each_matching_rule_demands_its_own_in_the_order_of_names():
    make_rule("b-amount", min_amount="1000.00", currency="EUR")
    make_rule("a-risk", role="compliance", min_risk="medium")

    assert [(one.rule, one.role) for one in demands()] == [("a-risk", "compliance"), ("b-amount", "approver")]


@pytest.mark.parametrize(
    ("rule", "stake", "speaks"),
    [
        ({"enabled": False}, {}, False),
        ({"subjects": ["rollback"]}, {}, False),
        ({"subjects": ["plan", "rollback"]}, {}, True),
        ({"min_risk": "high"}, {}, False),
        ({"min_risk": "medium"}, {}, True),
        ({"min_risk": "high"}, {"risk_tier": "unheard of"}, True),
        ({"domains": ["p2p"]}, {}, False),
        ({"domains": ["p2p"]}, {"domain": ""}, True),
        ({"business_units": ["US"]}, {}, False),
        ({"business_units": ["US"]}, {"business_unit": ""}, True),
        ({"financial_only": True}, {"financial": False}, False),
        ({"financial_only": True}, {}, True),
    ],
)
def test_a_rule_speaks_where_it_fits_and_where_it_cannot_tell(rule, stake, speaks):
    make_rule("rule", **rule)

    assert any(one.rule == "rule" for one in demands(**stake)) is speaks


@pytest.mark.parametrize(
    ("stake", "speaks"),
    [
        ({"amount": Decimal("999.99")}, False),
        ({"amount": Decimal("1000.00")}, True),
        ({"amount": Decimal("-1000.00")}, True),
        ({"amount": Decimal("1.00"), "currency": "USD"}, True),
        ({"amount": Decimal("1.00"), "currency": ""}, True),
        ({"amount": Decimal("NaN")}, True),
        ({"amount": None}, True),
        ({"amount": None, "financial": False}, False),
        ({"amount": Decimal("600.00"), "related_amount": Decimal("399.99")}, False),
        ({"amount": Decimal("600.00"), "related_amount": Decimal("400.00")}, True),
        ({"amount": None, "related_amount": Decimal("1000.00")}, True),
    ],
)
def test_a_threshold_has_no_silent_gap(stake, speaks):
    make_rule("rule", min_amount="1000.00", currency="EUR")

    assert bool(demands(**stake)) is speaks


def test_a_threshold_without_a_currency_always_counts_as_reached():
    make_rule("rule", min_amount="1000.00", currency="")

    assert (
        demands(amount=Decimal("1.00"))[0].because == "Rule: 1.00 EUR cannot be compared with the threshold of 1,000.00"
    )


def test_split_sums_are_named_in_the_reason():
    make_rule("rule", min_amount="1000.00", currency="EUR")

    (requirement,) = demands(amount=Decimal("600.00"), related_amount=Decimal("500.00"))

    assert requirement.because == "Rule: 600.00 EUR with 500.00 EUR of related requests reaches 1,000.00 EUR"


@pytest.mark.parametrize(
    "stake", [{"subject": "rollback"}, {"risk_tier": "high", "financial": False}, {"risk_tier": "unheard of"}]
)
def test_some_things_are_never_done_unasked_even_without_rules(stake):
    (requirement,) = demands(**stake)

    assert (requirement.rule, requirement.role, requirement.quorum) == ("built-in", "approver", 1)


def test_a_rollback_that_posts_nothing_needs_nobody_without_rules():
    assert demands(subject="rollback", financial=False) == []


def test_a_rule_that_speaks_takes_the_place_of_the_built_in_floor():
    make_rule("rollbacks", subjects=["rollback"], role="compliance")

    assert [one.rule for one in demands(subject="rollback")] == ["rollbacks"]
