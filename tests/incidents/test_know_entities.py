"""The entity graph: what evidence says of an order in each system, what is disputed, and who may see it."""

import pytest
from pydantic import ValidationError

from audit.errors import IllegalMove, Invalid, LostRace, NotAllowed
from audit.models import Entry
from incidents import entities
from incidents.entity_models import Alias, AliasDecision, Entity, Link, Mention
from incidents.evidence import collect
from incidents.kinds import KindDefinition
from incidents.known import called, offers_of, records_of, speaking_of, subject_of
from incidents.models import Evidence, Incident
from tests.incidents.conftest import Systems
from tests.incidents.factories import definition
from tests.incidents.graph import (
    ENTITIES,
    EVIDENCE,
    SF_ORDER,
    case_record,
    order_kind,
    order_record,
    read,
    sales_record,
    stuck,
)

pytestmark = pytest.mark.django_db


def names(entity: Entity) -> set[tuple[str, str, str]]:
    return set(entity.aliases.values_list("system", "field", "value"))


def disputed(systems: Systems) -> tuple[Incident, Incident]:
    """Two orders that claim the same order of the CRM."""
    order_kind()
    one, other = stuck(), stuck(entity_key="SO-698")
    read(systems, one, sales_record())
    read(systems, other, sales_record("SO-698"))
    return one, other


def claim(number: str) -> Alias:
    return Alias.objects.get(name=SF_ORDER.casefold(), entity__label=number)


# --- what evidence says ---------------------------------------------------------------------------


def test_one_order_is_known_by_the_ids_of_every_system_that_was_read(systems):
    order_kind()

    read(systems, stuck(), sales_record())

    order = Entity.objects.get(type="order")
    assert (order.key, order.label, order.business_unit) == ("so-697", "SO-697", "EU")
    assert names(order) == {
        ("fo", "", "demf/SO-697"),
        ("fo", "SalesOrderNumber", "SO-697"),
        ("crm", "", SF_ORDER),
        ("crm", "ErpNumber", "SO-697"),
        ("crm", "OrderNumber", "00000101"),
    }


def test_each_name_rests_on_the_evidence_that_said_so(systems):
    order_kind()
    read(systems, stuck(), sales_record())

    alias = claim("SO-697")

    assert (alias.evidence.record_id, alias.record_type) == (SF_ORDER, "Order")
    assert alias.learned_at >= alias.evidence.captured_at


def test_a_link_names_the_record_and_the_field_that_it_rests_on(systems):
    order_kind()
    read(systems, stuck(), cases=(case_record(),))

    links = {(str(link.source), str(link.target), link.field) for link in Link.objects.all()}

    assert links == {
        ("order SO-697", "account DE-001", "Customer"),
        ("case 00001026", "order SO-697", "Order_Number__c"),
    }


def test_numbers_in_free_text_name_nobody(systems):
    order_kind()
    read(systems, stuck(), cases=(case_record(),))

    assert set(Entity.objects.values_list("type", "key")) == {
        ("order", "so-697"),
        ("account", "de-001"),
        ("case", "00001026"),
    }


@pytest.mark.parametrize("nobody", ["", "n/a", "0", None, True, 1.5, ["SO-1"], "x" * 201])
def test_a_field_that_holds_no_key_names_nobody(systems, nobody):
    assert entities.named("order", nobody) is None


def test_the_same_evidence_again_adds_nothing(systems):
    order_kind()
    incident = stuck()
    read(systems, incident, sales_record(), cases=(case_record(),))
    before = [model.objects.count() for model in (Entity, Alias, Link, Mention)]

    read(systems, incident, sales_record(), cases=(case_record(),))

    assert [model.objects.count() for model in (Entity, Alias, Link, Mention)] == before
    assert Evidence.objects.filter(form="record").count() == 6


def test_the_same_number_in_another_unit_is_another_order(systems):
    order_kind()
    order_kind("freight_misrate")
    read(systems, stuck(), sales_record())
    read(systems, stuck(code="freight_misrate", business_unit="US"), sales_record())

    assert set(Entity.objects.filter(type="order").values_list("business_unit", flat=True)) == {"EU", "US"}
    assert set(Alias.objects.values_list("state", flat=True)) == {"standing"}


