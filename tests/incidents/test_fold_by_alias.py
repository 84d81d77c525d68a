"""Intake under other names: a signal that uses a known name joins the incident of the entity behind it."""

from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit.clock import db_now
from audit.proofs import digest
from connectors.base import Record
from incidents import entities
from incidents.entity_models import Alias
from incidents.intake import Accepted, accept, accept_many
from incidents.kinds import definition_of
from incidents.models import Evidence, Incident
from incidents.normal import NormalSignal
from incidents.states import Status
from tests.incidents.conftest import Systems
from tests.incidents.factories import assert_counters_equal_rows, later, make_signal, put
from tests.incidents.graph import SF_ORDER, order_kind, read, sales_record, stuck
from tests.incidents.test_storm_intake import at_once


def told(**changes: Any) -> NormalSignal:
    """A signal that calls the order by its CRM id."""
    given = {"id": "crm-1", "source": "crm", "code": "credit_hold", "entity_type": "order", "entity_key": SF_ORDER}
    return make_signal(**{**given, **changes})


@pytest.fixture
def main(systems: Systems) -> Incident:
    """The incident of an order whose CRM id is known."""
    order_kind()
    incident = stuck()
    read(systems, incident, sales_record())
    return incident


def test_a_signal_under_a_known_name_joins_the_incident_of_the_entity(main):
    answer = accept(told())

    assert (answer.incident, answer.merged) == (main, True)
    assert answer.signal.entity_key == "SO-697"
    assert answer.signal.fingerprint == main.fingerprint
    assert_counters_equal_rows()


def test_the_explanation_says_by_which_name_it_was_known(main):
    answer = accept(told())

    assert answer.signal.fingerprint_explained["known_as"] == f"order SO-697 is known as {SF_ORDER} in crm"
    assert answer.signal.fingerprint_explained["entity_key"] == "so-697"


def test_the_first_signal_under_a_name_opens_the_incident_of_the_entity(main):
    put(main, Status.DISMISSED)

    answer = accept(told(time=later(10_000_000)))

    assert answer.incident.pk != main.pk
    assert (answer.incident.entity_key, answer.incident.fingerprint) == ("SO-697", main.fingerprint)


def test_the_same_signal_again_adds_nothing(main):
    first, again = accept(told()), accept(told())

    assert again.repeated
    assert again.signal.pk == first.signal.pk


def test_one_batch_may_use_every_name(main):
    answers = accept_many([told(), told(id="2", entity_key="SO-697"), told(id="3", entity_key="demf/so-697")])

    assert {answer.incident.pk for answer in answers} == {main.pk}
    assert_counters_equal_rows()


def test_a_name_of_another_unit_or_another_type_means_nothing(main):
    other_unit = accept(told(business_unit="US", region="US"))
    other_type = accept(told(id="2", entity_type="invoice"))

    assert main.pk not in {other_unit.incident.pk, other_type.incident.pk}


def test_a_name_that_two_systems_use_for_two_orders_counts_in_its_own_system_only(main, systems):
    other = stuck(entity_key="SO-698")
    read(systems, other, sales_record("SO-698", "8015g00000B2", "00000102"))
    twin = Alias.objects.get(name=SF_ORDER.casefold())
    twin.pk, twin.system, twin.entity = None, "sap", Alias.objects.filter(entity__label="SO-698")[0].entity
    twin.save()

    assert accept(told()).incident == main
    assert accept(told(id="2", source="sap")).incident == other
    assert accept(told(id="3", source="mail")).incident.entity_key == SF_ORDER


def test_a_disputed_name_leads_nowhere_until_a_person_has_decided(main, systems, operator):
    other = stuck(entity_key="SO-698")
    read(systems, other, sales_record("SO-698"))
    alone = accept(told())
    assert alone.incident.entity_key == SF_ORDER
    put(alone.incident, Status.DISMISSED)

    claim = Alias.objects.get(name=SF_ORDER.casefold(), entity__label="SO-698")
    entities.decide(claim, other, holds=True, by=operator, reason="The CRM was corrected.")

    assert accept(told(id="later", time=later(10_000_000))).incident == other


def test_a_name_learned_later_leaves_the_open_incident_its_signals(systems):
    order_kind()
    early, main = accept(told()).incident, stuck()
    read(systems, main, sales_record())

    one, batch = accept(told(id="2")), accept_many([told(id="3")])[0]

    assert one.incident == batch.incident == early
    assert_counters_equal_rows()


def test_a_late_signal_joins_what_was_closed_under_its_name(systems):
    order_kind()
    early, main = accept(told()).incident, stuck()
    read(systems, main, sales_record())
    put(early, Status.DISMISSED)

    assert accept(told(id="2")).incident == early


def test_names_cost_intake_no_statement(main):
    """What they mean is asked in the statement that looks for the incident."""
    accept(make_signal(id="warm", code="credit_hold", entity_type="order", entity_key="SO-700"))

    with CaptureQueriesContext(connection) as asked:
        accept(make_signal(id="a", code="credit_hold", entity_type="order", entity_key="SO-701"))

    about = [one["sql"] for one in asked if "incidents_alias" in one["sql"]]
    assert len(about) == 1
    assert "incidents_signal" in about[0]


@pytest.mark.django_db(transaction=True)
def test_signals_under_both_names_at_once_are_one_incident(systems):
    order_kind()
    first = stuck()
    read(systems, first, sales_record())
    put(first, Status.DISMISSED)
    names = ("SO-697", SF_ORDER, "demf/SO-697", "00000101")

    def act(number: int) -> Accepted:
        time = later(10_000_000 + number)
        return accept(told(id=f"e{number}", entity_key=names[number % 4], time=time))

    answers = at_once(80, act)

    assert len({answer.incident.pk for answer in answers}) == 1
    assert sum(not answer.merged for answer in answers) == 1
    assert_counters_equal_rows()


def taught(incident: Incident, record: Record) -> None:
    """Store one record as evidence, as a worker does, and learn from it."""
    content = dict(record.fields)
    with transaction.atomic():
        row = Evidence.objects.create(
            incident=incident,
            form="record",
            name="sales",
            system=record.system,
            entity=record.entity,
            record_id=record.key,
            captured_at=db_now(),
            digest=digest(content),
            content=content,
            round=1,
        )
        assert incident.kind is not None
        entities.learn(incident, [row], definition_of(incident.kind), unit="EU")


@pytest.mark.django_db(transaction=True)
def test_of_contrary_claims_at_once_one_stands_all_are_kept_and_none_leads_anywhere():
    order_kind()
    incidents = [stuck(entity_key=f"SO-{number}") for number in range(8)]

    at_once(8, lambda number: taught(incidents[number], sales_record(f"SO-{number}")))

    claims = Alias.objects.filter(name=SF_ORDER.casefold())
    assert claims.count() == 8
    assert claims.filter(state="standing").count() == 1
    assert not claims.filter(resolves=True).exists()


@pytest.mark.django_db(transaction=True)
def test_the_same_claim_at_once_is_learned_once():
    order_kind()
    incident = stuck()

    at_once(8, lambda _: taught(incident, sales_record()))

    assert list(Alias.objects.filter(name=SF_ORDER.casefold()).values_list("state", "resolves")) == [("standing", True)]
