"""What is switched on says which operations it names; what is off, retired or over says nothing any more."""

from typing import Any

import pytest

from connectors.models import Connection
from connectors.rights import naming
from incidents.models import ExceptionKind
from playbooks import named as ours
from playbooks.models import Playbook, PlaybookVersion, Subscription
from tests.connectors.factories import make_model
from tests.factories import make_user
from tests.insights.detecting import make_detector
from tests.playbooks.cases import STEP, make_freight
from tests.playbooks.driving import begin, drive
from tests.playbooks.world import CHARGED, make_incident, make_plan, make_playbook

pytestmark = pytest.mark.django_db


def by(connection: str, operation: str) -> list[str]:
    return [one.by for one in naming.names().get((connection, operation), ())]


def test_a_playbook_names_its_steps_while_it_is_on(world):
    version = make_playbook([STEP])
    (one,) = naming.names()[("fo", "charge.update")]

    assert (one.by, one.name, one.url) == ("playbook", "mend", version.playbook.get_absolute_url())
    Playbook.objects.update(enabled=False)
    assert by("fo", "charge.update") == []


def test_a_version_that_was_replaced_names_nothing(world):
    make_playbook([STEP])
    make_playbook([{**STEP, "operation": "hold.release"}])

    assert by("fo", "charge.update") == []
    assert by("fo", "hold.release") == ["playbook"]


def test_a_draft_names_nothing(world):
    make_playbook([STEP])
    PlaybookVersion.objects.update(active=False)

    assert by("fo", "charge.update") == []


def test_a_kind_names_its_evidence_and_what_it_reads_when_something_arrives(world):
    make_freight()
    read = {"as": "order", "connection": "fo", "operation": "order.get", "arguments": {"order": "event.Order"}}
    detect = {"connection": "fo", "event": "x", "entity_key": "event.Order", "reads": [read]}
    row = ExceptionKind.objects.get()
    ExceptionKind.objects.update(definition={**row.definition, "detect": [detect]}, version=2)

    assert by("fo", "charges.list") == ["exception kind"]
    assert by("fo", "order.get") == ["exception kind"]
    ExceptionKind.objects.update(enabled=False)
    assert by("fo", "order.get") == []


def test_a_mend_under_way_names_what_it_may_still_send_though_its_playbook_is_off(world):
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    Playbook.objects.update(enabled=False)

    (one,) = naming.names()[("fo", "charge.update")]
    assert (one.by, one.name) == ("mend under way of", f"INC-{incident.pk}")
    drive(incident)
    assert by("fo", "charge.update") == []


def test_a_subscription_names_the_way_it_tells_by(world, operator):
    hooks = Connection.objects.create(slug="hooks", kind="cloudevents", operations=["event.send"])
    Subscription.objects.create(slug="s", label="All", connection=hooks, operation="event.send", as_user=operator)

    assert by("hooks", "event.send") == ["subscription"]
    Subscription.objects.update(enabled=False)
    assert by("hooks", "event.send") == []


def test_the_planner_names_the_model_that_it_asks(world):
    make_model()
    make_model(slug="zz-second")

    assert by("ai", "chat.complete") == ["the planner"]
    assert by("zz-second", "chat.complete") == []
    Connection.objects.filter(kind="openai").update(enabled=False)
    assert list(ours.by_planner()) == []


def test_a_detector_names_its_saved_query_while_it_is_on(world):
    query: dict[str, Any] = {"connection": "crm", "operation": "cases.by_order", "arguments": {"order": "SO-1"},
                             "key": "Number"}  # fmt: skip
    detector = make_detector(make_user("maker", role="automation_admin"), None, {"kind": "query", "query": query})
    type(detector).objects.update(enabled=True)

    assert by("crm", "cases.by_order") == ["detector"]
    type(detector).objects.update(enabled=False)
    assert by("crm", "cases.by_order") == []