def test_a_link_to_a_known_name_leads_to_the_entity_behind_it(systems):
    order_kind()
    read(systems, stuck(), sales_record())

    read(systems, stuck(id="again", entity_key="SO-697"), cases=(case_record(SF_ORDER),))

    assert Entity.objects.filter(type="order").count() == 1
    assert Link.objects.get(source__type="case").target.label == "SO-697"


def test_a_kind_may_only_name_records_that_it_reads():
    with pytest.raises(ValidationError, match="elsewhere is not known here"):
        KindDefinition.model_validate(definition(evidence=EVIDENCE, entities=[{**ENTITIES[0], "record": "elsewhere"}]))


# --- what is disputed -------------------------------------------------------------------------------


def test_a_name_that_two_entities_claim_is_disputed_and_leads_nowhere(systems):
    disputed(systems)

    assert claim("SO-697").state == "standing"
    assert claim("SO-698").state == "disputed"
    assert not Alias.objects.filter(name=SF_ORDER.casefold(), resolves=True).exists()
    entries = Entry.objects.filter(verb="alias.disputed", body__contains="order SO-698")
    assert any(SF_ORDER in entry.body for entry in entries)


def test_a_name_that_is_the_key_of_another_entity_is_disputed(systems):
    order_kind()
    read(systems, stuck(entity_key="00000101"))

    read(systems, stuck(), sales_record())

    assert Alias.objects.get(field="OrderNumber").state == "disputed"


def test_an_entity_that_comes_to_be_under_a_known_name_makes_it_disputed(systems):
    order_kind()
    read(systems, stuck(), sales_record())
    assert Alias.objects.get(field="OrderNumber").resolves

    systems.hold("order.find", order_record("00000101"))
    collect(stuck(entity_key="SO-700"), actor="system:loop")

    alias = Alias.objects.get(field="OrderNumber")
    assert (alias.state, alias.resolves) == ("disputed", False)


def test_a_third_claim_on_a_disputed_name_is_disputed_too(systems):
    disputed(systems)

    read(systems, stuck(entity_key="SO-699"), sales_record("SO-699"))

    assert claim("SO-699").state == "disputed"


def test_a_person_decides_and_the_name_leads_to_the_chosen_one(systems, operator):
    _, other = disputed(systems)

    entities.decide(claim("SO-698"), other, holds=True, by=operator, reason="The CRM was corrected.")

    assert (claim("SO-697").state, claim("SO-697").resolves) == ("rejected", False)
    assert (claim("SO-698").state, claim("SO-698").resolves) == ("standing", True)
    assert Entry.objects.get(verb="alias.confirmed").reason == "The CRM was corrected."


def test_a_rejected_claim_stays_rejected_when_the_record_says_it_again(systems, operator):
    _, other = disputed(systems)
    entities.decide(claim("SO-698"), other, holds=False, by=operator, reason="A typing error.")

    read(systems, other, sales_record("SO-698"))

    assert claim("SO-698").state == "rejected"
    assert claim("SO-697").resolves


def test_a_decision_is_taken_back_exactly(systems, operator):
    _, other = disputed(systems)
    before = list(Alias.objects.order_by("pk").values_list("pk", "state", "resolves"))
    done = entities.decide(claim("SO-698"), other, holds=True, by=operator, reason="The CRM was corrected.")

    entities.revert(done, other, by=operator, reason="It was not.")

    assert list(Alias.objects.order_by("pk").values_list("pk", "state", "resolves")) == before
    with pytest.raises(LostRace):
        entities.revert(done, other, by=operator, reason="Twice.")


def test_deciding_takes_a_role_a_reason_and_a_dispute(systems, operator, auditor):
    _, other = disputed(systems)

    with pytest.raises(NotAllowed):
        entities.decide(claim("SO-698"), other, holds=True, by=auditor, reason="So.")
    with pytest.raises(Invalid):
        entities.decide(claim("SO-698"), other, holds=True, by=operator, reason=" ")
    entities.decide(claim("SO-698"), other, holds=True, by=operator, reason="So.")
    with pytest.raises(IllegalMove):
        entities.decide(claim("SO-697"), other, holds=True, by=operator, reason="No.")
    assert AliasDecision.objects.count() == 1


