"""Functions of SAP over HTTP: judged by their RETURN table, committed in the same session, and messages unanswered."""

from typing import Any

import httpx
import pytest

from connectors import gateway
from connectors.base import Blocked, ConnectorError, Locked, Refused, Unanswered, Unreachable
from connectors.kinds.sap import rfc, xmltext
from connectors.models import Connection
from tests.connectors.conftest import Simulated
from tests.connectors.factories import Played
from tests.connectors.sap_world import COMPANY, ENTRY, JSON_GATEWAY, YEAR, make_sap

KEY = "a" * 40
JOURNAL = {"company": COMPANY, "year": YEAR, "document": ENTRY}
REVERSAL = {**JOURNAL, "reason": "01", "posting_date": "2026-02-01"}
BLOCK = {**JOURNAL, "item": "1", "block": "B"}
CUBE = "/sap/opu/odata/sap/API_OPLACCTGDOCITEMCUBE_SRV/A_OperationalAcctgDocItemCube"
NODE, CHANGE = "/sap/bc/soap/rfc", "/sap/bc/srt/scs_ext/sap/journalentrybulkchangerequest_"
ENVELOPE = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'


def reverse(connection: Connection, **changes: str) -> gateway.Answer:
    return gateway.call(connection, "journal.reverse", {**REVERSAL, **changes}, actor="test", effect_key=KEY)


def block(connection: Connection) -> gateway.Answer:
    return gateway.call(connection, "payment_block.set", BLOCK, actor="test", effect_key=KEY)


# --- over SOAP, against the simulator ------------------------------------------------------------
def test_a_reversal_over_soap_is_committed_in_the_session_that_made_it(sap: Connection, simulated: Simulated) -> None:
    answer = reverse(sap)

    assert answer.written is not None
    assert answer.written.result["messages"][0].startswith("Document posted successfully: BKPFF 0100900001")
    assert len(simulated.effects(KEY)) == 1
    assert len([row for row in simulated.requests() if "soap/rfc" in row["path"]]) == 2
    found = gateway.find(sap, "journal.reverse", REVERSAL, effect_key=KEY, actor="test")
    assert found is not None


def test_a_document_of_another_origin_is_refused_with_status_200_and_rolled_back(
    sap: Connection, simulated: Simulated
) -> None:
    with pytest.raises(Refused, match="was not created in accounting") as refused:
        reverse(sap, document="100000008")

    assert (refused.value.status, refused.value.code) == (200, "F5A/067")
    assert simulated.effects(KEY) == []
    assert len([row for row in simulated.requests() if "soap/rfc" in row["path"]]) == 2  # the call, the rollback


def test_a_lock_in_the_return_table_is_tried_again_later(sap: Connection, simulated: Simulated) -> None:
    simulated.client.post("/control/sap", json={"lock": ENTRY}).raise_for_status()

    with pytest.raises(Locked) as locked:
        reverse(sap)

    assert locked.value.retryable
    assert not locked.value.effect_possible


def test_which_messages_mean_a_lock_is_configured(sap: Connection, simulated: Simulated) -> None:
    sap.config = {**sap.config, "locked_codes": "F5A/067", "locked_texts": "nothing"}
    sap.save()

    with pytest.raises(Locked):
        reverse(sap, document="100000008")


def test_a_function_that_is_not_there_is_a_fault_whose_text_is_told(sap: Connection) -> None:
    sap.config = {**sap.config, "read_functions": "Z_NOTHING"}
    sap.save()

    with pytest.raises(ConnectorError, match="Function module Z_NOTHING does not exist"):
        gateway.call(sap, "function.read", {"function": "Z_NOTHING"}, actor="test")


@pytest.mark.parametrize("config", [{}, JSON_GATEWAY], ids=["soap", "json"])
def test_a_function_that_changes_nothing_is_read(sap: Connection, simulated: Simulated, config: dict[str, Any]) -> None:
    sap.config = {**sap.config, **config}
    sap.save()
    arguments = {
        "function": "BAPI_COMPANYCODE_PERIOD_CHECK",
        "parameters": {"COMPANYCODE": COMPANY, "POSTING_DATE": "2026-02-01"},
    }

    open_period = gateway.call(sap, "function.read", arguments, actor="test").records[0]
    simulated.period("2026-02", "Closed")

    assert open_period.fields["OPEN"] == "X"
    with pytest.raises(Refused, match="is not open"):
        gateway.call(sap, "function.read", arguments, actor="test")


def test_a_function_that_nobody_named_is_not_called(sap: Connection, simulated: Simulated) -> None:
    with pytest.raises(Blocked):
        gateway.call(sap, "function.read", {"function": "BAPI_TRANSACTION_COMMIT"}, actor="test")

    assert simulated.requests() == []


