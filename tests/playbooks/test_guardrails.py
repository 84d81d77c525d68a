"""The synchronous control over HTTP."""

from typing import Any

import pytest

from audit.models import Entry
from connectors.models import Connection, EmergencyStop
from playbooks.policy_actions import publish

pytestmark = pytest.mark.django_db
URL = "/api/v1/guardrails/check/"


@pytest.fixture(autouse=True)
def fo() -> Connection:
    """A connection that permits two writes."""
    writes = ["invoice.credit", "charge.update"]
    return Connection.objects.create(slug="fo", kind="dynamics_fo", label="F&O", operations=writes)


def question(**changes: Any) -> dict[str, Any]:
    asked = {
        "system": "fo",
        "operation": "invoice.credit",
        "record": {"InvoiceNumber": "INV-000412", "RemainingAmount": 1250.0},
        "changes": {"CreditedAmount": 1250.0},
        "actor": "flow: month end",
    }
    return {**asked, **changes}


def policy(slug: str = "limit", condition: str = "true", verdict: str = "block", **changes: Any) -> None:
    publish(slug, condition, verdict, **{"message": "Not like this.", "author": "automation", **changes})


def ask(client, **changes: Any) -> dict[str, Any]:
    answer = client.post(URL, question(**changes))
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_what_no_policy_objects_to_is_allowed_and_costs_no_entry(api, integration):
    client = api(integration)
    before = Entry.objects.count()

    answer = ask(client)

    assert answer == {"verdict": "allow", "reasons": [], "corrections": []}
    assert Entry.objects.count() == before


def test_a_block_says_which_policy_and_why_and_is_entered(api, integration):
    policy(condition="changes.CreditedAmount > 1000.0")

    answer = ask(api(integration))

    assert answer["verdict"] == "block"
    assert answer["reasons"] == [{"policy": "limit", "version": 1, "message": "Not like this."}]
    entry = Entry.objects.get(verb="guardrail.checked")
    assert (entry.actor, entry.target_id, entry.reason) == (
        "integration",
        "fo:invoice.credit",
        "Not like this. (limit v1)",
    )
    assert "flow: month end" in entry.body
    assert "RemainingAmount" not in entry.body


def test_a_correction_is_told_as_a_difference(api, operator):
    policy(condition="true", verdict="correct", corrections={"FixedChargeAmount": "round(record.Weight * 0.5, 2)"})

    answer = ask(
        api(operator), operation="charge.update", record={"Weight": 25.01}, changes={"FixedChargeAmount": "13.00"}
    )

    assert answer["verdict"] == "correct"
    assert answer["corrections"] == [{"field": "FixedChargeAmount", "before": "13.00", "after": "12.51"}]


def test_corrections_are_not_told_where_something_stricter_speaks(api, integration):
    policy("fix", verdict="correct", corrections={"CreditedAmount": "1"})
    policy("stop", verdict="block")

    answer = ask(api(integration))

    assert (answer["verdict"], answer["corrections"]) == ("block", [])
    assert [reason["policy"] for reason in answer["reasons"]] == ["fix", "stop"]


@pytest.mark.parametrize(
    "changes",
    [
        {"CreditedAmount": 5},
        {"CreditedAmount": {"before": 0, "after": 5}},
        [{"field": "CreditedAmount", "before": 0, "after": 5}],
        [{"record": "INV-000412", "field": "CreditedAmount", "after": 5}],
    ],
)
def test_changes_may_be_written_in_several_ways(api, integration, changes):
    policy(condition="changes.CreditedAmount == 5 && parameters.CreditedAmount == 5")

    assert ask(api(integration), changes=changes)["verdict"] == "block"


def test_a_record_may_be_named_by_its_key(api, integration):
    policy(condition="record.key == 'demf/INV-000412'")

    assert ask(api(integration), record="demf/INV-000412")["verdict"] == "block"


def test_an_amount_that_nobody_told_is_not_taken_for_a_small_one(api, integration):
    policy(condition="amount > 1000.0")
    client = api(integration)

    assert ask(client)["verdict"] == "needs_approval"
    assert ask(client, amount={"amount": "1000.00", "currency": "EUR"})["verdict"] == "allow"
    assert ask(client, amount={"amount": "1000.01", "currency": "EUR"})["verdict"] == "block"


