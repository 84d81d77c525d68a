"""Budgets: a day's calls, tokens and money of a connection or a team, shared by all workers."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from audit.errors import Invalid
from audit.models import Entry
from connectors import gateway, registry
from connectors.base import Blocked, Unanswered
from connectors.door import budgeting, budgets, standing
from connectors.door import rules as door
from connectors.door.models import Budget, Gate, Notice, Spent
from connectors.door.purposes import Purpose
from connectors.kinds.openai.connector import OpenAIModel
from connectors.manifests import DOCUMENTS
from connectors.models import Call, Connection
from tests.connectors.at_door import side_by_side
from tests.connectors.factories import Played, make_crm, make_fo, make_model
from tests.connectors.modelled import Model
from tests.racing import together

ORDER = "/data/SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"
RELEASE = f"{ORDER}/Microsoft.Dynamics.DataEntities.ReleaseCreditHold"
ARGUMENTS = {"company": "demf", "order": "SO-1"}
ROW = {
    "dataAreaId": "demf", "SalesOrderNumber": "SO-1", "CreditHold": "Yes", "CreditHoldReason": "",
    "OrderTotalAmount": 10, "CurrencyCode": "EUR", "@odata.etag": 'W/"1"',
}  # fmt: skip
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
KEY = "b" * 40
PROMPT = {"messages": [{"role": "user", "content": "Which one?"}], "max_tokens": 50}


@pytest.fixture
def fo(db: None, played: Played) -> Connection:
    played.on("GET", ORDER, httpx.Response(200, json=ROW))
    played.on("POST", RELEASE, httpx.Response(200, json={"value": "No"}))
    return make_fo()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the time that budgets go by."""

    def set_to(moment: datetime) -> None:
        monkeypatch.setattr("connectors.door.standing.clock", lambda _: moment)
        monkeypatch.setattr("connectors.door.budgets.db_now", lambda: moment)

    set_to(NOON)
    return set_to


def read(connection: Connection) -> gateway.Answer:
    return gateway.call(connection, "order.get", ARGUMENTS, actor="system:loop")


def release(connection: Connection, **options: Any) -> gateway.Answer:
    changes = {"actor": "system:loop", "effect_key": KEY, **options}
    return gateway.call(connection, "hold.release", {**ARGUMENTS, "reason": "Paid"}, **changes)


def spent(connection: Connection) -> tuple[int, int, int]:
    row = Spent.objects.get(budget__connection=connection)
    return row.calls, row.tokens, row.money


def test_a_spent_budget_lets_nothing_out_and_says_what_to_do(fo: Connection, played: Played, clock: Any) -> None:
    Budget.objects.create(connection=fo, calls=2, time_zone="Europe/Berlin")
    read(fo)
    read(fo)
    asked = len(played.requests)

    with pytest.raises(Blocked) as refused:
        read(fo)

    assert refused.value.code == "budget"
    assert refused.value.retryable
    assert refused.value.retry_after == budgets.LONGEST_WAIT
    assert "2 of 2 calls" in str(refused.value)
    assert "00:00 (Europe/Berlin)" in str(refused.value)
    assert len(played.requests) == asked
    assert spent(fo)[0] == 2
    assert Call.objects.order_by("-id").values_list("outcome", flat=True)[0] == "blocked"


def test_it_is_entered_in_the_ledger_once_a_day_and_each_refusal_in_the_log(fo: Connection, clock: Any) -> None:
    Budget.objects.create(connection=fo, calls=1)
    read(fo)
    for _ in range(3):
        with pytest.raises(Blocked):
            read(fo)

    entry = Entry.objects.get(verb="call.refused")
    assert json.loads(entry.body)["data"] == {"name": "fo", "code": "budget", "about": "calls"}
    assert Notice.objects.get().scope == "fo"
    assert Call.objects.filter(outcome="blocked").count() == 3


def test_the_day_ends_where_the_budget_says(fo: Connection, clock: Any) -> None:
    Budget.objects.create(connection=fo, calls=1, time_zone="Europe/Berlin")
    clock(datetime(2026, 3, 10, 22, 59, tzinfo=UTC))  # 23:59 in Berlin
    read(fo)
    with pytest.raises(Blocked) as refused:
        read(fo)
    assert refused.value.retry_after == pytest.approx(60.0)

    clock(datetime(2026, 3, 10, 23, 0, tzinfo=UTC))  # midnight in Berlin, not in UTC

    read(fo)
    assert sorted(Spent.objects.values_list("day", "calls")) == [(date(2026, 3, 10), 1), (date(2026, 3, 11), 1)]


def test_a_day_on_which_clocks_change_has_its_own_length() -> None:
    budget = Budget(time_zone="Europe/Berlin")
    before = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)  # midnight in Berlin

    assert budgets.next_day(budget, before) - before == timedelta(hours=23)


