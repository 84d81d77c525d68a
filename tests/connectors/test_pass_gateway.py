"""The one door: our own rules first, a row before the socket opens, and pauses that all workers share."""

import threading
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connection as database
from django.db import transaction

from audit.clock import db_now
from connectors import actions, gateway
from connectors.base import Blocked, RateLimited, Unanswered, Unreachable
from connectors.models import Call, Connection
from tests.connectors.factories import SECRET, Played, make_crm, make_fo

KEY = "a" * 40
ORDER = "/data/SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"
RELEASE = f"{ORDER}/Microsoft.Dynamics.DataEntities.ReleaseCreditHold"
ARGUMENTS = {"company": "demf", "order": "SO-1"}
ROW = {
    "dataAreaId": "demf", "SalesOrderNumber": "SO-1", "CreditHold": "Yes", "CreditHoldReason": "",
    "OrderTotalAmount": 10, "CurrencyCode": "EUR", "@odata.etag": 'W/"1"',
}  # fmt: skip


@pytest.fixture
def fo(db: None, played: Played) -> Connection:
    played.on("POST", RELEASE, httpx.Response(200, json={"value": "No"}))
    played.on("GET", ORDER, httpx.Response(200, json=ROW))
    return make_fo()


def release(connection: Connection, **changes: Any) -> gateway.Answer:
    options = {"actor": "system:loop", "incident": 7, "effect_key": KEY, **changes}
    return gateway.call(connection, "hold.release", {**ARGUMENTS, "reason": "Paid"}, **options)


def test_a_write_leaves_a_row_with_everything_but_secrets(fo: Connection) -> None:
    answer = release(fo)

    row = Call.objects.get(pk=answer.call.pk)
    assert (row.direction, row.outcome, row.status, row.requests) == ("write", "ok", 200, 2)
    assert (row.actor, row.incident_id, row.effect_key) == ("system:loop", 7, KEY)
    assert row.arguments == {"company": "demf", "order": "SO-1", "reason": "Paid"}
    assert row.finished_at is not None
    assert row.finished_at >= row.started_at
    assert SECRET not in str(row.__dict__)


def test_the_row_stands_before_the_request_leaves(fo: Connection, played: Played) -> None:
    seen: list[str] = []

    def look(_: httpx.Request) -> httpx.Response:
        seen.append(Call.objects.latest("id").outcome)
        return httpx.Response(200, json={"value": "No"})

    played.on("POST", RELEASE, look)

    release(fo)

    assert seen == ["open"]


@pytest.mark.django_db(transaction=True)
def test_no_call_is_made_inside_a_transaction(played: Played) -> None:
    connection = make_fo()

    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        gateway.call(connection, "order.get", ARGUMENTS, actor="test")

    assert played.requests == []


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_dies_in_the_middle_leaves_its_open_row(played: Played) -> None:
    class Killed(BaseException):
        """As if the process had ended: nobody handles it."""

    connection = make_fo()

    def die(_: httpx.Request) -> httpx.Response:
        # Another connection sees the row: it is committed, not merely written.
        seen: list[int] = []

        def look() -> None:
            seen.append(Call.objects.count())
            database.close()

        worker = threading.Thread(target=look)
        worker.start()
        worker.join()
        assert seen == [1]
        raise Killed

    played.on("POST", RELEASE, die)

    with pytest.raises(Killed):
        release(connection)

    assert Call.objects.get().effect_key == KEY


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"enabled": False}, "disabled"),
        ({"operations": ["hold.place"]}, "operation"),
        ({"not_before": "soon"}, "not_before"),
        ({"kind": "withdrawn"}, "disabled"),
        ({"config": {"tenant": "x"}}, "disabled"),
        ({"secrets": {"client_secret": "v1.x.y.z"}}, "credentials"),
    ],
)
def test_our_own_rules_refuse_before_anything_is_sent(
    fo: Connection, played: Played, change: dict[str, Any], code: str
) -> None:
    if "not_before" in change:
        change = {"not_before": db_now() + timedelta(seconds=90)}
    Connection.objects.filter(pk=fo.pk).update(**change)

    with pytest.raises(Blocked) as blocked:
        release(fo)

    assert blocked.value.code == code
    assert played.requests == []
    assert Call.objects.latest("id").outcome == "blocked"


