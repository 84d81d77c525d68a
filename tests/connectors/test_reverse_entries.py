"""Reversals of journal entries: proved by sums per account and currency, and aware of closed periods."""

from typing import Any

import pytest

from connectors import gateway, registry
from connectors.base import Blocked, Change, Record, Refused, Write
from connectors.models import Connection
from tests.connectors.conftest import Simulated
from tests.connectors.sap_world import COMPANY, ENTRY, JSON_GATEWAY, YEAR, make_sap, plant_sap

KEY = "a" * 40
CUBE = "A_OperationalAcctgDocItemCube"
JOURNAL = {"company": COMPANY, "year": YEAR, "document": ENTRY}
REVERSAL = {**JOURNAL, "reason": "01", "posting_date": "2026-02-01"}
ASKED = {**JSON_GATEWAY, "reversal_check": "BAPI_ACC_DOCUMENT_REV_CHECK"}
RENT, CASH = "Net of account 400000 in EUR", "Net of account 113100 in EUR"


@pytest.fixture
def sap(db: None, simulated: Simulated) -> Connection:
    plant_sap(simulated)
    return make_sap(simulated.url, secret="simulator", config=ASKED)


def entry(sap: Connection, **changes: str) -> Record:
    return gateway.observe(sap, "journal.reverse", {**REVERSAL, **changes}, actor="test")[0]


def reverse(sap: Connection, **changes: str) -> gateway.Answer:
    return gateway.call(sap, "journal.reverse", {**REVERSAL, **changes}, actor="test", effect_key=KEY)


def predicted(sap: Connection) -> list[Change]:
    write = registry.operation_of(sap, "journal.reverse")
    assert isinstance(write, Write)
    records = gateway.observe(sap, "journal.reverse", REVERSAL, actor="test")
    return write.predict(write.arguments.model_validate(REVERSAL), records)


def checked(sap: Connection, **changes: str) -> dict[str, Any]:
    return dict(gateway.call(sap, "reversal.check", {**REVERSAL, **changes}, actor="test").records[0].fields)


def books(simulated: Simulated) -> list[dict[str, Any]]:
    answer = simulated.client.get("/control/records", params={"system": "sap", "entity": CUBE})
    return [row["fields"] for row in answer.raise_for_status().json()]


# --- net zero ------------------------------------------------------------------------------------
def test_before_a_reversal_each_account_is_named_with_what_will_be_zero(sap: Connection) -> None:
    told = {(change.field, change.before, change.after) for change in predicted(sap)}

    assert told == {
        ("Reversed", False, True), (RENT, "75.25", "0.00"), (CASH, "-75.25", "0.00"), ("AccountsNotZero", 2, 0),
    }  # fmt: skip


def test_after_it_both_documents_are_read_and_come_to_zero(sap: Connection, simulated: Simulated) -> None:
    reverse(sap)

    records = gateway.observe(sap, "journal.reverse", REVERSAL, actor="test")
    fields = records[0].fields
    assert (fields["Reversed"], fields[RENT], fields[CASH], fields["AccountsNotZero"]) == (True, "0.00", "0.00", 0)
    assert fields["ReversedBy"] == "100900001/2026"
    assert [row.key for row in records[1:]] == [
        f"{COMPANY}/{YEAR}/{document}/{line}" for document in (ENTRY, "100900001") for line in "12"
    ]
    posted = [row for row in books(simulated) if row["AccountingDocument"] == "100900001"]
    assert [(row["GLAccount"], row["AmountInTransactionCurrency"]) for row in posted] == [
        ("400000", "-75.25"), ("113100", "75.25"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"AmountInTransactionCurrency": "-75.20"}, (1, "0.05")),
        ({"TransactionCurrency": "USD"}, (2, "75.25")),
        ({"GLAccount": "400001"}, (2, "75.25")),
    ],
)
def test_a_reversal_that_takes_back_something_else_does_not_come_to_zero(
    sap: Connection, simulated: Simulated, change: dict[str, str], expected: tuple[int, str]
) -> None:
    reverse(sap)
    simulated.edit("sap", CUBE, f"{COMPANY}/{YEAR}/100900001/1", **change)

    fields = entry(sap).fields

    assert fields["Reversed"] is True
    assert (fields["AccountsNotZero"], fields[RENT]) == expected


def test_a_mark_without_a_document_behind_it_is_no_proof(sap: Connection, simulated: Simulated) -> None:
    for line in "12":
        simulated.edit("sap", CUBE, f"{COMPANY}/{YEAR}/{ENTRY}/{line}", IsReversed=True)

    fields = entry(sap).fields

    assert (fields["Reversed"], fields["ReversedBy"], fields[RENT]) == (True, "", "75.25")