def test_a_team_s_budget_is_drawn_on_by_all_its_connections(fo: Connection, played: Played, clock: Any) -> None:
    other = make_fo(slug="fo2", team="finance")
    Connection.objects.filter(pk=fo.pk).update(team="finance")
    Budget.objects.create(team="finance", calls=2)
    read(fo)
    read(other)

    for one in (fo, other):
        with pytest.raises(Blocked, match="team finance"):
            read(one)
    assert Notice.objects.filter(scope="team finance").count() == 1


def test_what_one_budget_refuses_the_other_gets_back(fo: Connection, clock: Any) -> None:
    Connection.objects.filter(pk=fo.pk).update(team="finance")
    own = Budget.objects.create(connection=fo, calls=10)
    Budget.objects.create(team="finance", calls=1)
    read(fo)
    with pytest.raises(Blocked, match="team finance"):
        read(fo)

    assert own.days.get().calls == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_race_for_the_last_call_and_one_gets_it(played: Played) -> None:
    played.on("GET", ORDER, httpx.Response(200, json=ROW))
    fo = make_fo()
    Budget.objects.create(connection=fo, calls=4)
    for _ in range(3):
        read(fo)

    outcomes = side_by_side(4, lambda: read(fo))

    assert outcomes == ["budget", "budget", "budget", "ok"]
    assert spent(fo)[0] == 4
    assert sum(request.url.path == ORDER for request in played.calls) == 4


@pytest.mark.django_db(transaction=True)
def test_the_first_calls_of_a_day_begin_it_once(played: Played) -> None:
    played.on("GET", ORDER, httpx.Response(200, json=ROW))
    fo = make_fo()
    Budget.objects.create(connection=fo, calls=100)

    together(*[lambda: read(fo)] * 3)

    assert spent(fo)[0] == 3


def test_what_became_of_an_effect_is_looked_up_though_the_budget_is_spent(fo: Connection, clock: Any) -> None:
    Budget.objects.create(connection=fo, calls=1)
    read(fo)
    arguments = {**ARGUMENTS, "reason": "Paid"}

    gateway.find(fo, "hold.release", arguments, effect_key=KEY, actor="system:loop")
    gateway.observe(fo, "hold.release", arguments, actor="system:loop", purpose=Purpose.SETTLE)
    release(fo, purpose=Purpose.UNDO)

    assert spent(fo)[0] == 4, "it is counted all the same"
    with pytest.raises(Blocked, match="budget"):
        gateway.observe(fo, "hold.release", arguments, actor="system:loop")
    with pytest.raises(Blocked, match="budget"):
        release(fo)