def test_a_reversal_needs_the_logical_system(sap: Connection, simulated: Simulated) -> None:
    sap.config = {**sap.config, "logical_system": ""}
    sap.save()

    with pytest.raises(Blocked, match="logical system"):
        reverse(sap)

    assert simulated.effects(KEY) == []


# --- a message without an answer -----------------------------------------------------------------
def test_a_message_that_was_taken_is_not_done_until_the_item_says_so(sap: Connection, simulated: Simulated) -> None:
    simulated.client.post("/control/sap", json={"delay": 3600}).raise_for_status()

    answer = block(sap)

    assert answer.written is not None
    assert answer.written.result["taken"] is True
    assert gateway.find(sap, "payment_block.set", BLOCK, effect_key=KEY, actor="test") is None
    assert simulated.effects(KEY) == []
    simulated.client.post("/control/sap", json={"process": True}).raise_for_status()
    assert gateway.find(sap, "payment_block.set", BLOCK, effect_key=KEY, actor="test") is not None
    assert len(simulated.effects(KEY)) == 1


def test_a_message_carries_its_flag_and_an_id_that_is_the_same_for_life(
    sap: Connection, played: Played, simulated: Simulated
) -> None:
    row = {"CompanyCode": COMPANY, "FiscalYear": YEAR, "AccountingDocument": ENTRY, "AccountingDocumentItem": "001"}
    played.on("GET", CUBE, httpx.Response(200, json={"d": {"results": [row]}}))
    played.on("POST", CHANGE, httpx.Response(202))

    block(sap)
    block(sap)

    first, second = (request.content for request in played.requests if request.method == "POST")
    assert b"<FieldValueChangeIsRequested>true</FieldValueChangeIsRequested>" in first
    assert b"<AccountingDocument>0100000007</AccountingDocument>" in first
    assert _id(first) == _id(second)


def _id(body: bytes) -> str:
    return next(part.text or "" for part in xmltext.parsed(body).iter() if part.tag == "ID")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(200, text=ENVELOPE.format("<s:Fault><faultstring>no</faultstring></s:Fault>")), Refused),
        (httpx.Response(200, text="<html><body>Logon</body></html>"), Unanswered),
        (httpx.Response(200, text="thanks"), Unanswered),
        (httpx.Response(500, text=ENVELOPE.format("<s:Fault><faultstring>no</faultstring></s:Fault>")), Unanswered),
    ],
)
def test_what_comes_in_the_place_of_no_answer_is_looked_at(
    sap: Connection, played: Played, answer: httpx.Response, error: type[ConnectorError]
) -> None:
    row = {"CompanyCode": COMPANY, "FiscalYear": YEAR, "AccountingDocument": ENTRY, "AccountingDocumentItem": "1"}
    played.on("GET", CUBE, httpx.Response(200, json={"d": {"results": [row]}}))
    played.on("POST", CHANGE, answer)

    with pytest.raises(error):
        block(sap)


# --- answers that a test plays -------------------------------------------------------------------
@pytest.fixture
def gate(db: None, played: Played) -> Connection:
    row = {"CompanyCode": COMPANY, "FiscalYear": YEAR, "AccountingDocument": ENTRY, "AccountingDocumentItem": "1"}
    row["GLAccount"] = "400000"
    played.on("GET", CUBE, httpx.Response(200, json={"d": {"results": [row]}}))
    played.on("GET", "/sap/bc/rfc/", httpx.Response(200, headers={"x-csrf-token": "t", "set-cookie": "a=1; path=/"}))
    played.on("POST", "/sap/bc/rfc/BAPI_TRANSACTION_COMMIT", httpx.Response(200, json={"RETURN": {"TYPE": ""}}))
    played.on("POST", "/sap/bc/rfc/BAPI_TRANSACTION_ROLLBACK", httpx.Response(200, json={}))
    return make_sap(config=JSON_GATEWAY)


def act(played: Played, answer: httpx.Response) -> None:
    played.on("POST", "/sap/bc/rfc/BAPI_ACC_DOCUMENT_REV_POST", answer)


def functions(played: Played) -> list[str]:
    return [request.url.path.rpartition("/")[2] for request in played.requests if request.method == "POST"]


DONE = {"RETURN": [{"TYPE": "S", "ID": "RW", "NUMBER": "605", "MESSAGE": "posted"}]}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"RETURN": [{"TYPE": "W", "MESSAGE": "x"}, {"TYPE": "E", "ID": "F5", "NUMBER": "201"}]}, Refused),
        ({"RETURN": {"item": [{"TYPE": "A", "MESSAGE": "aborted"}]}}, Refused),
        ({"Return": {"Type": "E", "Message": "no"}}, Refused),
        ({"RETURN": [{"TYPE": "E", "MESSAGE": "Document is locked by user X"}]}, Locked),
        ({"RETURN": []}, Unanswered),
        ({"OBJ_KEY": "1"}, Unanswered),
        ([], Unanswered),
    ],
)
def test_status_200_with_an_error_row_is_a_failure_and_never_committed(
    gate: Connection, played: Played, answer: Any, error: type[ConnectorError]
) -> None:
    act(played, httpx.Response(200, json=answer))

    with pytest.raises(error):
        reverse(gate)

    assert "BAPI_TRANSACTION_COMMIT" not in functions(played)
    assert functions(played)[1:] in (["BAPI_TRANSACTION_ROLLBACK"], [])


