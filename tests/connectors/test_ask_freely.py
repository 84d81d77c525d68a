"""Free queries: what the grammars take and refuse, what is sent, what a connection lets be read, what comes back."""

from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from connectors import gateway
from connectors.base import Blocked, Refused
from connectors.freely import QueryLanguage
from connectors.kinds.dynamics_fo.asking import ASK as ODATA
from connectors.kinds.dynamics_fo.asking import ODataQuery
from connectors.kinds.salesforce.asking import ASK as SOQL
from connectors.kinds.salesforce.asking import SoqlQuery
from connectors.models import Call, Connection
from tests.connectors.business import CUSTOMER, plant_invoice
from tests.connectors.conftest import Simulated
from tests.connectors.factories import Played, make_crm, make_fo

INVOICES = "SalesInvoiceHeadersV2"


def odata(**given: Any) -> ODataQuery:
    return ODataQuery.model_validate({"entity": INVOICES, **given})


def soql(query: str, **given: Any) -> SoqlQuery:
    return SoqlQuery.model_validate({"query": query, **given})


def ask(connection: Connection, operation: str, **arguments: Any) -> Any:
    return gateway.call(connection, operation, arguments, actor="test").records


def told(refused: Any) -> str:
    return str(refused.value.errors()[0]["msg"])


