"""What the active policies say about one change."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from audit.clock import db_now
from connectors.models import Connection
from playbooks import policies
from playbooks.models import Policy, PolicyVersion
from playbooks.policies import Ruling, Situation, judge
from playbooks.policy_actions import publish
from tests.factories import make_user
from tests.incidents.factories import make_incident
from tests.playbooks.mends import make_plan

pytestmark = pytest.mark.django_db
CREDIT = Situation(
    operation="fo:invoice.credit",
    connection="fo",
    parameters={"company": "demf", "invoice": "INV-000412", "amount": "12.345"},
    record={"RemainingAmount": 1250.0, "Status": "Open"},
    changes={"CreditedAmount": 1250.0},
    incident={"severity": "high", "business_unit": "EU"},
    risk="medium",
    financial=True,
    amount=Decimal("1250.00"),
    currency="EUR",
    actor="system:loop",
    subject="plan",
)


@pytest.fixture(autouse=True)
def fo() -> Connection:
    """A connection that permits one write."""
    return Connection.objects.create(slug="fo", kind="dynamics_fo", label="F&O", operations=["invoice.credit"])


def policy(slug: str = "limit", condition: str = "true", verdict: str = "block", **changes: Any) -> PolicyVersion:
    return publish(slug, condition, verdict, **{"message": "No.", "author": "automation", **changes})


def verdicts(situation: Situation = CREDIT) -> list[tuple[str, str]]:
    return [(ruling.policy, ruling.verdict) for ruling in judge(situation)]


def test_where_no_policy_speaks_a_permitted_write_is_allowed():
    policy(condition="amount > 5000.0")

    assert judge(CREDIT) == []
    assert policies.verdict_of([]) == "allow"


def test_a_policy_speaks_in_its_own_words():
    version = policy(condition="amount > 1000.0", message="Too much at once.", risk="high")

    (ruling,) = judge(CREDIT)

    assert ruling == Ruling("limit", 1, version.pk, "block", "Too much at once.", {}, "high")


@pytest.mark.parametrize(
    "condition",
    [
        "operation == 'fo:invoice.credit' && connection == 'fo'",
        "parameters.company == 'demf'",
        "record.RemainingAmount == changes.CreditedAmount",
        "incident.severity == 'high' && incident.business_unit == 'EU'",
        "risk == 'medium' && financial",
        "amount == 1250.0 && amount_minor == 125000 && currency == 'EUR'",
        "actor.startsWith('system:') && subject == 'plan'",
        "now > timestamp('2020-01-01T00:00:00Z')",
    ],
)
def test_a_condition_sees_the_whole_situation(condition):
    policy(condition=condition)

    assert verdicts() == [("limit", "block")]


@pytest.mark.parametrize(
    ("operations", "speaks"), [([], True), (["fo:invoice.credit"], True), (["fo:hold.release"], False)]
)
def test_a_policy_covers_the_operations_that_it_names_or_every_write(operations, speaks):
    policy(operations=operations)

    assert bool(judge(CREDIT)) is speaks


def test_rulings_come_in_the_order_of_names():
    for slug in ("zeta", "alpha", "mid"):
        policy(slug, verdict="allow")

    assert [name for name, _ in verdicts()] == ["alpha", "mid", "zeta"]


def test_a_policy_that_is_switched_off_or_retired_is_silent():
    policy("off")
    Policy.objects.update(enabled=False)
    policy("old")
    PolicyVersion.objects.filter(policy__slug="old").update(active=False)

    assert judge(CREDIT) == []


@pytest.mark.parametrize(
    "condition", ["record.NoSuchField > 1", "amount", "record.Status > 3", "parameters.amount > 1.0"]
)
def test_a_policy_that_cannot_be_evaluated_asks_for_a_person(condition):
    policy(condition=condition, verdict="allow")

    (ruling,) = judge(CREDIT)

    assert ruling.verdict == "needs_approval"
    assert "could not be evaluated" in ruling.reason


def test_a_text_that_no_longer_compiles_asks_for_a_person():
    row = Policy.objects.create(slug="older", label="Written for another version of the language")
    text = {"condition": "amount >", "verdict": "allow", "message": "Fine.", "created_at": db_now()}
    PolicyVersion.objects.create(policy=row, number=1, active=True, author="automation", **text)

    assert verdicts() == [("older", "needs_approval")]


def test_an_unknown_amount_of_a_posting_is_never_below_a_limit():
    policy(condition="amount > 1000.0", verdict="block")

    assert verdicts(replace(CREDIT, amount=None)) == [("limit", "needs_approval")]


def test_where_nothing_is_posted_no_amount_means_nothing_at_stake():
    policy(condition="amount > 1000.0")

    assert verdicts(replace(CREDIT, amount=None, financial=False)) == []


def test_a_correction_says_what_the_parameter_has_to_be():
    policy(
        condition="double(parameters.amount) != round(double(parameters.amount), 2)",
        verdict="correct",
        corrections={"amount": "round(double(parameters.amount), 2)", "company": "'demf'"},
    )

    (ruling,) = rulings = judge(CREDIT)

    assert (ruling.verdict, ruling.corrections) == ("correct", {"amount": "12.35"})
    assert policies.corrections_of(rulings) == {"amount": "12.35"}


def test_once_corrected_there_is_nothing_left_to_correct():
    policy(verdict="correct", corrections={"amount": "round(double(parameters.amount), 2)"})

    corrected = replace(CREDIT, parameters={**CREDIT.parameters, "amount": "12.35"})

    assert verdicts(corrected) == [("limit", "allow")]


def test_a_correction_that_cannot_be_evaluated_asks_for_a_person():
    policy(verdict="correct", corrections={"amount": "record.Missing"})

    (ruling,) = judge(CREDIT)

    assert (ruling.verdict, ruling.corrections) == ("needs_approval", {})


def test_policies_that_contradict_each_other_ask_for_a_person():
    policy("one", verdict="correct", corrections={"amount": "'1.00'"})
    policy("two", verdict="correct", corrections={"amount": "'2.00'"})
    policy("three", verdict="correct", corrections={"company": "'usmf'"})

    rulings = judge(CREDIT)

    assert [(r.policy, r.verdict) for r in rulings] == [
        ("one", "needs_approval"),
        ("three", "correct"),
        ("two", "needs_approval"),
    ]
    assert policies.corrections_of(rulings) == {"company": "usmf"}
    assert "disagree about amount" in rulings[0].reason


def test_policies_that_agree_on_a_correction_are_followed():
    policy("one", verdict="correct", corrections={"amount": "'1.00'"})
    policy("two", verdict="correct", corrections={"amount": "1"})

    assert [verdict for _, verdict in verdicts()] == ["correct", "correct"]


@pytest.mark.parametrize(
    ("spoken", "verdict"),
    [
        ([], "allow"),
        (["allow"], "allow"),
        (["allow", "correct"], "correct"),
        (["correct", "needs_approval"], "needs_approval"),
        (["needs_approval", "block", "allow"], "block"),
    ],
)
def test_the_strictest_verdict_counts(spoken, verdict):
    rulings = [Ruling("x", 1, None, one, "") for one in spoken]

    assert policies.verdict_of(rulings) == verdict


def test_a_policy_lifts_the_risk_and_never_lowers_it():
    rulings = [Ruling("a", 1, None, "allow", "", {}, "low"), Ruling("b", 1, None, "allow", "", {}, "high")]

    assert policies.risk_of(rulings, "medium") == "high"
    assert policies.risk_of(rulings[:1], "medium") == "medium"
    assert policies.risk_of([], "low") == "low"


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({"operations": []}, "block", "does not permit “invoice.credit”"),
        ({"enabled": False}, "block", "switched off"),
        ({"slug": "other"}, "needs_approval", "no connection “fo”"),
    ],
)
def test_a_write_that_the_connection_does_not_permit_is_never_allowed(fo, changes, verdict, words):
    Connection.objects.filter(pk=fo.pk).update(**changes)

    (ruling,) = judge(CREDIT)

    assert (ruling.policy, ruling.policy_version_id, ruling.verdict) == ("connection", None, verdict)
    assert words in ruling.reason


def test_a_policy_that_allows_does_not_permit_what_the_connection_does_not(fo):
    Connection.objects.filter(pk=fo.pk).update(operations=[])
    policy(verdict="allow")

    assert policies.verdict_of(judge(CREDIT)) == "block"


def test_reads_are_allowed_unless_a_policy_names_them():
    reading = replace(CREDIT, operation="fo:customer.get")
    policy("every-write")

    assert judge(reading) == []

    policy("named", operations=["fo:customer.get"])
    assert verdicts(reading) == [("named", "block")]


def test_an_operation_that_nobody_knows_counts_as_a_write():
    policy("every-write")

    assert verdicts(replace(CREDIT, operation="fo:no.such")) == [("connection", "block"), ("every-write", "block")]


def test_whoever_owns_or_wrote_a_policy_that_spoke_is_known():
    policy("spoke", owner=make_user("keeper", role="automation_admin"), author="writer")
    policy("silent", condition="false", author="somebody else")
    plan = make_plan(make_incident())
    policies.keep([*judge(CREDIT), Ruling("connection", 0, None, "block", "")], plan.steps.get(number=1), moment="plan")

    assert policies.people_behind(plan) == {"automation", "keeper", "writer"}  # the plan itself came with one


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("12.34", "EUR", 1234), ("12", "JPY", 12), ("1.234", "KWD", 1234), ("-0.01", "USD", -1), ("NaN", "EUR", None)],
)
def test_money_is_counted_in_its_smallest_unit(amount, currency, minor):
    assert policies.minor_units(Decimal(amount), currency) == minor


def test_asking_takes_a_fixed_number_of_queries(django_assert_max_num_queries):
    for number in range(20):
        policy(f"policy-{number}", condition=f"amount > {number}.0")

    with django_assert_max_num_queries(3):
        assert len(judge(CREDIT)) == 20