def test_a_system_may_be_named_by_its_kind_where_there_is_only_one(api, integration):
    policy(condition="operation == 'fo:invoice.credit'")
    client = api(integration)

    assert ask(client, system="dynamics_fo")["verdict"] == "block"

    Connection.objects.create(slug="fo2", kind="dynamics_fo", label="F&O 2", operations=["invoice.credit"])
    assert ask(client, system="dynamics_fo")["verdict"] == "needs_approval"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"system": "unheard-of"}, "needs_approval"),
        ({"operation": "invoice.burn"}, "block"),
        ({"operation": "hold.release"}, "block"),
    ],
)
def test_what_is_not_known_or_not_permitted_is_never_allowed(api, integration, changes, verdict):
    policy(verdict="allow")

    answer = ask(api(integration), **changes)

    assert answer["verdict"] == verdict
    assert answer["reasons"][0]["policy"] == "connection"


def test_a_policy_that_cannot_be_evaluated_asks_for_a_person(api, integration):
    policy(condition="record.NoSuchField > 1", verdict="allow")

    answer = ask(api(integration))

    assert answer["verdict"] == "needs_approval"
    assert "there is no field NoSuchField" in answer["reasons"][0]["message"]


@pytest.mark.parametrize("whole", [True, False])
def test_while_everything_is_stopped_nothing_is_allowed(api, integration, fo, whole):
    EmergencyStop.objects.create(connection=None if whole else fo, reason="Stock count.", actor="admin")

    answer = ask(api(integration))

    assert (answer["verdict"], answer["reasons"][0]["message"]) == ("block", "Stock count.")


@pytest.mark.parametrize("role", ["viewer", "approver", "compliance", "automation", "auditor", "nobody"])
def test_only_programs_and_operators_may_ask(api, request, role):
    answer = api(request.getfixturevalue(role)).post(URL, question())

    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


def test_without_a_token_or_its_scope_nothing_is_answered(api, integration):
    assert api().post(URL, question()).status_code == 401
    assert api(integration, scopes=["signals:write"]).post(URL, question()).status_code == 403
    assert api(integration, scopes=["guardrails:write"]).post(URL, question()).status_code == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"system": ""}, "system"),
        ({"system": "fo;drop"}, "system"),
        ({"operation": None}, "operation"),
        ({"record": 7}, "record"),
        ({"record": ["x"]}, "record"),
        ({"changes": "all"}, "changes"),
        ({"changes": [{"name": "x"}]}, "changes"),
        ({"actor": ""}, "actor"),
        ({"amount": "12 EUR"}, "amount"),
        ({"amount": {"amount": "much", "currency": "EUR"}}, "amount.amount"),
        ({"parameters": []}, "parameters"),
        ({"verdict": "allow"}, "verdict"),
    ],
)
def test_a_question_that_cannot_be_meant_is_400_by_field(api, integration, changes, field):
    answer = api(integration).post(URL, question(**changes))

    assert answer.status_code == 400
    assert field in answer.json()["errors"]


@pytest.mark.parametrize("body", [[], "text", None])
def test_a_body_that_is_no_object_is_400(api, integration, body):
    assert api(integration).post(URL, body, format="json").status_code == 400


def test_a_long_list_asks_for_a_person_instead_of_running_for_minutes(api, integration):
    policy(condition="record.lines.all(x, record.lines.all(y, x <= y))")

    answer = ask(api(integration), record={"lines": list(range(1001))})

    assert answer["verdict"] == "needs_approval"


def test_large_changes_are_entered_by_their_digest(api, integration):
    policy()

    ask(api(integration), changes={f"field{number}": "x" * 100 for number in range(100)})

    assert '"fields":100' in Entry.objects.get(verb="guardrail.checked").body


def test_a_check_takes_as_many_queries_with_forty_policies_as_with_one(api, integration, django_assert_max_num_queries):
    for number in range(40):
        policy(f"policy-{number}", condition=f"record.RemainingAmount > {5000 + number}.0")
    client = api(integration)
    ask(client)

    with django_assert_max_num_queries(9):
        assert ask(client)["verdict"] == "allow"