def test_an_entry_of_two_currencies_is_summed_in_each(sap: Connection, simulated: Simulated) -> None:
    simulated.edit("sap", CUBE, f"{COMPANY}/{YEAR}/{ENTRY}/2", TransactionCurrency="USD")

    before = entry(sap).fields
    reverse(sap)
    after = entry(sap).fields

    names = (RENT, "Net of account 113100 in USD")
    assert [before[name] for name in names] == ["75.25", "-75.25"]
    assert [after[name] for name in names] == ["0.00", "0.00"]


def test_an_entry_within_one_account_is_zero_before_and_has_to_be_after(sap: Connection, simulated: Simulated) -> None:
    simulated.edit("sap", CUBE, f"{COMPANY}/{YEAR}/{ENTRY}/2", GLAccount="400000")
    told = {(change.field, change.before, change.after) for change in predicted(sap)}

    reverse(sap)
    simulated.edit("sap", CUBE, f"{COMPANY}/{YEAR}/100900001/1", GLAccount="400001")

    assert told == {("Reversed", False, True), ("AccountsNotZero", 0, 0)}
    assert entry(sap).fields["AccountsNotZero"] == 2


def test_items_without_an_account_prove_nothing(sap: Connection, simulated: Simulated) -> None:
    simulated.edit("sap", CUBE, f"{COMPANY}/{YEAR}/{ENTRY}/2", GLAccount="")

    with pytest.raises(Blocked, match="has no GLAccount, so nothing proves"):
        entry(sap)


# --- periods -------------------------------------------------------------------------------------
def test_sap_is_asked_before_and_posts_nothing(sap: Connection, simulated: Simulated) -> None:
    assert checked(sap) == {"Asked": True, "Accepted": True, "Message": "", "PostingDate": "2026-02-01"}
    assert entry(sap).fields["PostingRefused"] == ""
    assert simulated.client.get("/ledger/effects").json() == []
    assert len(books(simulated)) == 4


def test_a_closed_period_is_seen_before_anything_is_sent(sap: Connection, simulated: Simulated) -> None:
    before = entry(sap).version
    simulated.period("2026-02", "Closed")

    seen = checked(sap)

    assert (seen["Accepted"], seen["Message"]) == (False, "SAP: Posting period 002 2026 is not open")
    assert entry(sap).fields["PostingRefused"] == "SAP: Posting period 002 2026 is not open"
    assert entry(sap).version != before, "what was approved while it was open is void"
    assert checked(sap, posting_date="2026-03-01")["Accepted"] is True


def test_without_a_function_for_it_nobody_is_asked_and_it_is_said_so(sap: Connection, simulated: Simulated) -> None:
    sap.config = {**sap.config, "reversal_check": ""}
    sap.save()
    simulated.period("2026-02", "Closed")

    assert checked(sap) == {"Asked": False, "Accepted": False, "Message": "", "PostingDate": "2026-02-01"}
    assert entry(sap).fields["PostingRefused"] == ""


@pytest.mark.parametrize("codes", ["F5/201", "XX/001, f5/201"])
def test_a_refusal_for_a_closed_period_says_what_can_be_done(sap: Connection, simulated: Simulated, codes: str) -> None:
    sap.config = {**sap.config, "closed_period_codes": codes}
    sap.save()
    simulated.period("2026-02", "Closed")

    with pytest.raises(Refused, match="have finance open it, or plan again with a posting date in an open") as refused:
        reverse(sap)

    assert (refused.value.code, refused.value.status) == ("F5/201", 200)
    assert simulated.effects(KEY) == []


def test_another_refusal_is_told_as_sap_said_it(sap: Connection) -> None:
    reverse(sap)

    with pytest.raises(Refused) as refused:
        gateway.call(sap, "journal.reverse", REVERSAL, actor="test", effect_key="b" * 40)

    assert "posting date" not in str(refused.value)


def test_a_lock_is_no_word_against_the_reversal(sap: Connection, simulated: Simulated) -> None:
    simulated.client.post("/control/sap", json={"lock": ENTRY}).raise_for_status()

    assert checked(sap)["Accepted"] is True


def test_entries_with_a_reference_are_listed_by_item(sap: Connection) -> None:
    asked = {"company": COMPANY, "year": YEAR, "reference": "ACCRUAL-01"}

    rows = gateway.call(sap, "journal_items.by_reference", asked, actor="test").records

    assert [row.key for row in rows] == [
        f"{COMPANY}/{YEAR}/{document}/{line}" for document in (ENTRY, "100000008") for line in "12"
    ]
