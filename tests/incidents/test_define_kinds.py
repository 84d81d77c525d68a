"""Definitions of exception kinds: what they may say, and where they say it wrong."""

import pytest
from pydantic import ValidationError

from incidents.kinds import KindDefinition, definition_of, in_brief
from tests.incidents.factories import definition, make_kind

ORDER = {"as": "order", "connection": "fo", "operation": "order.get", "arguments": {"order": "incident.entity_key"}}
CHECK = {"check": "order != null", "cites": ["order"]}
CAUSE = {"id": "lost", "label": "Lost", "statements": [{"text": "Order {order.No} is there.", "checks": [CHECK]}]}


def whole(**changes):
    return KindDefinition.model_validate(definition(**changes))


def wrong(**changes) -> str:
    with pytest.raises(ValidationError) as refused:
        whole(**changes)
    return str(refused.value)


def test_a_definition_may_say_no_more_than_its_title():
    kind = whole()

    assert (kind.detect, kind.evidence, kind.causes, kind.queue) == ([], [], [], None)


def test_a_full_definition_is_read():
    kind = whole(
        detect=[
            {
                "connection": "fo",
                "event": "Alert",
                "where": "event.Rule == 'R'",
                "reads": [{**ORDER, "arguments": {"order": "event.No", "deep": True}}],
                "when": "order != null",
                "entity_key": "order.No",
                "attributes": {"line": "event.Line"},
            }
        ],
        evidence=[{**ORDER, "one": True, "filter": "row.No != ''", "if": "incident.entity_key != ''"}],
        derived={"double": "order.Total * 2", "more": "derived.double + 1"},
        causes=[CAUSE],
        severity=[{"when": "derived.more > 100", "severity": "high", "because": "{derived.more} at stake"}],
        revenue_at_risk=[{"record": "order", "field": "Total"}],
        currency="order.CurrencyCode",
        queue="billing",
        healed="order.Total == 0",
    )

    assert kind.evidence[0].name == "order"
    assert kind.evidence[0].condition == "incident.entity_key != ''"
    assert kind.detect[0].reads[0].arguments == {"order": "event.No", "deep": True}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"titel": "x"}, "titel"),
        ({"severity": [{"when": "true", "severity": "urgent", "because": "x"}]}, "severity.0.severity"),
        ({"healed": "order.Total =="}, "healed"),
        ({"evidence": [{**ORDER, "operation": "get"}]}, "evidence.0.operation"),
        ({"evidence": [{**ORDER, "as": "incident"}]}, "has a meaning of its own"),
        ({"evidence": [{**ORDER, "as": "Order No"}]}, "evidence.0.as"),
        ({"causes": [{**CAUSE, "statements": []}]}, "causes.0.statements"),
        ({"detect": [{"connection": "fo", "event": "x", "entity_key": "event.No", "when": "1 +"}]}, "detect.0.when"),
    ],
)
def test_a_mistake_is_refused_with_its_place(changes, message):
    assert message in wrong(**changes)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"healed": "invoce.Total == 0"}, "healed: invoce is not known here (known: derived, incident, signals)"),
        ({"evidence": [{**ORDER, "arguments": {"order": "event.No"}}]}, "evidence.0.arguments.order: event is not"),
        ({"evidence": [{**ORDER, "if": "row.No == 1"}]}, "evidence.0.if: row is not known"),
        ({"evidence": [ORDER, ORDER]}, "evidence.1.as: order is used twice"),
        ({"derived": {"a": "derived.b", "b": "1"}}, "derived.a: derived.b is not worked out before this"),
        ({"causes": [CAUSE]}, "causes.0.statements.0.checks.0.check: order is not known"),
        ({"causes": [CAUSE]}, "causes.0.statements.0.text: order is not known"),
        ({"evidence": [ORDER], "causes": [CAUSE, CAUSE]}, "causes.1.id: lost is used twice"),
        ({"revenue_at_risk": [{"record": "invoice", "field": "Total"}]}, "revenue_at_risk.0.record: invoice"),
        ({"severity": [{"when": "true", "severity": "low", "because": "{nobody.x}"}]}, "severity.0.because: nobody"),
        ({"title": "Invoice {event.No}"}, "title: event is not known"),
        (
            {"detect": [{"connection": "fo", "event": "x", "entity_key": "incident.id"}]},
            "detect.0.entity_key: incident",
        ),
        (
            {"detect": [{"connection": "fo", "event": "x", "entity_key": "event.No", "where": "order.No == 1"}]},
            "detect.0.where: order",
        ),
    ],
)
def test_a_name_that_nobody_gives_is_refused_with_its_place(changes, place):
    assert place in wrong(**changes)


def test_a_statement_cannot_cite_what_is_no_evidence():
    cited = {**CAUSE, "statements": [{"text": "x", "checks": [{"check": "true", "cites": ["derived.total"]}]}]}

    assert "cites: derived is not known" in wrong(evidence=[ORDER], causes=[cited])


def test_later_evidence_may_be_asked_for_by_earlier():
    customer = {
        "as": "customer",
        "connection": "crm",
        "operation": "customer.get",
        "arguments": {"no": "order.Customer"},
    }

    kind = whole(evidence=[ORDER, customer])

    assert [query.name for query in kind.evidence] == ["order", "customer"]


@pytest.mark.django_db
def test_a_stored_definition_is_read_once_per_text():
    kind = make_kind()

    assert definition_of(kind) is definition_of(kind)
    kind.definition = definition(queue="other")
    assert definition_of(kind).queue == "other"


@pytest.mark.django_db
def test_intake_needs_only_a_kind_in_brief():
    kind = make_kind(fingerprint={"attributes": ["line"]})

    found = in_brief(["DUPLICATE_invoice", "unknown"])

    assert set(found) == {"duplicate_invoice"}
    brief = found["duplicate_invoice"]
    assert (brief.pk, brief.fingerprint, brief.title, brief.enabled) == (
        kind.pk,
        ("line",),
        "Invoice {incident.entity_key} was sent twice",
        True,
    )
