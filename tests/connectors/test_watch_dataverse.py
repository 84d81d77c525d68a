"""What Dataverse tells by itself: webhooks and what they leave out, and tracked changes with tokens that expire."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from django.test import Client

from connectors import gateway
from connectors.base import Unanswered
from connectors.inbound import polling, webhooks
from connectors.kinds.dataverse import tracking
from connectors.kinds.dataverse.events import moment_of
from connectors.models import Call, Connection, Delivery
from tests.connectors.business import DATAVERSE, plant_crm
from tests.connectors.conftest import Simulated
from tests.connectors.factories import CRM, HOOK_SECRET, Played, make_dv

API = "/api/data/v9.2"
ID, OPERATION = "2f0c1c1e-0000-0000-0000-000000000001", "4af10637-4ea2-e711-8122-000d3aa2331c"
CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
COLUMNS = [
    {"key": "creditonhold", "value": True},
    {"key": "creditlimit", "value": {"__type": f"Money:{CONTRACTS}", "Value": 5000}},
    {"key": "statuscode", "value": {"__type": f"OptionSetValue:{CONTRACTS}", "Value": 1}},
    {"key": "ownerid", "value": {"__type": f"EntityReference:{CONTRACTS}", "Id": ID, "LogicalName": "systemuser"}},
    {"key": "modifiedon", "value": "/Date(1767225600000)/"},
]
TARGET = {"__type": f"Entity:{CONTRACTS}", "Attributes": COLUMNS, "Id": ID, "LogicalName": "account"}
CONTEXT: dict[str, Any] = {
    "CorrelationId": "b374239d-4233-41a9-8b17-a86cb4f737b5",
    "Depth": 1,
    "InputParameters": [{"key": "Target", "value": TARGET}],
    "MessageName": "Update",
    "Mode": 1,
    "OperationCreatedOn": "/Date(1767250800000-0700)/",
    "OperationId": OPERATION,
    "OwningExtension": {"Id": "75417616-4ea2-e711-8122-000d3aa2331c", "LogicalName": "sdkmessageprocessingstep"},
    "ParentContext": {"Depth": 1, "InputParameters": [{"key": "Target", "value": TARGET}]},
    "PostEntityImages": [],
    "PrimaryEntityId": "{" + ID.upper() + "}",
    "PrimaryEntityName": "account",
    "Stage": 40,
}
WHOLE = {
    "creditonhold": True, "creditlimit": 5000, "statuscode": 1,
    "ownerid": {"Id": ID, "LogicalName": "systemuser"}, "modifiedon": "2026-01-01T00:00:00Z",
}  # fmt: skip
STRIPPED, SHORT = {**CONTEXT, "InputParameters": [], "ParentContext": None}, {"X-Ms-Dynamics-Msg-Size-Exceeded": "true"}


def post(body: Any, *, secret: str = HOOK_SECRET, slug: str = "dv", **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if secret:
        headers.setdefault("X-Goldseam-Secret", secret)
    return Client().post(f"/api/v1/hooks/{slug}/", content, content_type="application/json", headers=headers)


@pytest.fixture
def told(db: None) -> Connection:
    return make_dv()


# --- webhooks ----------------------------------------------------------------------------------
def test_an_execution_context_is_kept_with_readable_columns(told: Connection) -> None:
    answer = post(CONTEXT)

    kept = Delivery.objects.get()
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "repeated": 0})
    assert (kept.external_id, kept.event) == (OPERATION, "account.Update")
    assert kept.payload["PrimaryEntityId"] == ID
    assert kept.payload["Target"] == WHOLE
    assert kept.payload["InputParameters"]["Target"]["LogicalName"] == "account"
    assert kept.payload["PostEntityImages"] == {}
    assert "ParentContext" not in kept.payload
    assert kept.payload["Shortened"] is False


def test_the_time_is_that_of_the_row_and_never_that_of_the_operation(told: Connection) -> None:
    post(CONTEXT)
    post({**STRIPPED, "OperationId": "4af10637-4ea2-e711-8122-000d3aa23310"})

    first, second = Delivery.objects.order_by("id")
    assert first.occurred_at is not None
    assert first.occurred_at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert second.occurred_at is None


def test_the_one_repeat_of_a_webhook_adds_nothing(told: Connection) -> None:
    bare = {name: value for name, value in CONTEXT.items() if name != "OperationId"}
    nobody = {**CONTEXT, "OperationId": "00000000-0000-0000-0000-000000000000"}
    other = {**nobody, "Depth": 2}

    answers = [post(body).json()["accepted"] for body in (CONTEXT, CONTEXT, bare, bare, nobody, nobody, other)]

    assert answers == [1, 0, 1, 0, 1, 0, 1]
    assert all(len(row.external_id) <= 200 for row in Delivery.objects.all())


@pytest.mark.parametrize("headers", [{}, {"X-Goldseam-Secret": "wrong"}, {"Authorization": "Bearer wrong"}])
def test_a_forged_webhook_is_not_even_read(
    told: Connection, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "receive", lambda *_: pytest.fail("a forged body was read"))

    assert post(CONTEXT, secret="", **headers).status_code == 401
    assert not Delivery.objects.exists()


def test_a_webhook_of_another_organization_is_not_even_parsed(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dv(config={"organization": "contoso.crm4.dynamics.test"})
    name = "X-Ms-Dynamics-Organization"
    good = post(CONTEXT, **{name: "Contoso.crm4.dynamics.test"})
    monkeypatch.setattr("connectors.kinds.dataverse.events.value_of", lambda _: pytest.fail("it was parsed"))

    answers = [post(CONTEXT), post(CONTEXT, **{name: "fabrikam.crm4.dynamics.test"})]

    assert good.status_code == 202
    assert [answer.status_code for answer in answers] == [401, 401]
    assert Delivery.objects.count() == 1


def test_an_oversized_body_is_refused(told: Connection, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000

    assert post(b" " * 10_001).status_code == 413
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"PrimaryEntityId": "7"}, {"PrimaryEntityId": None}, {"PrimaryEntityName": ""}, {"PrimaryEntityName": 7},
        {"PrimaryEntityName": "../users"}, {"MessageName": None}, {"MessageName": "x" * 101},
    ],
)  # fmt: skip
def test_what_is_no_execution_context_is_refused_whole(told: Connection, changes: dict[str, Any]) -> None:
    assert post({**CONTEXT, **changes}).status_code == 400
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "odd",
    [
        {"InputParameters": 7}, {"InputParameters": [7]}, {"InputParameters": [{"key": "Target", "value": 7}]},
        {"InputParameters": [{"key": 7}]}, {"PostEntityImages": {"a": 7}}, {"OwningExtension": "x", "OperationId": 7},
        {"InputParameters": [{"key": "Target", "value": {"Attributes": []}}], "CorrelationId": None},
    ],
)  # fmt: skip
def test_odd_parts_of_a_context_do_no_harm(told: Connection, odd: dict[str, Any]) -> None:
    assert post({**CONTEXT, **odd}).status_code == 202
    assert Delivery.objects.get().payload["Target"] == ({} if "InputParameters" in odd else WHOLE)


# --- what was left out -------------------------------------------------------------------------
def test_a_shortened_webhook_is_completed_from_the_row(dv: Connection, simulated: Simulated) -> None:
    ids = plant_crm(simulated)
    post({**STRIPPED, "PrimaryEntityId": ids["account"]}, **SHORT)
    payload = Delivery.objects.get().payload

    whole = gateway.complete(dv, payload, actor="test")

    assert payload["Shortened"] is True
    assert (whole["Target"]["name"], whole["Shortened"], whole["Gone"]) == ("Lamp House", False, False)


def test_a_shortened_webhook_about_a_row_that_is_gone_says_so(dv: Connection) -> None:
    whole = gateway.complete(dv, {**STRIPPED, "PrimaryEntityId": ID, "Shortened": True}, actor="test")

    assert (whole["Target"], whole["Gone"]) == ({}, True)


def test_what_is_whole_costs_no_request(told: Connection, played: Played) -> None:
    payload = {"Target": {"creditonhold": True}, "Shortened": False}

    assert gateway.complete(told, payload, actor="test") is payload
    assert played.requests == []
    assert not Call.objects.exists()


def test_a_row_that_cannot_be_read_now_is_asked_for_again(dv: Connection, simulated: Simulated) -> None:
    simulated.fault("fail_before", "GET .*accounts", system="dv")
    payload = {"PrimaryEntityName": "account", "PrimaryEntityId": ID, "Shortened": True}

    with pytest.raises(Unanswered) as failed:
        gateway.complete(dv, payload, actor="test")

    assert failed.value.retryable


# --- change tracking ---------------------------------------------------------------------------
def news(connection: Connection) -> list[tuple[str, Any]]:
    """Poll once and tell what is new."""
    seen = set(Delivery.objects.values_list("pk", flat=True))
    polling.poll_one(Connection.objects.get(pk=connection.pk))
    rows = Delivery.objects.exclude(pk__in=seen).order_by("pk")
    return [(row.event, row.payload.get("name") or row.payload.get("title")) for row in rows]


def bookmarks(connection: Connection) -> dict[str, Any]:
    return dict(Connection.objects.get(pk=connection.pk).bookmarks)


def expire(simulated: Simulated) -> None:
    simulated.client.post("/control/deltatokens/expire").raise_for_status()


def test_the_first_poll_reads_all_and_the_next_only_what_changed(dv: Connection, simulated: Simulated) -> None:
    ids = plant_crm(simulated)

    first = news(dv)
    quiet = news(dv)
    simulated.edit("dv", "account", ids["account"], creditonhold=True)
    changed = news(dv)

    assert sorted(first) == [
        ("record:account", "Lamp House"), ("record:account", "Wire Works"), ("record:incident", "Billed twice"),
    ]  # fmt: skip
    assert quiet == []
    assert changed == [("record:account", "Lamp House")]
    latest = Delivery.objects.latest("id")
    assert latest.payload["creditonhold"] is True
    assert latest.payload["PrimaryEntityId"] == ids["account"]
    assert set(bookmarks(dv)) == {"account", "incident"}
    assert all(mark["delta"].startswith("/") for mark in bookmarks(dv).values())


def test_a_deletion_is_told_once(dv: Connection, simulated: Simulated) -> None:
    arguments = {"table": "incident", "values": {"title": "Freight"}}
    gateway.call(dv, "record.create", arguments, actor="test", effect_key="k")
    news(dv)
    gateway.call(dv, "record.remove", {**arguments, "reference": "k"}, actor="test", effect_key="m")

    told, again = news(dv), news(dv)

    assert told == [("record:incident:deleted", None)]
    assert Delivery.objects.latest("id").payload["Deleted"] is True
    assert again == []


def test_news_that_were_kept_before_the_process_died_add_nothing(
    dv: Connection, simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = plant_crm(simulated)
    news(dv)
    old = bookmarks(dv)
    simulated.edit("dv", "account", ids["account"], creditonhold=True)
    news(dv)
    Connection.objects.filter(pk=dv.pk).update(bookmarks=old)

    assert news(dv) == []


def test_news_that_were_not_kept_are_asked_for_again(
    dv: Connection, simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = plant_crm(simulated)
    news(dv)
    simulated.edit("dv", "account", ids["account"], creditonhold=True)
    with monkeypatch.context() as broken:
        broken.setattr(webhooks, "store", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            polling.poll_one(dv)

    assert news(dv) == [("record:account", "Lamp House")]


def test_an_expired_token_starts_over_and_tells_only_what_is_young(dv: Connection, simulated: Simulated) -> None:
    ids = plant_crm(simulated)
    news(dv)
    Connection.objects.filter(pk=dv.pk).update(polled_until=datetime.now(UTC) + timedelta(minutes=10))
    expire(simulated)
    nothing = news(dv)
    Connection.objects.filter(pk=dv.pk).update(polled_until=datetime.now(UTC) - timedelta(hours=1))
    expire(simulated)
    simulated.edit("dv", "account", ids["other"], creditonhold=True)

    assert nothing == []
    assert news(dv) == [("record:account", "Wire Works")]
    assert Call.objects.filter(operation="poll").exclude(outcome="ok").count() == 0


def test_a_long_list_is_read_in_several_polls_and_nothing_of_it_is_lost(
    dv: Connection, simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "MOST_PAGES", 2)
    config = {**dv.config, "page_size": 2, "tracked": "account(name)"}
    Connection.objects.filter(pk=dv.pk).update(config=config)
    for number in range(7):
        simulated.plant("dv", "account", name=f"Shop {number}")

    first = news(dv)
    middle = bookmarks(dv)["account"]
    second = news(dv)
    simulated.plant("dv", "account", name="Late shop")

    assert (len(first), len(second)) == (4, 3)
    assert {name for _, name in first + second} == {f"Shop {number}" for number in range(7)}
    assert set(middle) == {"next", "after", "begun"}
    assert news(dv) == [("record:account", "Late shop")]


def test_what_was_begun_before_the_mark_moved_is_still_read_from_the_old_mark(db: None, played: Played) -> None:
    connection = make_dv(config={"tracked": "account(name)", "lookback_days": 30})
    young, older, ancient = (datetime.now(UTC) - timedelta(days=days) for days in (1, 20, 40))
    rows = [
        {"@odata.etag": f'W/"{at}"', "accountid": ID.replace("1", str(at), 1), "modifiedon": when.isoformat()}
        for at, when in ((3, young), (4, older), (5, ancient))
    ]
    link = f"{CRM}{API}/accounts?$deltatoken="

    def page(request: httpx.Request) -> httpx.Response:
        if "2" in request.url.params.get("$deltatoken", ""):
            return httpx.Response(200, json={"value": rows[1:], "@odata.deltaLink": link + "9"})
        return httpx.Response(200, json={"value": [rows[0]], "@odata.nextLink": link + "2"})

    played.on("GET", f"{API}/accounts", page)
    tracking_pages, tracking.MOST_PAGES = tracking.MOST_PAGES, 1
    try:
        counts = [len(news(connection)), len(news(connection))]
    finally:
        tracking.MOST_PAGES = tracking_pages

    assert counts == [1, 1]
    assert bookmarks(connection) == {"account": {"delta": "/accounts?$deltatoken=9"}}


def test_the_token_request_names_no_filter_and_asks_to_track(db: None, played: Played) -> None:
    played.on("GET", f"{API}/accounts", httpx.Response(200, json={"value": [], "@odata.deltaLink": f"{CRM}{API}/x"}))

    news(make_dv(config={"tracked": "account(name)"}))

    sent = played.calls[0]
    assert set(sent.url.params) == {"$select"}
    assert sent.url.params["$select"] == "accountid,modifiedon,name"
    assert "odata.track-changes" in sent.headers["prefer"]


@pytest.mark.parametrize(("status", "code"), [(410, ""), (400, "0x80044352")])
def test_an_expired_token_is_known_by_its_status_or_by_its_code(
    db: None, played: Played, status: int, code: str
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "$deltatoken" in request.url.params:
            return httpx.Response(status, json={"error": {"code": code, "message": "Full sync."}})
        return httpx.Response(200, json={"value": [], "@odata.deltaLink": f"{CRM}{API}/accounts?$deltatoken=7"})

    played.on("GET", f"{API}/accounts", answer)
    connection = make_dv(config={"tracked": "account"})
    Connection.objects.update(bookmarks={"account": {"delta": "/accounts?$deltatoken=1"}})

    news(connection)

    assert bookmarks(connection) == {"account": {"delta": "/accounts?$deltatoken=7"}}
    assert Call.objects.get().requests == 3


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"value": []}, "refused"),
        ({"value": [], "@odata.deltaLink": "https://evil.test/api/data/v9.2/accounts"}, "unanswered"),
        ({"value": [{"name": "no id"}], "@odata.deltaLink": f"{CRM}{API}/accounts?x"}, "unanswered"),
        ({"value": [{"id": "7", "reason": "deleted"}], "@odata.deltaLink": f"{CRM}{API}/accounts?x"}, "unanswered"),
    ],
)
def test_a_list_that_cannot_be_gone_on_with_moves_no_mark(
    db: None, played: Played, body: dict[str, Any], outcome: str
) -> None:
    played.on("GET", f"{API}/accounts", httpx.Response(200, json=body))
    connection = make_dv(config={"tracked": "account"})

    assert news(connection) == []

    assert bookmarks(connection) == {}
    assert Call.objects.get().outcome == outcome
    assert {request.url.host for request in played.requests} == {"contoso.crm4.dynamics.test"}


def test_nothing_is_asked_where_no_table_is_watched(db: None, played: Played) -> None:
    connection = make_dv(config={**DATAVERSE, "tracked": ""})

    assert news(connection) == []
    assert played.requests == []


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("/Date(1767225600000)/", "2026-01-01T00:00:00+00:00"), ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01T01:00:00.1234567+01:00", "2026-01-01T00:00:00.123456+00:00"), ("/Date(999999999999999)/", None),
        ("yesterday", None), ("0001-01-01T00:00:00+14:00", None),
    ],
)  # fmt: skip
def test_times_are_read_in_every_form(text: str, moment: str | None) -> None:
    found = moment_of(text)

    assert (found.isoformat() if found else None) == moment