def test_tokens_are_counted_from_the_answer(db: None, model: Model, clock: Any) -> None:
    ai = make_model(price_tokens="2", price_call="0.01", price_currency="EUR")
    Budget.objects.create(connection=ai, tokens=10_000, money=Decimal("1.00"), currency="EUR")

    call = gateway.call(ai, "chat.complete", PROMPT, actor="system:loop").call

    assert call.tokens > 0
    assert spent(ai) == (1, call.tokens, 10_000 + 2 * call.tokens * budgets.MILLION // 1000)


def test_what_a_call_may_cost_is_taken_before_it_is_sent(
    db: None, model: Model, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ai = make_model()
    Budget.objects.create(connection=ai, tokens=60)
    taken: list[int] = []
    complete = OpenAIModel._complete

    def look(self: OpenAIModel, arguments: Any) -> Any:
        taken.append(Spent.objects.get().tokens)
        with pytest.raises(Blocked, match="60 tokens"):
            gateway.call(ai, "chat.complete", PROMPT, actor="system:loop")
        return complete(self, arguments)

    monkeypatch.setattr(OpenAIModel, "_complete", look)

    call = gateway.call(ai, "chat.complete", PROMPT, actor="system:loop").call

    assert taken[0] > 60, "one call may pass the limit, and a second one beside it may not"
    assert spent(ai) == (1, call.tokens, 0)


def test_a_call_without_an_answer_counts_as_foreseen(fo: Connection, clock: Any) -> None:
    budget = Budget.objects.create(connection=fo, tokens=1000)
    row = Spent.objects.create(budget=budget, day=NOON.date(), tokens=80)
    taken = budgets.Taken((row.pk,), 80)

    connector = registry.connector_for(fo)
    asked = door.Asked("chat.complete", "read", "system:loop")
    door.settle(asked, door.fresh(fo.pk), connector, door.Passed(taken), Unanswered("no answer"))
    assert spent(fo)[1] == 80

    door.settle(asked, door.fresh(fo.pk), connector, door.Passed(taken), None)
    assert spent(fo)[1] == 0


def test_money_without_prices_in_its_currency_lets_nothing_out(fo: Connection, played: Played, clock: Any) -> None:
    Budget.objects.create(connection=fo, money=Decimal("5.00"), currency="USD")

    with pytest.raises(Blocked, match="no prices in it"):
        read(fo)

    assert played.requests == []


def test_an_unknown_time_zone_lets_nothing_out(fo: Connection, played: Played, clock: Any) -> None:
    Budget.objects.create(connection=fo, calls=5, time_zone="Atlantis/Capital")

    with pytest.raises(Blocked, match="time zone"):
        read(fo)

    assert played.requests == []
    assert budgets.today()[0].used == 0


def test_a_spike_is_told_once_and_holds_nobody(fo: Connection, clock: Any) -> None:
    budget = Budget.objects.create(connection=fo, calls=1000, spike=3.0)
    for back in range(1, 5):
        Spent.objects.create(budget=budget, day=NOON.date() - timedelta(days=7 * back), calls=10)
    read(fo)
    row = Spent.objects.get(day=NOON.date())
    assert row.unusual == {"calls": 30}
    Spent.objects.filter(pk=row.pk).update(calls=28)

    read(fo)
    assert not Notice.objects.exists()
    read(fo)
    read(fo)

    notice = Notice.objects.get()
    assert (notice.code, notice.about) == ("spike", "calls")
    assert "usual on this weekday are 10 calls" in notice.message
    assert Entry.objects.filter(verb="budget.spike").count() == 1


def test_too_few_weeks_tell_no_spike(fo: Connection, clock: Any) -> None:
    budget = Budget.objects.create(connection=fo, spike=2.0)
    for back in (1, 2):
        Spent.objects.create(budget=budget, day=NOON.date() - timedelta(days=7 * back), calls=10)

    read(fo)

    assert Spent.objects.get(day=NOON.date()).unusual == {}


def test_no_budget_costs_no_statement(fo: Connection) -> None:
    read(fo)
    before = _statements(fo)
    Budget.objects.create(connection=fo, calls=100)
    read(fo)

    assert before == 3
    # PostgreSQL takes everything with the row of the call.
    several = database.vendor != "postgresql"
    assert _statements(fo) == before + 2 * several
    Connection.objects.filter(pk=fo.pk).update(rate_calls=6000, rate_seconds=300)
    assert _statements(fo) == before + 3 * several


def test_what_is_spent_is_found_on_whichever_day_it_is_where_the_budget_stands(fo: Connection) -> None:
    Connection.objects.filter(pk=fo.pk).update(team="finance")
    budget = Budget.objects.create(connection=fo, money=Decimal("12.50"), currency="EUR", calls=9, time_zone="UTC")
    Budget.objects.create(team="finance", calls=9, time_zone="Pacific/Kiritimati")
    Budget.objects.create(team="sales", calls=9)
    Connection.objects.filter(pk=fo.pk).update(price_call="0.25", price_currency="EUR")
    read(fo)

    found = standing.look(door.fresh(fo.pk))

    assert [(str(one), one.money, one.calls) for one in found.budgets] == [("fo", Decimal("12.50"), 9),
                                                                           ("team finance", None, 9)]  # fmt: skip
    assert found.days[budget.pk, found.now.date()].money == 250_000
    assert [row.calls for row in found.days.values()] == [1, 1]
    assert found.gate == Gate.objects.get()
    assert abs(found.now - datetime.now(UTC)) < timedelta(minutes=5)


def _statements(connection: Connection) -> int:
    with CaptureQueriesContext(database) as captured:
        read(connection)
    return sum(not query["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")) for query in captured)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"team": ""}, "team"), ({"calls": None}, "calls"), ({"money": Decimal(1)}, "currency"),
        ({"money": Decimal(1), "currency": "eur"}, "currency"), ({"money": Decimal(1), "currency": "EUR"}, "money"),
        ({"time_zone": "Nowhere"}, "time_zone"),
    ],
)  # fmt: skip
def test_a_budget_that_cannot_be_meant_is_refused(db: None, changes: dict[str, Any], field: str) -> None:
    make_fo(team="finance")
    columns = {"team": "finance", "calls": 5, "time_zone": "UTC", **changes}
    team = columns.pop("team")

    with pytest.raises(Invalid) as refused:
        budgeting.set_budget(None, team, actor="automation", **columns)

    assert field in refused.value.errors


def test_a_file_sets_a_budget_and_twice_is_as_good_as_once(db: None) -> None:
    crm = make_crm()
    kind = DOCUMENTS["budget"]
    document = kind.schema.model_validate(
        {"kind": "budget", "connection": "crm", "calls": 500, "time_zone": "Europe/Berlin"}
    )

    assert {line.field for line in kind.plan(document)} >= {"calls", "time_zone"}
    assert kind.apply(document, "automation")
    assert not kind.apply(document, "automation")
    assert kind.plan(document) == []
    assert Budget.objects.get(connection=crm).calls == 500
    assert Entry.objects.filter(verb="budget.added").count() == 1