# --- OData ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("InvoiceNumber eq 'IN-1'", "InvoiceNumber eq 'IN-1'"),
        ("  Amount gt 10.5\n  AND (Amount lt 20 Or not Amount EQ 15)",
         "Amount gt 10.5 and ( Amount lt 20 or not Amount eq 15 )"),
        ("Name eq 'O''Brien and eq ne {x}'", "Name eq 'O''Brien and eq ne {x}'"),
        ("Name eq '*4711*'", "Name eq '*4711*'"),
        ("IsOnHold eq Microsoft.Dynamics.DataEntities.NoYes'Yes'",
         "IsOnHold eq Microsoft.Dynamics.DataEntities.NoYes'Yes'"),
        ("Due lt 2026-11-01T00:00:00Z and Day ge 2026-01-31", "Due lt 2026-11-01T00:00:00Z and Day ge 2026-01-31"),
        ("Id eq 0b1c2d3e-0000-1111-2222-333344445555", "Id eq 0b1c2d3e-0000-1111-2222-333344445555"),
        ("A eq null or A eq true", "A eq null or A eq true"),
        ("", None),
    ],
)  # fmt: skip
def test_a_filter_is_written_anew_from_what_was_understood(given: str, sent: str | None) -> None:
    assert odata(filter=given).options().get("$filter") == sent


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("contains(Name,'x')", "Functions are not known to F&O"),
        ("Name in ('a','b')", "“in” does not compare"),
        ("Name eq", "It ends too early"),
        ("Name eq 'a' Name eq 'b'", "“Name” cannot stand after “Name eq 'a'”"),
        ("(Name eq 'a'", ") is missing"),
        ("Name eq 'a')", "“)” cannot stand"),
        ("Name eq 'a'; DELETE", "Cannot be read from here on: “; DELETE”"),
        ("Name eq 'a'&$top=9", "Cannot be read from here on: “&$top=9”"),
        ("Lines/any(l: l/Qty gt 1)", "Cannot be read from here on"),
        ("Name eq 'a\x07'", "Cannot be read from here on"),
        ("Name eq Other", "“Other” is no value"),
        ("'a' eq Name", "“'a'” cannot stand at the beginning"),
        ("(" * 13 + "Name eq 'a'" + ")" * 13, "nested more than 12 deep"),
        (" or ".join(["A eq 1"] * 101), "More than 400 words"),
        ("A eq '" + "x" * 4000 + "'", "at most 4000 characters"),
    ],
)
def test_what_is_no_filter_is_refused_with_what_to_write_instead(given: str, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        odata(filter=given)

    assert says in told(refused)


@pytest.mark.parametrize(
    "given",
    [
        {"entity": "Customers V3"}, {"entity": "CustomersV3/$value"}, {"select": "A,,B"}, {"select": "A B"},
        {"orderby": "A down"}, {"orderby": "A,B,C,D,E,F"}, {"rows": 5002}, {"rows": 0}, {"expand": "Lines"},
        {"select": ",".join(f"C{n}" for n in range(101))},
    ],
)  # fmt: skip
def test_other_parts_of_an_odata_query_are_held_too(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        odata(**given)


@pytest.mark.parametrize(
    ("watermark", "filter", "sent"),
    [
        ("", "At gt {watermark}", "At gt 1900-01-01T00:00:00Z"),
        ("2026-11-01T08:00:00Z", "At gt {watermark}", "At gt 2026-11-01T08:00:00Z"),
        ("2026-11-01T08:00:00+0100", "At gt {watermark}", "At gt 2026-11-01T08:00:00+01:00"),
        ("17", "RecId gt {watermark}", "RecId gt 17"),
        ("17", "Number gt '{watermark}'", "Number gt '17'"),
        ("1 or 1 eq 1", "RecId gt {watermark}", "RecId gt '1 or 1 eq 1'"),
        ("x' or 'a' eq 'a", "Number gt '{watermark}'", "Number gt 'x'' or ''a'' eq ''a'"),
        ("x' or 'a' eq 'a", "Number gt {watermark}", "Number gt 'x'' or ''a'' eq ''a'"),
    ],
)
def test_a_watermark_is_a_value_and_never_text_of_the_filter(watermark: str, filter: str, sent: str) -> None:
    assert odata(filter=filter, watermark=watermark).options()["$filter"] == sent


def test_a_watermark_that_f_and_o_would_read_as_a_wildcard_is_not_sent() -> None:
    with pytest.raises(Refused):
        odata(filter="Number eq '{watermark}'", watermark="*").options()


def test_a_query_tells_its_columns_order_and_entity() -> None:
    query = odata(select="TotalInvoiceAmount", orderby="DueDate, InvoiceNumber desc", rows=7)

    assert query.columns() == ("TotalInvoiceAmount", "dataAreaId", "InvoiceNumber")
    assert query.entities() == {INVOICES}
    assert (query.order(), odata(orderby="DueDate desc").order(), odata().columns()) == ("DueDate", "", ())
    assert query.options() == {
        "$select": "TotalInvoiceAmount,dataAreaId,InvoiceNumber", "$orderby": "DueDate asc,InvoiceNumber desc",
        "$top": "7",
    }  # fmt: skip


def test_rows_that_fit_a_filter_come_in_the_order_asked_for(fo: Connection, simulated: Simulated) -> None:
    plant_invoice(simulated, InvoiceNumber="IN-1", TotalInvoiceAmount=5.0)
    plant_invoice(simulated, InvoiceNumber="IN-2", TotalInvoiceAmount=50.0)
    plant_invoice(simulated, InvoiceNumber="IN-3", TotalInvoiceAmount=70.0)

    found = ask(
        fo, "odata.query", entity=INVOICES, filter="TotalInvoiceAmount gt 10 and InvoiceNumber eq 'IN*'",
        select="TotalInvoiceAmount", orderby="TotalInvoiceAmount desc",
    )  # fmt: skip
    one = ask(fo, "odata.query", entity=INVOICES, orderby="InvoiceNumber asc", rows=1)

    assert [(row.key, row.fields["TotalInvoiceAmount"]) for row in found] == [("demf/IN-3", 70.0), ("demf/IN-2", 50.0)]
    assert set(found[0].fields) == {"dataAreaId", "InvoiceNumber", "TotalInvoiceAmount"}
    assert [row.key for row in one] == ["demf/IN-1"]


def test_many_rows_are_read_page_by_page_and_no_further_than_asked(db: None, simulated: Simulated) -> None:
    small = make_fo(f"{simulated.url}/fo", secret="simulator", config={"page_size": 2})
    for number in range(7):
        plant_invoice(simulated, InvoiceNumber=f"IN-{number}")

    found = ask(small, "odata.query", entity=INVOICES, rows=5)

    assert len(found) == 5
    assert Call.objects.get().requests == 4  # the token and three pages


def test_a_field_that_does_not_exist_is_told_in_the_systems_own_words(fo: Connection, crm: Connection) -> None:
    with pytest.raises(Refused, match="Could not find a property named 'Nonsense'"):
        ask(fo, "odata.query", entity=INVOICES, filter="Nonsense eq 1")
    with pytest.raises(Refused, match="No such column 'Nonsense'"):
        ask(crm, "soql.query", query="SELECT Nonsense FROM Case")


def test_rows_of_an_entity_whose_key_nobody_knows_have_none(db: None, played: Played) -> None:
    fo = make_fo(config={"query_entities": "ReleasedProductsV2, VendorsV2"})
    row = {"ItemNumber": "L-1", "dataAreaId": "demf", "@odata.etag": "W/1"}
    played.on("GET", "/data/ReleasedProductsV2", httpx.Response(200, json={"value": [row]}))

    found = ask(fo, "odata.query", entity="ReleasedProductsV2", select="ItemNumber")

    assert [(one.key, one.url, one.version, one.fields["ItemNumber"]) for one in found] == [("", "", "W/1", "L-1")]


# --- SOQL -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("select Id from Case", "SELECT Id FROM Case LIMIT 500"),
        ("SELECT Subject FROM Case LIMIT 3", "SELECT Subject, Id FROM Case LIMIT 3"),
        ("SELECT Id FROM Case WHERE A = 'New' AND (B IN ('High','Low') OR (NOT C LIKE 'a%\\'b'))",
         "SELECT Id FROM Case WHERE A = 'New' AND ( B IN ( 'High' , 'Low' ) OR ( NOT C LIKE 'a%\\'b' ) ) LIMIT 500"),
        ("SELECT Id, Account.Name FROM Case WHERE CreatedDate >= LAST_N_DAYS:30 AND ClosedDate = null",
         "SELECT Id, Account.Name FROM Case WHERE CreatedDate >= LAST_N_DAYS:30 AND ClosedDate = null LIMIT 500"),
        ("SELECT Id FROM Case\nORDER BY CreatedDate DESC NULLS LAST, Id ASC NULLS FIRST LIMIT 9000",
         "SELECT Id FROM Case ORDER BY CreatedDate DESC NULLS LAST, Id NULLS FIRST LIMIT 500"),
        ("SELECT Id FROM Case WHERE IsClosed = false AND CreatedDate < today", None),
    ],
)  # fmt: skip
def test_a_question_is_written_anew_with_the_id_and_a_limit(given: str, sent: str | None) -> None:
    written = soql(given).soql()

    assert written == (sent or written)
    assert soql(written).soql() == written


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("DELETE FROM Case", "It begins with SELECT"),
        ("UPDATE Case SET Status = 'x'", "It begins with SELECT"),
        ("SELECT Id FROM Case; DELETE FROM Case", "Cannot be read from here on: “; DELETE"),
        ("SELECT Id FROM Case FOR UPDATE", "FOR is not part of a saved query"),
        ("SELECT Id FROM Case FOR VIEW", "FOR is not part of a saved query"),
        ("SELECT Id FROM Case WHERE Id = 'a' ALL ROWS", "ALL is not part"),
        ("SELECT Id FROM Case OFFSET 10", "OFFSET is not part"),
        ("SELECT Status FROM Case GROUP BY Status", "GROUP is not part"),
        ("SELECT COUNT() FROM Case", "functions are not part"),
        ("SELECT Id, (SELECT Id FROM Cases) FROM Account", "question inside a question"),
        ("SELECT (SELECT Id FROM Cases) FROM Account", "question inside a question"),
        ("SELECT Id FROM Case WHERE AccountId IN (SELECT Id FROM Account)", "question inside a question"),
        ("SELECT FIELDS(ALL) FROM Case", "functions are not part"),
        ("SELECT Id FROM Case WHERE DISTANCE(a, b) < 3", "functions are not part"),
        ("SELECT Id FROM Case, Account", "“,” cannot stand"),
        ("SELECT Id FROM Case c", "“c” cannot stand"),
        ("SELECT Id FROM Case WHERE Status = \"New\"", "Cannot be read from here on"),
        ("SELECT Id FROM Case WHERE Status = New", "“New” is no value"),
        ("SELECT Id FROM Case WHERE Status 'New'", "cannot stand after"),
        ("SELECT Id FROM Case WHERE Status LIKE 3", "cannot stand after"),
        ("SELECT Id FROM Case WHERE Status = 'a\\x'", "Cannot be read from here on"),
        ("SELECT Id FROM Case WHERE", "ends too early"),
        ("SELECT Id FROM Case WHERE A = 1 AND B = 2 OR C = 3", "AND and OR stand side by side"),
        ("SELECT Id FROM Case WHERE A = 1 AND NOT (B = 2)", "Put parentheses around NOT"),
        ("SELECT Id FROM Case LIMIT 0", "LIMIT takes a whole number"),
        ("SELECT Id FROM Case LIMIT 2.5", "LIMIT takes a whole number"),
        ("SELECT Id FROM Case -- all", "Cannot be read from here on"),
        ("SELECT Id Subject FROM Case", "FROM is missing"),
        ("SELECT , FROM Case", "cannot stand"),
        ("SELECT FROM Case", "A name is missing"),
        ("", "at least 1 character"),
    ],
)  # fmt: skip
def test_what_is_no_single_select_is_refused_with_what_to_write_instead(given: str, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        soql(given)

    assert says in told(refused)


@pytest.mark.parametrize(
    ("watermark", "condition", "sent"),
    [
        ("", "At > {watermark}", "At > 1900-01-01T00:00:00.000Z"),
        ("2026-11-01T08:00:00.123+0000", "At > {watermark}", "At > 2026-11-01T08:00:00.123Z"),
        ("2026-11-01", "Day > {watermark}", "Day > 2026-11-01"),
        ("0042", "Number > '{watermark}'", "Number > '0042'"),
        ("a' OR Id != '", "Number > '{watermark}'", "Number > 'a\\' OR Id != \\''"),
        ("a' OR Id != '", "Number > {watermark}", "Number > 'a\\' OR Id != \\''"),
        ("1 OR Id != null", "Number > {watermark}", "Number > '1 OR Id != null'"),
        ("a\\", "Number > '{watermark}'", "Number > 'a\\\\'"),
    ],
)
def test_a_watermark_is_a_literal_of_soql(watermark: str, condition: str, sent: str) -> None:
    written = soql(f"SELECT Id FROM Case WHERE {condition}", watermark=watermark).soql()

    assert written == f"SELECT Id FROM Case WHERE {sent} LIMIT 500"
    assert soql(written).soql() == written


def test_a_question_tells_what_it_reads_and_how_it_is_ordered() -> None:
    query = soql("SELECT Owner.Name FROM Case WHERE Account.Region__c = 'a.b' ORDER BY Parent.CaseNumber")

    assert query.entities() == {"Case", "Owner", "Account", "Parent"}
    assert query.columns() == ("Owner.Name", "Id")
    assert (query.order(), soql("SELECT id FROM Case ORDER BY Id DESC").order()) == ("Parent.CaseNumber", "")
    assert not query.marked()
    assert soql("SELECT Id FROM Case WHERE Subject = 'x{watermark}'").marked()


def test_rows_carry_the_columns_as_the_question_writes_them(crm: Connection, simulated: Simulated) -> None:
    account = simulated.plant("sf", "Account", Name="Glow", AccountNumber=CUSTOMER)
    simulated.plant("sf", "Case", Subject="late", Status="New", AccountId=account["Id"])
    simulated.plant("sf", "Case", Subject="early", Status="Closed")
    simulated.plant("sf", "Case", Subject="odd", Status="New")

    found = ask(crm, "soql.query", query="SELECT subject, Account.name FROM case WHERE Status='New' ORDER BY Subject")
    recent = ask(
        crm, "soql.query", query="SELECT Id FROM Case WHERE CreatedDate = LAST_N_DAYS:1 OR CreatedDate = TODAY"
    )

    assert [dict(row.fields) for row in found] == [
        {"subject": "late", "Account.name": "Glow", "Id": found[0].key},
        {"subject": "odd", "Account.name": None, "Id": found[1].key},
    ]
    assert len(recent) == 3


def test_no_more_rows_than_asked_for_are_read(crm: Connection, simulated: Simulated) -> None:
    for number in range(4):
        simulated.plant("sf", "Case", Subject=f"{number}")

    found = ask(crm, "soql.query", query="SELECT Subject FROM Case ORDER BY Subject", rows=3)

    assert [row.fields["Subject"] for row in found] == ["0", "1", "2"]


# --- what a connection lets be read -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("config", "arguments"),
    [
        ({}, {"entity": "SystemUsers"}),
        ({"query_entities": "VendorsV2"}, {"entity": INVOICES}),
        ({}, {"query": "SELECT Id FROM User"}),
        ({}, {"query": "SELECT Id, Owner.Email FROM Case"}),
        ({}, {"query": "SELECT Id FROM Case WHERE Owner.Email LIKE 'a%'"}),
        ({}, {"query": "SELECT Id FROM Case ORDER BY Owner.Email"}),
    ],
)
def test_an_entity_that_the_connection_does_not_name_is_never_asked_for(
    db: None, played: Played, config: dict[str, str], arguments: dict[str, str]
) -> None:
    connection = make_fo(config=config) if "entity" in arguments else make_crm(config=config)
    declared = ODATA if "entity" in arguments else SOQL

    with pytest.raises(Blocked, match="may not read") as refused:
        ask(connection, declared.name, **arguments)

    assert refused.value.code == "entity"
    assert played.requests == []
    assert gateway.faults(connection, declared, arguments)


