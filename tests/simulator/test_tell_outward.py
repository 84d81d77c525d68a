"""IDocs of SAP, messages of Salesforce, events of Slack: our own kinds read them, and told again they are the same."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.base import Unauthorized
from connectors.kinds.salesforce import changes, outbound
from connectors.kinds.salesforce.settings import SalesforceConfig
from connectors.kinds.sap import idocs
from connectors.kinds.sap.settings import SapConfig
from connectors.kinds.slack import events
from connectors.kinds.slack.settings import SlackConfig
from connectors.simulator import telling
from connectors.simulator.messages import Refusal
from connectors.simulator.news import Change
from connectors.simulator.salesforce import outbound as sf_outbound
from connectors.simulator.sap import idocs as sap_idocs
from connectors.simulator.telling import Teller
from connectors.simulator.traffic import Target
from tests.simulator.bench import Bench

ALL = {"idoc": "erp", "sf": "crm", "slack": "chat"}
SAP = SapConfig(base_url="https://sap.test", user="u", idoc_sender="S4DCLNT100")
ORG = SalesforceConfig(login_url="https://sf.test", client_id="c", organization_id=sf_outbound.ORGANIZATION)
WORKSPACE = SlackConfig(channels="C0ORDERS1", team_id="T0000SIM1", patterns="order: SO-######")
ACK = b"<Ack>true</Ack>"


class Console:
    """What a console would receive by either way, and what it answers."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes, dict[str, str]]] = []
        self.answers: list[int | Exception] = []
        self.words: list[tuple[int, bytes] | Refusal] = []

    def send(self, url: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
        self.received.append((path, body, headers))
        answer = self.answers.pop(0) if self.answers else 202
        if isinstance(answer, Exception):
            raise answer
        return answer, 0.0

    def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        self.received.append((url, body, {}))
        answer = self.words.pop(0) if self.words else (200, ACK)
        if isinstance(answer, Refusal):
            raise answer
        return answer


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console()
    monkeypatch.setattr(telling, "send", console.send)
    monkeypatch.setattr(sf_outbound, "post", console.post)
    return console


@pytest.fixture
def teller(sim: Bench) -> Callable[..., Teller]:
    def made(**hooks: str) -> Teller:
        return Teller(sim.simulator.store, Target("http://console.test", "hush", ""), hooks or ALL, pause=0)

    return made


def edit(sim: Bench, system: str, entity: str, key: str, **fields: Any) -> None:
    body = {"system": system, "entity": entity, "key": key, "changes": fields}
    sim.http.post("/control/edit", json=body).raise_for_status()


def sent(sim: Bench) -> list[tuple[str, int, int | None, str | None]]:
    rows = sim.http.get("/ledger/sent").json()
    return [(row["channel"], row["attempts"], row["status"], row["error"]) for row in rows]


def blocked(sim: Bench, number: str = "4711") -> None:
    sim.plant(
        "sap", "A_SalesOrder", SalesOrder=number, SoldToParty="1000001", PurchaseOrderByCustomer="SO-004711",
        TransactionCurrency="EUR", TotalNetAmount="120.50",
    )  # fmt: skip
    edit(sim, "sap", "A_SalesOrder", number, TotalCreditCheckStatus="B")


# --- SAP -------------------------------------------------------------------------------------------
def test_a_changed_order_is_sent_as_an_idoc(sim: Bench, teller: Any, console: Console):
    blocked(sim)

    assert teller().turn() == 1

    path, body, headers = console.received[0]
    (found,) = idocs.inbound(body, SAP)
    assert path == "/api/v1/hooks/erp/"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"S4DCLNT100:hush"
    assert (found.event, found.payload["IDOCTYP"], found.payload["DIRECT"]) == ("ORDERS", "ORDERS05", "1")
    assert found.payload["segments"]["E1EDK01"] == [{"CURCY": "EUR", "BELNR": "0000004711"}]
    assert found.payload["segments"]["E1EDK02"] == [{"QUALF": "001", "BELNR": "SO-004711"}]
    assert found.payload["segments"]["E1EDS01"] == [{"SUMID": "010", "SUMME": "120.50"}]
    assert found.occurred_at is not None
    assert sent(sim) == [("sap_idoc", 1, 202, None)]


def test_an_event_and_an_idoc_tell_of_one_change(sim: Bench, teller: Any, console: Console):
    blocked(sim)

    assert teller(sap="erp", idoc="erp").turn() == 2
    assert [channel for channel, *_ in sent(sim)] == ["sap_hook", "sap_idoc"]


def test_a_bill_is_sent_with_its_minus_behind_the_amount():
    bill = {
        "BillingDocument": "90000001", "TransactionCurrency": "EUR", "SoldToParty": "1", "TotalNetAmount": "-100.00",
        "DocumentReferenceID": "INV-1 & <2>",
    }  # fmt: skip

    message = sap_idocs.message_of(Change(1, "2026-01-31T12:00:00.5Z", "sap", "A_BillingDocument", None, bill))

    assert message is not None
    assert b"<SUMME>100.00-</SUMME>" in message.body
    (found,) = idocs.inbound(message.body, SAP)
    assert (found.event, found.payload["segments"]["E1EDS01"][0]["SUMME"]) == ("INVOIC", "-100.00")
    assert found.payload["segments"]["E1EDK02"][0]["BELNR"] == "INV-1 & <2>"
    assert found.occurred_at == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(("entity", "after"), [("A_SalesOrder", None), ("A_SupplierInvoice", {"FiscalYear": "2026"})])
def test_no_idoc_is_sent_of_what_went_or_of_other_documents(entity: str, after: Any):
    assert sap_idocs.message_of(Change(1, "2026-01-31T12:00:00Z", "sap", entity, {}, after)) is None


def test_an_idoc_is_sent_until_it_is_heard_and_again_under_its_number(sim: Bench, teller: Any, console: Console):
    console.answers = [500, ConnectionRefusedError("nobody there")]
    blocked(sim)
    teller().turn()
    with sim.simulator.store.write() as session:
        session.set_meta("told", "0")
    teller().turn()

    numbers = {idocs.inbound(body, SAP)[0].external_id for _, body, _ in console.received}
    assert len(numbers) == 1
    assert sent(sim) == [("sap_idoc", 3, 202, None), ("sap_idoc", 1, 202, None)]


# --- Salesforce ------------------------------------------------------------------------------------
def case(sim: Bench, **fields: Any) -> str:
    made = sim.sf("POST", "sobjects/Case", json={"Subject": "Why?", "Order_Number__c": "SO-004711", **fields})
    return str(made.json()["id"])


def test_a_case_is_told_by_an_outbound_message_with_the_record_as_it_stands(sim: Bench, teller: Any, console: Console):
    key = case(sim)
    edit(sim, "sf", "Case", key, Subject="Why, indeed?")

    assert teller().turn() == 2

    url, body, _ = console.received[0]
    (found,) = outbound.inbound(body, ORG)
    assert url == "http://console.test/api/v1/hooks/crm/hush/"
    assert (found.event, found.payload["Id"], found.payload["Subject"]) == ("record:Case", key, "Why, indeed?")
    # Both speak of the newest version, so both are one notification.
    assert len({outbound.inbound(body, ORG)[0].external_id for _, body, _ in console.received}) == 1


@pytest.mark.parametrize(
    ("word", "noted"),
    [
        ((200, b""), (200, "HTTP 200, not acknowledged")),
        ((200, b"<Ack>false</Ack>"), (200, "HTTP 200, not acknowledged")),
        ((500, ACK), (500, "HTTP 500, not acknowledged")),
        (Refusal(502, "Nobody took the message"), (None, "Nobody took the message")),
    ],
)
def test_what_is_not_acknowledged_comes_again_and_is_dropped_in_the_end(
    sim: Bench, teller: Any, console: Console, word: Any, noted: tuple[int | None, str]
):
    console.words = [word] * 5
    case(sim)

    teller().turn()

    assert len(console.received) == 5
    assert sent(sim) == [("sf_hook", 5, *noted)]


def test_a_case_that_is_gone_before_it_is_told_is_told_to_nobody(sim: Bench, teller: Any, console: Console):
    sim.sf("DELETE", f"sobjects/Case/{case(sim)}")

    assert teller().turn() == 0
    assert console.received == []


def test_an_account_is_told_by_a_change_event_with_what_changed(sim: Bench, teller: Any, console: Console):
    key = sim.plant("sf", "Account", Name="Lamp House", AccountNumber="DE-001", Region__c="DE")["Id"]
    edit(sim, "sf", "Account", key, Name="Lamp House 2", Region__c=None)

    assert teller().turn() == 1

    path, body, headers = console.received[0]
    (found,) = changes.inbound(body, ORG)
    about = found.payload["attributes"]
    assert path == "/api/v1/hooks/crm/hush/"
    assert headers["Content-Type"] == "application/json"
    assert (found.payload["Name"], found.payload["Region__c"], found.payload["Id"]) == ("Lamp House 2", None, key)
    assert (about["changeType"], about["changedFields"]) == ("UPDATE", ["Name", "Region__c"])
    assert "AccountNumber" not in found.payload


# --- Slack -----------------------------------------------------------------------------------------
def say(sim: Bench, text: str = "SO-004711 is stuck", **fields: Any) -> Any:
    return sim.http.post("/control/chat", json={"channel": "C0ORDERS1", "user": "U0SELLER1", "text": text, **fields})


def test_a_persons_message_is_a_signed_event(sim: Bench, teller: Any, console: Console):
    ts = say(sim).json()["ts"]

    assert teller().turn() == 1

    path, body, headers = console.received[0]
    events.prove("hush", body, headers, datetime.now(UTC))
    (found,) = events.inbound(body, headers, WORKSPACE)
    assert path == "/api/v1/hooks/chat/"
    assert (found.external_id, found.payload["mentions"]) == (f"C0ORDERS1/{ts}", {"order": ["SO-004711"]})
    with pytest.raises(Unauthorized):
        events.prove("other", body, headers, datetime.now(UTC))


def test_each_try_of_an_event_is_signed_anew_and_counted(sim: Bench, teller: Any, console: Console):
    console.answers = [500, 404, ConnectionRefusedError("nobody there"), 503]
    say(sim)

    teller().turn()

    assert [headers.get("X-Slack-Retry-Num") for _, _, headers in console.received] == [None, "1", "2", "3"]
    assert len({json.loads(body)["event_id"] for _, body, _ in console.received}) == 1
    for _, body, headers in console.received:
        events.prove("hush", body, headers, datetime.now(UTC))
    assert sent(sim) == [("slack_hook", 4, 503, "HTTP 503")]


def test_what_an_app_posts_is_not_told_back_to_it(sim: Bench, teller: Any, console: Console):
    posted = sim.http.post(
        "/slack/api/chat.postMessage", json={"channel": "C0ORDERS1", "text": "settled"},
        headers={"Authorization": "Bearer simulator"},
    )  # fmt: skip

    assert posted.json()["ok"]
    assert teller().turn() == 0


@pytest.mark.parametrize("wrong", [{"text": ""}, {"user": None}, {"colour": "red"}])
def test_a_message_that_makes_no_sense_is_refused(sim: Bench, wrong: dict[str, Any]):
    assert say(sim, **wrong).status_code == 400


# --- the ledger ------------------------------------------------------------------------------------
def test_the_ledger_says_what_it_holds_and_what_each_field_means(sim: Bench, teller: Any, console: Console):
    case(sim)
    teller().turn()

    ledger = sim.http.get("/ledger").json()

    assert ledger["form"] == 1
    for name, known in ledger["lists"].items():
        rows = sim.http.get(known["address"]).json()
        assert known["address"] == f"/ledger/{name}"
        assert len(rows) == known["count"] > 0
        assert rows[-1]["n"] == known["last"]
        assert set(rows[0]) == set(known["fields"])
        assert all(meaning for meaning in known["fields"].values())
    assert sim.http.get("/ledger/sent", params={"since": ledger["lists"]["sent"]["last"]}).json() == []
