"""What it costs to leave an incident as it is."""

from decimal import Decimal

import pytest

from incidents.costs import costs_of
from incidents.models import ExceptionKind
from tests.playbooks.world import make_incident

pytestmark = pytest.mark.django_db
DECLARED = {"sla_penalty": 75.0, "write_off_share": 0.05, "regulatory": 120.0, "rework_minutes": 30.0}


def of_kind(**definition):
    incident = make_incident(revenue_at_risk=Decimal("1250.00"), currency="EUR")
    kind = ExceptionKind.objects.get(code=incident.code)
    kind.definition = {"title": "Freight", **definition}
    kind.save()
    incident.kind = kind
    return incident


def test_the_four_costs_follow_from_what_the_kind_declares(settings):
    settings.REWORK_HOURLY_RATE = 80.0

    costs = {cost.name: cost.amount for cost in costs_of(of_kind(costs=DECLARED))}

    assert costs == {
        "SLA penalty": Decimal("75.00"),
        "Write-off": Decimal("62.50"),
        "Regulatory risk": Decimal("120.00"),
        "Rework by hand": Decimal("40.00"),
    }


def test_each_cost_says_how_it_is_worked_out():
    because = [cost.because for cost in costs_of(of_kind(costs=DECLARED))]

    assert because[1] == "5% of what is at risk"
    assert because[3].startswith("30 min at ")


def test_a_kind_that_declares_nothing_shows_nothing():
    assert costs_of(of_kind()) == []


def test_an_incident_of_no_known_kind_shows_nothing():
    incident = of_kind(costs=DECLARED)
    incident.kind = None

    assert costs_of(incident) == []