def test_what_a_connection_names_may_be_asked_for(db: None, played: Played) -> None:
    crm = make_crm(config={"query_entities": "case, Owner"})
    played.on("GET", "/services/data/v62.0/query", httpx.Response(200, json={"done": True, "records": []}))
    question = "SELECT Id, Owner.Email FROM Case"

    assert gateway.faults(crm, SOQL, {"query": question}) == {}
    assert ask(crm, "soql.query", query=question) == []
    assert played.requests[-1].url.params["q"] == f"{question} LIMIT 500"


def test_a_refused_question_reaches_neither_the_system_nor_the_log(db: None, played: Played) -> None:
    fo = make_fo()

    with pytest.raises(Blocked) as refused:
        ask(fo, "odata.query", entity=INVOICES, filter="Name eq 'secret stuff'; drop")

    assert refused.value.code == "arguments"
    assert played.requests == []
    assert Call.objects.get().arguments == {"names": ["entity", "filter"]}
    assert list(gateway.faults(fo, ODATA, {"entity": INVOICES, "filter": "a"})) == ["filter"]


def test_each_kind_says_in_which_language_it_can_be_asked() -> None:
    assert (ODATA.query_language, SOQL.query_language) == (QueryLanguage.ODATA, QueryLanguage.SOQL)
