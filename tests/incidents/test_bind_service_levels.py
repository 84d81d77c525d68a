"""Service levels per business unit and region: the one bound most closely applies, and says why."""

from datetime import timedelta
from typing import Any

import pytest

from audit.errors import Invalid
from audit.models import Entry
from incidents import manifests, sla
from incidents.models import Incident, SlaClock, SlaPolicy
from incidents.triage import triage
from tests.incidents.factories import NOON, make_calendar, make_incident, make_kind, make_policy

pytestmark = pytest.mark.django_db
TARGETS = {"medium": {"acknowledge": 10, "resolve": 60}}


def clock_of(incident: Incident) -> SlaClock:
    return SlaClock.objects.select_related("policy", "calendar").get(incident=incident)


def policies(*given: dict[str, Any]) -> None:
    """Policies with these slugs and bindings, all in one calendar."""
    calendar = make_calendar()
    for one in given:
        make_policy(calendar=calendar, label=str(one["slug"]).capitalize(), **one)


def test_the_policy_bound_most_closely_wins_whatever_its_priority():
    policies(
        {"slug": "anywhere", "priority": 1},
        {"slug": "unit", "business_units": ["EU", "UK"], "priority": 2},
        {"slug": "region", "regions": ["DE"], "priority": 3},
        {"slug": "both", "business_units": ["EU"], "regions": ["DE"], "priority": 900},
        {"slug": "elsewhere", "business_units": ["US"], "regions": ["DE"], "priority": 0},
    )

    chosen = {}
    for unit, region in (("EU", "DE"), ("EU", "FR"), ("US", "NY"), ("XX", "DE")):
        incident = make_incident(business_unit=unit, region=region, entity_key=f"{unit}-{region}")
        chosen[unit, region] = clock_of(incident).policy.slug

    assert chosen == {("EU", "DE"): "both", ("EU", "FR"): "unit", ("US", "NY"): "anywhere", ("XX", "DE"): "region"}


def test_among_equals_the_lowest_priority_wins_then_the_slug():
    policies(
        {"slug": "c-later", "business_units": ["EU"], "priority": 20},
        {"slug": "b-same", "business_units": ["EU"], "priority": 10},
        {"slug": "a-same", "business_units": ["EU"], "priority": 10},
    )

    clock = clock_of(make_incident())

    assert clock.policy.slug == "a-same"
    assert clock.because == ("It is bound to unit EU, and its priority 10 goes first among those that are bound alike.")


def test_the_clock_says_what_the_policy_was_closer_than():
    policies({"slug": "anywhere"}, {"slug": "europe", "business_units": ["EU"], "regions": ["DE"]})

    assert clock_of(make_incident()).because == "It is bound to unit EU and region DE, closer than Anywhere."


def test_an_incident_without_a_unit_is_covered_by_unbound_policies_only():
    policies({"slug": "europe", "business_units": ["EU"]})

    assert not SlaClock.objects.filter(incident=make_incident(business_unit="", region="")).exists()


def test_a_running_clock_keeps_its_policy_and_calendar():
    make_kind()
    policies({"slug": "anywhere"})
    incident = make_incident()
    before = clock_of(incident)

    policy = SlaPolicy.objects.get()
    policy.calendar = make_calendar("other", hours={"sun": [["09:00", "10:00"]]})
    policy.save()
    make_policy("europe", calendar=policy.calendar, business_units=["EU"], targets=TARGETS)
    triage(incident, actor="system:loop")
    sla.retime(incident, "high")

    after = clock_of(incident)
    assert (after.policy, after.calendar, after.resolve_due) == (before.policy, before.calendar, before.resolve_due)
    assert after.calendar.slug == "office"


def test_a_clock_from_before_bindings_counts_in_its_policys_calendar():
    policies({"slug": "anywhere"})
    incident = make_incident()
    SlaClock.objects.update(calendar=None, because="")

    assert sla.hours_of(clock_of(incident)).slug == "office"


def test_a_unit_that_only_the_records_know_chooses_anew():
    make_kind(business_unit="'US'")
    policies({"slug": "anywhere"}, {"slug": "us", "business_units": ["US"], "targets": TARGETS})
    incident = make_incident(business_unit="", region="NY")
    assert clock_of(incident).policy.slug == "anywhere"

    triage(incident, actor="system:loop")

    clock = clock_of(incident)
    assert clock.policy.slug == "us"
    due = sla.targets(clock.policy, "medium", clock.started_at).resolve
    assert clock.resolve_due == due
    assert Entry.objects.get(verb="sla.chosen").reason == clock.because


def test_a_unit_that_only_the_records_know_starts_a_clock_where_none_ran():
    make_kind(business_unit="'US'")
    policies({"slug": "us", "business_units": ["US"]})
    incident = make_incident(business_unit="", region="")

    triage(incident, actor="system:loop")

    assert clock_of(incident).started_at == Incident.objects.get(pk=incident.pk).opened_at


def test_a_clock_that_has_warned_keeps_the_policy_that_it_warned_by():
    make_kind(business_unit="'US'")
    policies({"slug": "anywhere"}, {"slug": "us", "business_units": ["US"]})
    incident = make_incident(business_unit="", region="")
    SlaClock.objects.update(warned_at=NOON)

    triage(incident, actor="system:loop")

    assert clock_of(incident).policy.slug == "anywhere"


def test_each_unit_counts_in_its_own_office_hours():
    always = make_calendar("berlin")
    new_york = make_calendar("new-york", time_zone="America/New_York")
    policy = make_policy(calendar=always, targets=TARGETS)
    bound = make_policy("us", calendar=new_york, targets=TARGETS, business_units=["US"])

    evening = NOON.replace(hour=18)  # closed in Berlin, one o'clock in New York

    assert sla.targets(bound, "medium", evening).resolve == evening + timedelta(hours=1)
    assert sla.targets(policy, "medium", evening).resolve == NOON.replace(day=4, hour=9)


def test_the_api_names_policy_calendar_and_reason(api, operator):
    policies({"slug": "europe", "business_units": ["EU"]})
    incident = make_incident()

    told = api(operator).get(f"/api/v1/incidents/{incident.pk}/").json()["sla"]

    assert (told["policy"], told["calendar"]) == ("europe", "office")
    assert told["because"] == "It is bound to unit EU."


def test_a_document_binds_a_policy_and_may_say_so_again():
    make_calendar()
    document = manifests.SlaDocument.model_validate(
        {
            "kind": "sla_policy",
            "slug": "us",
            "label": "US",
            "calendar": "office",
            "targets": TARGETS,
            "business_units": ["US"],
            "regions": ["NY"],
        }
    )
    kind = manifests.DOCUMENTS["sla_policy"]

    assert kind.apply(document, "test")
    assert not kind.apply(document, "test")
    policy = SlaPolicy.objects.get()
    assert (policy.business_units, policy.regions) == (["US"], ["NY"])


def test_a_queue_that_names_an_unknown_calendar_is_refused():
    document = manifests.QueueDocument.model_validate({"slug": "a", "label": "A", "calendar": "nowhere"})

    with pytest.raises(Invalid, match="no calendar"):
        manifests.DOCUMENTS["queue"].apply(document, "test")


def test_the_page_says_which_policy_and_calendar_and_why(client, operator):
    policies({"slug": "anywhere"}, {"slug": "europe", "business_units": ["EU"]})
    incident = make_incident()
    client.force_login(operator)

    page = client.get(incident.get_absolute_url()).content.decode()

    assert "It is bound to unit EU, closer than Anywhere. Counted in Office (Europe/Berlin)." in page