@pytest.mark.parametrize("key", ["", "k" * 65, "ключ"])
def test_a_write_without_a_usable_effect_key_is_refused(fo: Connection, played: Played, key: str) -> None:
    with pytest.raises(Blocked, match="effect key"):
        release(fo, effect_key=key)

    assert played.requests == []


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("hold.release", {"company": "demf"}),
        ("hold.release", {**ARGUMENTS, "surprise": 1}),
        ("hold.release", {**ARGUMENTS, "reason": "nul \x00"}),
        ("charge.update", {**ARGUMENTS, "line": 1, "amount": "12.345"}),
        ("charge.update", {**ARGUMENTS, "line": 1, "amount": "NaN"}),
        ("charge.update", {**ARGUMENTS, "line": 1, "amount": "-1"}),
        ("nothing.known", {}),
    ],
)
def test_arguments_that_do_not_fit_are_refused_and_not_logged(
    fo: Connection, played: Played, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(Blocked) as blocked:
        gateway.call(fo, operation, arguments, actor="test", effect_key=KEY)

    assert blocked.value.code in ("arguments", "operation")
    assert not blocked.value.retryable
    assert Call.objects.latest("id").arguments == ({"names": sorted(arguments)} if arguments else {})
    assert played.requests == []


def test_noise_of_a_binary_fraction_is_taken_off_an_amount(fo: Connection, played: Played) -> None:
    from connectors.kinds.dynamics_fo.writes import ChargeArguments

    args = ChargeArguments(company="demf", order="SO-1", line=1, amount=0.1 + 0.2)  # type: ignore[arg-type]

    assert str(args.amount) == "0.3"


@pytest.mark.parametrize("everywhere", [True, False])
def test_an_emergency_stop_lets_reads_through_and_no_write(fo: Connection, played: Played, everywhere: bool) -> None:
    actions.stop_everything(reason="Something is off", actor="operator", connection=None if everywhere else fo)

    with pytest.raises(Blocked, match="Something is off") as blocked:
        release(fo)

    assert blocked.value.code == "stopped"
    assert gateway.call(fo, "order.get", ARGUMENTS, actor="test").records[0].key == "demf/SO-1"
    actions.resume(reason="Found it", actor="operator", connection=None if everywhere else fo)
    assert release(fo).written is not None


def test_a_stop_of_one_connection_leaves_the_others_alone(fo: Connection) -> None:
    actions.stop_everything(reason="CRM only", actor="operator", connection=make_crm())

    assert release(fo).written is not None


def test_a_pause_that_the_target_asks_for_holds_for_every_worker_and_every_use(fo: Connection, played: Played) -> None:
    played.on("GET", ORDER, httpx.Response(429, headers={"Retry-After": "30"}, json={}))

    with pytest.raises(RateLimited) as limited:
        gateway.call(fo, "order.get", ARGUMENTS, actor="test")
    asked = len(played.requests)
    with pytest.raises(Blocked) as blocked:
        release(Connection.objects.get(pk=fo.pk))

    assert limited.value.retry_after == 30
    assert len(played.requests) == asked
    assert blocked.value.retryable
    assert blocked.value.retry_after is not None
    assert 25 < blocked.value.retry_after <= 30


def test_a_shorter_pause_does_not_cut_a_longer_one(fo: Connection, played: Played) -> None:
    until = db_now() + timedelta(seconds=300)
    played.on("GET", ORDER, httpx.Response(429, headers={"Retry-After": "1"}, json={}))
    # The longer pause arrives while this call is on its way.
    played.on("POST", "token", lambda _: _paused(fo, until))

    with pytest.raises(RateLimited):
        gateway.call(fo, "order.get", ARGUMENTS, actor="test")

    fo.refresh_from_db()
    assert fo.not_before is not None
    assert abs((fo.not_before - until).total_seconds()) < 0.01


def _paused(connection: Connection, until: Any) -> httpx.Response:
    Connection.objects.filter(pk=connection.pk).update(not_before=until)
    return httpx.Response(200, json={"access_token": "t", "expires_in": 3599})


def test_a_503_that_follows_a_write_is_an_unknown_outcome_and_pauses_too(fo: Connection, played: Played) -> None:
    played.on("POST", RELEASE, httpx.Response(503, headers={"Retry-After": "20"}, json={}))

    with pytest.raises(Unanswered) as lost:
        release(fo)

    fo.refresh_from_db()
    assert lost.value.effect_possible
    assert lost.value.retry_after == 20
    assert fo.not_before is not None


def test_a_503_on_a_read_is_only_a_pause(fo: Connection, played: Played) -> None:
    played.on("GET", ORDER, httpx.Response(503, headers={"Retry-After": "20"}, json={}))

    with pytest.raises(RateLimited):
        gateway.call(fo, "order.get", ARGUMENTS, actor="test")


def test_a_token_server_that_is_silent_before_a_write_means_that_nothing_was_written(
    fo: Connection, played: Played
) -> None:
    played.on("POST", "token", httpx.ReadTimeout("slow"))

    with pytest.raises(Unreachable, match="Nothing was written") as refused:
        release(fo)

    assert not refused.value.effect_possible


def test_what_looks_for_an_effect_sends_nothing(fo: Connection, played: Played) -> None:
    played.on("GET", ORDER, httpx.Response(200, json={**ROW, "CreditHoldReference": KEY}))

    found = gateway.find(fo, "hold.release", ARGUMENTS, effect_key=KEY, actor="test")

    assert found is not None
    assert found.result["found_by"] == "reference"
    assert {request.method for request in played.calls} == {"GET"}
    assert Call.objects.latest("id").direction == "find"


def test_an_effect_without_a_mark_is_found_by_its_values(fo: Connection, played: Played) -> None:
    arguments = {**ARGUMENTS, "mode": "AIR"}
    played.on("GET", ORDER, httpx.Response(200, json={**ROW, "DeliveryModeCode": "ROAD"}))
    before = gateway.find(fo, "order.set_delivery_mode", arguments, effect_key=KEY, actor="test")
    played.on("GET", ORDER, httpx.Response(200, json={**ROW, "DeliveryModeCode": "AIR"}))

    after = gateway.find(fo, "order.set_delivery_mode", arguments, effect_key=KEY, actor="test")

    assert before is None
    assert after is not None
    assert after.version == 'W/"1"'


def test_looking_for_the_effect_of_a_read_is_a_mistake_of_the_caller(fo: Connection) -> None:
    with pytest.raises(Blocked, match="changes nothing"):
        gateway.observe(fo, "order.get", ARGUMENTS, actor="test")


def test_a_stale_copy_of_the_connection_does_not_get_past_a_change(fo: Connection, played: Played) -> None:
    stale = Connection.objects.get(pk=fo.pk)
    Connection.objects.filter(pk=fo.pk).update(enabled=False)

    with pytest.raises(Blocked, match="disabled"):
        release(stale)

    assert played.requests == []


def test_a_secret_in_an_error_is_hidden_from_row_and_exception(fo: Connection, played: Played) -> None:
    leaky = {"error": {"message": "x", "innererror": {"message": f"Infolog: Error: secret {SECRET} refused"}}}
    played.on("GET", ORDER, httpx.Response(400, json=leaky))

    with pytest.raises(Exception, match="•••") as told:
        gateway.call(fo, "order.get", ARGUMENTS, actor="test")

    assert SECRET not in str(told.value)
    assert told.value.__cause__ is None
    assert SECRET not in Call.objects.latest("id").message


def test_a_fault_of_ours_rises_and_the_row_says_so(fo: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("connectors.kinds.dynamics_fo.connector.DynamicsFO.read", broken)

    with pytest.raises(ZeroDivisionError):
        gateway.call(fo, "order.get", ARGUMENTS, actor="test")

    row = Call.objects.latest("id")
    assert (row.outcome, row.message) == ("failed", "ZeroDivisionError: ours")
