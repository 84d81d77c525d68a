"""Incidents over HTTP: found by filters, put in order, paged without losing a row."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db.models import Q

from audit.clock import db_now
from incidents import contributions
from incidents.models import Escalation, Incident, SlaClock
from tests.factories import make_user
from tests.incidents.factories import later, make_incident, make_kind, make_policy, make_queue

pytestmark = pytest.mark.django_db
PATH = "/api/v1/incidents/"


def make_some(count: int, **columns) -> list[Incident]:
    rows = [make_incident(id=f"s-{n}", entity_key=f"CIV-{n + 1}", time=later(n)) for n in range(count)]
    Incident.objects.filter(pk__in=[row.pk for row in rows]).update(**columns) if columns else None
    return rows


def put(incident: Incident, **columns) -> Incident:
    Incident.objects.filter(pk=incident.pk).update(**columns)
    return incident


def found(client, query: str = "") -> list[int]:
    answer = client.get(f"{PATH}?{query}")
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_a_row_says_what_the_contract_says(api, operator):
    make_kind()
    policy = make_policy()
    incident = put(make_incident(), revenue_at_risk=Decimal("99.5"), assignee=operator, queue=make_queue())

    row = api(operator).get(PATH).json()["results"][0]

    assert row["entity"] == {"type": "invoice", "key": "CIV-000697"}
    assert row["revenue_at_risk"] == {"amount": "99.50", "currency": "EUR"}
    assert row["amount"] == {"amount": "1234.50", "currency": "EUR"}
    assert (row["id"], row["status"], row["severity"], row["domain"]) == (incident.pk, "new", "medium", "billing")
    assert (row["business_unit"], row["region"], row["signals_count"]) == ("EU", "DE", 1)
    assert (row["queue"], row["assignee"], row["version"]) == ("billing", "operator", 1)
    assert (row["sla"]["policy"], row["sla"]["state"], row["sla"]["breached"]) == (policy.slug, "ok", False)
    assert row["sla"]["resolve_due"] is not None
    assert row["first_signal_at"] == "2026-11-03T12:00:00Z"


def test_what_is_not_known_is_null(api, operator):
    make_incident(amount=None, currency="")

    row = api(operator).get(PATH).json()["results"][0]

    assert [row[name] for name in ("amount", "revenue_at_risk", "queue", "assignee", "sla", "resolved_at")] == [
        None
    ] * 6


def test_each_filter_takes_one_value_or_several(api, operator):
    one, two, three = make_some(3)
    put(one, status="on_hold", severity="high", domain="billing", business_unit="EU", region="DE")
    put(two, status="dismissed", severity="low", domain="freight", business_unit="US", region="US-EAST")
    put(three, status="new", severity="low", domain="credit", business_unit="US", region="US-WEST", code="other")
    put(two, queue=make_queue("freight"))
    client = api(operator)

    assert found(client, "status=on_hold") == [one.pk]
    assert found(client, "status=on_hold,dismissed") == [two.pk, one.pk]
    assert found(client, "severity=low&status=new") == [three.pk]
    assert found(client, "domain=freight,credit") == [three.pk, two.pk]
    assert found(client, "business_unit=EU") == [one.pk]
    assert found(client, "region=DE,US-WEST") == [three.pk, one.pk]
    assert found(client, "entity_key=CIV-1,CIV-3") == [three.pk, one.pk]
    assert found(client, "code=other") == [three.pk]
    assert found(client, "queue=freight") == [two.pk]
    assert found(client, "domain=nothing") == []


def test_by_whom_it_is_worked_on(api, operator, approver):
    one, two, three = make_some(3)
    put(one, assignee=operator)
    put(two, assignee=approver)
    client = api(operator)

    assert found(client, "assignee=me") == [one.pk]
    assert found(client, "assignee=approver") == [two.pk]
    assert found(client, "assignee=nobody") == [three.pk]
    assert found(client, "assignee=nobody,me") == [three.pk, one.pk]


def clock(incident: Incident, **columns) -> None:
    SlaClock.objects.filter(incident=incident).update(**columns)


def test_by_how_its_clock_stands(api, operator):
    make_policy()
    fine, warned, late, noted, unseen, in_time, too_late, resting = make_some(8)
    now = db_now()
    clock(warned, warned_at=now)
    clock(late, resolve_due=now)
    clock(noted, breached_at=now)
    clock(unseen, acknowledge_due=now)
    clock(in_time, stopped_at=now)
    clock(too_late, stopped_at=now, resolve_due=later(-9_999_999))
    clock(resting, paused_at=now, warn_at=later(-9_999_999))
    client = api(operator)

    assert found(client, "sla=breached") == [too_late.pk, unseen.pk, noted.pk, late.pk]
    assert found(client, "sla=warning") == [warned.pk]
    assert found(client, "sla=ok") == [resting.pk, in_time.pk, fine.pk]
    assert found(client, "sla=ok,warning,none") == [resting.pk, in_time.pk, warned.pk, fine.pk]
    assert found(client, "sla=paused") == [resting.pk]
    assert found(client, "sla=met") == [in_time.pk]
    assert warned.pk in found(client, "sla=running")


def test_by_having_no_clock(api, operator):
    older, newer = make_some(2)
    make_policy()
    timed = make_incident(id="timed", entity_key="CIV-9", time=later(9))
    client = api(operator)

    assert found(client, "sla=none") == [newer.pk, older.pk]
    assert found(client, "sla=none&ordering=-due") == [newer.pk, older.pk]
    assert found(client, "sla=none,ok") == [timed.pk, newer.pk, older.pk]
    assert found(client, "sla=ok") == [timed.pk]


def test_by_words_in_the_title_the_entity_or_the_number(api, operator):
    make_kind()
    one, two = make_some(2)
    client = api(operator)

    assert found(client, "search=invoice+civ-2") == [two.pk]
    assert found(client, f"search=INC-{one.pk}") == [one.pk]
    assert found(client, "search=freight") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=lost", "status"),
        ("status=new,lost", "status"),
        ("severity=huge", "severity"),
        ("sla=soon", "sla"),
        ("needs=you", "needs"),
        ("ordering=colour", "ordering"),
        ("ordering=--id", "ordering"),
        ("cursor=abc", "cursor"),
        ("cursor=eyJ2IjogIngiLCAiaWQiOiAxLCAiYiI6IGZhbHNlfQ", "cursor"),
        ("cursor=eyJ2IjogIjEiLCAiaWQiOiAxMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAsICJiIjogZmFsc2V9", "cursor"),
    ],
)
def test_a_filter_that_means_nothing_is_400(api, operator, query, field):
    answer = api(operator).get(f"{PATH}?{query}")

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]


# --- Order and pages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ordering", ["id", "severity", "opened_at", "last_signal_at", "revenue_at_risk", "due", "", "-id"]
)
@pytest.mark.parametrize("sign", ["", "-"])
def test_every_order_shows_each_row_once_forth_and_back(api, operator, ordering, sign):
    if ordering.startswith("-") or not ordering:
        sign = ""
    rows = make_some(7)
    make_policy()
    put(rows[1], severity_rank=0, revenue_at_risk=Decimal("10.10"))
    put(rows[3], severity_rank=0, revenue_at_risk=Decimal("10.10"), opened_at=later(-5))
    put(rows[4], revenue_at_risk=Decimal("2.5"))
    extra = make_incident(id="with-clock", entity_key="CIV-99")
    client = api(operator)

    page = client.get(f"{PATH}?page_size=2&ordering={sign}{ordering}").json()
    pages = [page]
    while page["next"]:
        page = client.get(page["next"]).json()
        pages.append(page)
    seen = [[row["id"] for row in one["results"]] for one in pages]
    back = [seen[-1]]
    while page["previous"]:
        page = client.get(page["previous"]).json()
        back.append([row["id"] for row in page["results"]])

    assert sorted(pk for page in seen for pk in page) == [row.pk for row in [*rows, extra]]
    assert back[::-1] == seen
    assert pages[0]["previous"] is None


def test_the_largest_come_first_with_a_minus(api, operator):
    low, high, dear = make_some(3)
    put(low, severity_rank=3)
    put(high, severity_rank=0)
    put(dear, revenue_at_risk=Decimal(5000))
    client = api(operator)

    assert found(client, "ordering=-severity") == [high.pk, dear.pk, low.pk]
    assert found(client, "ordering=-revenue_at_risk")[0] == dear.pk
    assert found(client, "ordering=last_signal_at") == [low.pk, high.pk, dear.pk]


def test_a_row_that_arrives_meanwhile_moves_no_other(api, operator):
    rows = make_some(4)
    client = api(operator)
    first = client.get(f"{PATH}?page_size=2").json()

    make_incident(id="new", entity_key="CIV-77")
    second = client.get(first["next"]).json()

    assert [row["id"] for row in second["results"]] == [rows[1].pk, rows[0].pk]


def test_the_list_takes_the_same_number_of_statements_however_long(
    api, operator, django_assert_num_queries, django_assert_max_num_queries
):
    make_policy()
    make_some(2, queue=make_queue())
    client = api(operator)
    client.get(PATH)  # the first call notes that the token is in use
    with django_assert_max_num_queries(5) as few:
        client.get(PATH)

    make_some(40, assignee=operator)
    with django_assert_num_queries(len(few)):
        assert len(found(client, "page_size=100")) == 40


# --- What needs me ---------------------------------------------------------------------------------


def test_what_needs_an_operator(api, operator, viewer):
    nobodys, mine, anothers, running = make_some(4)
    put(nobodys, status="needs_operator")
    put(mine, status="needs_operator", assignee=operator)
    put(anothers, status="needs_operator", assignee=viewer)
    put(running, status="triaged")

    assert found(api(operator), "needs=me") == [mine.pk, nobodys.pk]
    assert found(api(viewer), "needs=me") == []


def test_an_escalation_needs_those_whose_role_it_names(api, approver, operator):
    one, _ = make_some(2, status="triaged")
    told = Escalation.objects.create(incident=one, level=1, role="approver", justification="Late.", created_at=db_now())

    assert found(api(approver), "needs=me") == [one.pk]
    assert found(api(operator), "needs=me") == []
    told.acknowledged_at = db_now()
    told.save()
    assert found(api(approver), "needs=me") == []


def test_the_floors_above_say_what_waits_for_them(api, approver, monkeypatch):
    one, _ = make_some(2, status="awaiting_approval")

    def waiting(user: User) -> Q:
        return Q(pk=one.pk) if user == approver else Q(pk__in=[])

    monkeypatch.setitem(contributions._waiting, "test", waiting)

    assert found(api(approver), "needs=me") == [one.pk]


# --- Who sees what ---------------------------------------------------------------------------------


def test_only_incidents_of_the_own_units_are_listed(api, viewer, nobody):
    mine = make_incident(id="a", entity_key="CIV-1")
    make_incident(id="b", entity_key="CIV-2", business_unit="US", region="US-EAST")
    make_incident(id="c", entity_key="CIV-3", business_unit="", region="")

    assert found(api(viewer)) == [mine.pk]
    assert found(api(nobody)) == []
    assert api().get(PATH).status_code == 401


def test_a_token_for_signals_reads_no_incidents(api):
    client = api(make_user("program", role="integration"), scopes=["signals:write"])

    assert client.get(PATH).status_code == 403