def test_the_commit_goes_in_the_session_of_the_call_and_waits(gate: Connection, played: Played) -> None:
    act(played, httpx.Response(200, json=DONE, headers={"set-cookie": "sap-contextid=SID%3a1; path=/"}))

    reverse(gate)

    call, commit = (request for request in played.requests if request.method == "POST")
    assert (call.headers["cookie"], commit.headers["cookie"]) == ("a=1", "a=1; sap-contextid=SID%3a1")
    assert call.headers["x-csrf-token"] == commit.headers["x-csrf-token"] == "t"
    assert commit.content == b'{"WAIT":"X"}'
    assert b'"OBJ_KEY":"010000000710102026"' in call.content


def test_two_reversals_never_share_a_session(gate: Connection, played: Played) -> None:
    act(played, httpx.Response(200, json=DONE))

    reverse(gate)
    reverse(gate)

    assert len([request for request in played.requests if request.url.path == "/sap/bc/rfc/"]) == 2


def test_an_update_that_fails_at_the_commit_is_an_unknown_outcome(gate: Connection, played: Played) -> None:
    act(played, httpx.Response(200, json=DONE))
    failed = {"RETURN": {"TYPE": "E", "ID": "SY", "NUMBER": "530", "MESSAGE": "Update was terminated"}}
    played.on("POST", "/sap/bc/rfc/BAPI_TRANSACTION_COMMIT", httpx.Response(200, json=failed))

    with pytest.raises(Unanswered, match="Update was terminated"):
        reverse(gate)


def test_a_session_that_ends_before_the_commit_saved_nothing(gate: Connection, played: Played) -> None:
    act(played, httpx.Response(200, json=DONE))
    played.on("POST", "/sap/bc/rfc/BAPI_TRANSACTION_COMMIT", httpx.Response(403, headers={"x-csrf-token": "Required"}))

    with pytest.raises(Unreachable) as ended:
        reverse(gate)

    assert not ended.value.effect_possible
    assert functions(played).count("BAPI_TRANSACTION_COMMIT") == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("<a/>", Unanswered),
        ("", Unanswered),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", Unanswered),
        (ENVELOPE.format(""), Unanswered),
        (ENVELOPE.format("<f:OTHER.Response xmlns:f='x'/>"), Unanswered),
        (ENVELOPE.format("<s:Fault><faultstring>not authorised</faultstring></s:Fault>"), Refused),
        (ENVELOPE.format("<f:ZZ.Exception xmlns:f='x'><Name>NOT_FOUND</Name></f:ZZ.Exception>"), Refused),
        ("<a>" * 40 + "</a>" * 40, Unanswered),
    ],
)
def test_an_envelope_is_read_for_what_it_is(db: None, played: Played, body: str, error: type[ConnectorError]) -> None:
    connection = make_sap(config={"read_functions": "ZZ"})
    played.on("POST", NODE, httpx.Response(200, text=body, headers={"content-type": "text/xml"}))

    with pytest.raises(error):
        gateway.call(connection, "function.read", {"function": "ZZ"}, actor="test")


def test_texts_are_escaped_and_letters_that_xml_cannot_carry_are_not_sent(db: None, played: Played) -> None:
    connection = make_sap(config={"read_functions": "ZZ"})
    answer = ENVELOPE.format("<f:ZZ.Response xmlns:f='x'><A>1 &lt; 2</A></f:ZZ.Response>")
    played.on("POST", NODE, httpx.Response(200, text=answer))

    record = gateway.call(
        connection, "function.read", {"function": "ZZ", "parameters": {"A": "</A><B>&"}}, actor="test"
    ).records[0]

    assert b"<A>&lt;/A&gt;&lt;B&gt;&amp;</A>" in played.requests[0].content
    assert record.fields["A"] == "1 < 2"
    with pytest.raises(Blocked):
        gateway.call(connection, "function.read", {"function": "ZZ", "parameters": {"A": "\x01"}}, actor="test")


def test_a_message_is_named_by_class_and_number() -> None:
    told = rfc.returned({"RETURN": [{"TYPE": "E", "ID": "F5", "NUMBER": "5", "MESSAGE": " two\n words "}]})

    assert [(message.code, message.text, message.failed) for message in told] == [("F5/005", "two words", True)]