# --- who sees what ----------------------------------------------------------------------------------


def test_the_records_of_an_incident_show_the_subject_first_with_its_other_incidents(systems, operator):
    order_kind()
    order_kind("freight_misrate")
    one, other = stuck(), stuck(code="freight_misrate")
    read(systems, one, sales_record(), cases=(case_record(),))
    read(systems, other)

    known = records_of(one, operator)

    assert str(known.records[0].entity) == "order SO-697"
    assert known.records[0].subject
    assert known.records[0].others == [other]
    assert known.offers == []


def test_the_records_of_an_incident_take_few_queries(systems, operator, django_assert_max_num_queries):
    order_kind()
    order_kind("freight_misrate")
    one, other = stuck(), stuck(code="freight_misrate")
    read(systems, one, sales_record(), cases=(case_record(),))
    read(systems, other)
    records_of(one, operator)

    with django_assert_max_num_queries(7):
        known = records_of(one, operator)

    assert len(known.records) > 1
    with django_assert_max_num_queries(0):
        assert [str(each.alias.evidence.url) for record in known.records for each in record.names]
        assert [link.target.label for record in known.records for link in record.links]
        assert [str(incident) + incident.title for incident in known.records[0].others]


def test_a_search_for_any_known_id_finds_the_incident(systems, operator, nobody):
    order_kind()
    one = stuck()
    read(systems, one, sales_record())

    for text in (SF_ORDER, SF_ORDER.lower(), "demf/SO-697", "00000101"):
        assert list(Incident.objects.filter(speaking_of(text, operator))) == [one]
    assert list(Incident.objects.filter(speaking_of("SO-1", operator))) == []
    assert list(Incident.objects.filter(speaking_of(SF_ORDER, nobody))) == []


def test_entities_of_another_units_incidents_are_not_there(systems, viewer):
    order_kind()
    read(systems, stuck(business_unit="US", region="US"), sales_record())

    assert not called(viewer, name=SF_ORDER).exists()


def test_a_name_that_only_another_regions_record_told_is_not_shown(systems, operator):
    from tests.factories import make_user

    order_kind()
    order_kind("freight_misrate")
    hidden, open_ = stuck(region="FR"), stuck(code="freight_misrate")
    read(systems, hidden, sales_record())
    read(systems, open_)
    reader = make_user("reader", units=["EU"], regions=["DE"])

    shown = {one.alias.value for record in records_of(open_, reader).records for one in record.names}

    assert SF_ORDER not in shown
    assert not called(reader, name=SF_ORDER).exists()
    assert called(operator, name=SF_ORDER).exists()


# --- names that were learned late -------------------------------------------------------------------


def test_a_name_learned_later_offers_a_merge_and_renames_nothing(systems, operator):
    order_kind()
    early, main = stuck(entity_key=SF_ORDER), stuck()
    before = early.fingerprint

    read(systems, main, sales_record())

    early.refresh_from_db()
    assert early.fingerprint == before
    subject = subject_of(main)
    assert subject is not None
    assert offers_of(main, subject, operator) == [early]
    assert subject_of(early) == subject
    assert offers_of(early, subject, operator) == [main]


def test_what_was_taken_apart_is_not_offered_again(systems, operator):
    from incidents import actions

    order_kind()
    early, main = stuck(entity_key=SF_ORDER), stuck()
    read(systems, main, sales_record())
    merge = actions.merge(main, early, by=operator, reason="The same order.")
    assert records_of(main, operator).offers == []
    actions.unmerge(merge, by=operator, reason="Two problems after all.")

    main.refresh_from_db()
    assert records_of(main, operator).offers == []


def test_the_order_is_what_the_first_record_wrote(systems):
    order_kind()
    systems.hold("order.find", order_record("so-697"))

    read(systems, stuck(entity_key="so-697"))

    assert Entity.objects.get(type="order").label == "so-697"
