"""Reading Dataverse: rows, keys, labels, pages, relationships and FetchXML, and answers that are not to be believed."""

import re
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from connectors import gateway
from connectors.base import Blocked, ConnectorError, NotFound, Refused, Unanswered
from connectors.kinds.dataverse.fetchxml import FetchXmlQuery, Page
from connectors.models import Connection
from tests.connectors.business import CUSTOMER, ORDER, plant_crm
from tests.connectors.conftest import Simulated
from tests.connectors.factories import CRM, Played, make_dv

API = "/api/data/v9.2"
ID = "2f0c1c1e-0000-0000-0000-000000000001"
ROW = {"@odata.etag": 'W/"468026"', "accountid": ID, "name": "Lamp House"}
ORDERED = "<fetch><entity name='account'><attribute name='name'/><order attribute='name'/></entity></fetch>"


def read(connection: Connection, name: str, **arguments: Any) -> list[Any]:
    return gateway.call(connection, name, arguments, actor="test").records


def fetch(connection: Connection, query: str, **more: Any) -> list[Any]:
    return read(connection, "fetchxml.query", query=query, **more)


@pytest.fixture
def ids(simulated: Simulated) -> dict[str, str]:
    return plant_crm(simulated)


# --- the simulator -----------------------------------------------------------------------------
def test_a_record_comes_with_its_version_its_labels_and_the_table_of_its_lookups(
    dv: Connection, ids: dict[str, str]
) -> None:
    order = read(dv, "record.get", table="salesorder", id=ids["order"])[0]

    assert (order.entity, order.key) == ("salesorder", ids["order"])
    assert re.fullmatch(r'W/"\d+"', order.version)
    assert (order.fields["shippingmethodcode"], order.fields["shippingmethodcode_label"]) == (2, "Ground")
    assert order.fields["_customerid_value"] == ids["account"]
    assert order.fields["_customerid_value_label"] == "Lamp House"
    assert order.fields["_customerid_value_table"] == "account"
    assert not [name for name in order.fields if "@" in name]


def test_without_labels_only_the_values_come(simulated: Simulated, ids: dict[str, str], db: None) -> None:
    plain = make_dv(f"{simulated.url}/dv", secret="simulator", config={"labels": False})

    order = read(plain, "record.get", table="salesorder", id=ids["order"])[0]

    assert not [name for name in order.fields if name.endswith(("_label", "_table"))]


def test_chosen_columns_and_the_record_behind_a_lookup(dv: Connection, ids: dict[str, str]) -> None:
    expand = {"customerid_account": ["name", "accountnumber"]}

    order = read(dv, "record.get", table="salesorder", id=ids["order"], columns=["ordernumber"], expand=expand)[0]

    assert order.fields == {
        "salesorderid": ids["order"],
        "ordernumber": ORDER,
        "customerid_account": {"name": "Lamp House", "accountnumber": CUSTOMER, "accountid": ids["account"]},
    }


def test_an_id_may_come_in_braces_and_in_capitals(dv: Connection, ids: dict[str, str]) -> None:
    found = read(dv, "record.get", table="account", id="{" + ids["account"].upper() + "}")

    assert found[0].key == ids["account"]


def test_what_is_not_there_is_an_empty_list(dv: Connection, ids: dict[str, str]) -> None:
    assert read(dv, "record.get", table="account", id=ID) == []
    assert read(dv, "record.by_key", table="account", key={"accountnumber": "nobody"}) == []


def test_conditions_order_and_pages(dv: Connection, simulated: Simulated) -> None:
    for number in range(7):
        simulated.plant("dv", "task", subject=f"Call {number}", description="O'Hara & Sons" if number % 2 else "")
    Connection.objects.update(config={**dv.config, "page_size": 2})

    where = [
        {"column": "description", "value": "O'Hara & Sons"},
        {"column": "subject", "op": "contains", "value": "ca"},
    ]
    odd = read(dv, "records.list", table="task", where=where, orderby="subject", descending=True)
    some = read(dv, "records.list", table="task", orderby="subject", rows=3)

    assert [row.fields["subject"] for row in odd] == ["Call 5", "Call 3", "Call 1"]
    assert [row.fields["subject"] for row in some] == ["Call 0", "Call 1", "Call 2"]


@pytest.mark.parametrize("value", ["' or 'a' eq 'a", "x' or title ne '", "null", "true", "'", "''"])
def test_no_value_breaks_out_of_its_condition(dv: Connection, ids: dict[str, str], value: str) -> None:
    assert read(dv, "records.list", table="incident", where=[{"column": "title", "value": value}]) == []


def test_the_far_side_of_a_relationship(dv: Connection, simulated: Simulated, ids: dict[str, str]) -> None:
    pair = {"table": "account", "id": ids["account"], "relationship": "new_account_contact", "to": "contact"}
    before = read(dv, "records.related", **pair)
    gateway.call(dv, "record.associate", {**pair, "target": ids["contact"]}, actor="test", effect_key="k")

    assert before == []
    assert [row.fields["fullname"] for row in read(dv, "records.related", **pair)] == ["Buyer"]


def test_fetchxml_pages_with_the_servers_own_mark(dv: Connection, simulated: Simulated) -> None:
    for number in range(5):
        simulated.plant("dv", "account", name=f"Shop {number}", accountnumber=f"S-{number}")
    Connection.objects.update(config={**dv.config, "page_size": 2})

    found = fetch(dv, ORDERED)

    asked = [httpx.URL(row["path"]).params["fetchXml"] for row in simulated.requests() if "fetchXml" in row["path"]]
    assert [row.fields["name"] for row in found] == [f"Shop {number}" for number in range(5)]
    assert len({row.key for row in found}) == 5
    assert ['page="1"' in asked[0], 'page="2"' in asked[1], 'page="3"' in asked[2]] == [True] * 3
    assert "paging-cookie" not in asked[0]
    assert "&lt;cookie page=&quot;1&quot;&gt;" in asked[1]


def test_fetchxml_joins_filters_and_ends_after_so_many_rows(dv: Connection, ids: dict[str, str]) -> None:
    query = (
        "<fetch><entity name='salesorder'><attribute name='ordernumber'/><filter><condition attribute='totalamount' "
        "operator='gt' value='{watermark}'/></filter><link-entity name='account' from='accountid' to='customerid' "
        "alias='who'><attribute name='name'/></link-entity></entity></fetch>"
    )

    assert [row.fields["who.name"] for row in fetch(dv, query, watermark="100")] == ["Lamp House"]
    assert fetch(dv, query, watermark="130") == []
    assert fetch(dv, ORDERED, rows=1)[0].fields["name"] == "Lamp House"


def test_fetchxml_shows_a_lookup_by_the_name_that_was_asked_for(dv: Connection, ids: dict[str, str]) -> None:
    query = "<fetch><entity name='salesorder'><attribute name='customerid'/></entity></fetch>"

    order = fetch(dv, query)[0]

    assert FetchXmlQuery(query=query).columns() == ("customerid",)
    assert order.fields["customerid"] == order.fields["_customerid_value"] == ids["account"]
    assert order.fields["_customerid_value_label"] == "Lamp House"


def test_fetchxml_reads_no_table_that_was_not_named(dv: Connection) -> None:
    joined = "<fetch><entity name='account'><link-entity name='systemuser' from='a' to='b'/></entity></fetch>"
    for query in ("<fetch><entity name='systemuser'/></fetch>", joined):
        with pytest.raises(Blocked, match="may not read systemuser"):
            fetch(dv, query)


# --- the grammar -------------------------------------------------------------------------------
ENTITY = "<entity name='account'>{}</entity>"
BAD = {
    "no xml": "SELECT name FROM account",
    "a dtd": "<!DOCTYPE fetch [<!ENTITY a 'b'>]><fetch><entity name='account'/></fetch>",
    "a bare dtd": "<!DOCTYPE fetch><fetch><entity name='account'/></fetch>",
    "an entity bomb": "<!DOCTYPE f [<!ENTITY a 'aa'><!ENTITY b '&a;&a;'>]><fetch><entity name='&b;'/></fetch>",
    "an external entity": "<!DOCTYPE f [<!ENTITY a SYSTEM 'file:///x'>]><fetch><entity name='account'/></fetch>",
    "another root": "<delete><entity name='account'/></delete>",
    "two tables": "<fetch><entity name='account'/><entity name='contact'/></fetch>",
    "no table": "<fetch/>",
    "an aggregate": "<fetch aggregate='true'><entity name='account'/></fetch>",
    "a hint": "<fetch options='x'><entity name='account'/></fetch>",
    "its own page": "<fetch page='2'><entity name='account'/></fetch>",
    "a namespace": "<fetch xmlns='urn:x'><entity name='account'/></fetch>",
    "text between": "<fetch>now<entity name='account'/></fetch>",
    "an unknown element": "<fetch>" + ENTITY.format("<script/>") + "</fetch>",
    "a condition outside": "<fetch>" + ENTITY.format("<condition attribute='name' operator='null'/>") + "</fetch>",
    "a name with a quote": "<fetch><entity name=\"account' or '1\"/></fetch>",
    "a table without a name": "<fetch><entity/></fetch>",
    "too deep": "<fetch>" + ENTITY.format("<filter>" * 20 + "</filter>" * 20) + "</fetch>",
    "too many joins": "<fetch>" + ENTITY.format("<link-entity name='contact'/>" * 16) + "</fetch>",
    "too much": "<fetch>" + ENTITY.format("<attribute name='name'/>" * 600) + "</fetch>",
}


@pytest.mark.parametrize("query", BAD.values(), ids=BAD)
def test_what_is_not_in_the_grammar_is_refused_before_it_is_sent(query: str) -> None:
    with pytest.raises(ValidationError):
        FetchXmlQuery(query=query)


def test_a_question_tells_of_its_tables_columns_and_order() -> None:
    inner = (
        "<attribute name='name'/><order attribute='modifiedon'/><filter><condition attribute='modifiedon' operator='gt'"
        " value='{watermark}'/></filter><link-entity name='contact' from='a' to='b' alias='c'>"
        "<attribute name='fullname'/></link-entity>"
    )
    query = FetchXmlQuery(query="<fetch>" + ENTITY.format(inner) + "</fetch>")

    assert query.entities() == {"account", "contact"}
    assert query.columns() == ("name", "c.fullname")
    assert query.order() == "modifiedon"
    assert query.marked()
    assert 'value="1900-01-01T00:00:00Z"' in query.xml(Page(1), 10)


def test_a_watermark_stays_a_value_whatever_it_holds() -> None:
    inner = "<filter><condition attribute='name' operator='eq' value='{watermark}'/></filter>"
    query = FetchXmlQuery(query="<fetch>" + ENTITY.format(inner) + "</fetch>", watermark="\"/><entity name='x'/>")

    assert 'value="&quot;/&gt;&lt;entity name=' in query.xml(Page(1), 10)
    assert FetchXmlQuery(query=ORDERED.replace("<order attribute='name'/>", "")).order() == ""
    assert (
        FetchXmlQuery(query=ORDERED.replace("'name'/></entity>", "'name' descending='true'/></entity>")).order() == ""
    )


# --- systems that a test plays -------------------------------------------------------------------
@pytest.fixture
def played_dv(db: None, played: Played) -> Connection:
    return make_dv()


def one(connection: Connection) -> list[Any]:
    return read(connection, "record.get", table="account", id=ID)


def test_a_read_says_what_it_speaks_and_asks_for_the_labels(played_dv: Connection, played: Played) -> None:
    played.on("GET", f"{API}/accounts({ID})", httpx.Response(200, json=ROW))

    found = one(played_dv)

    sent = played.calls[0]
    assert found[0].url == f"{CRM}{API}/accounts({ID})"
    assert (sent.headers["odata-version"], sent.headers["if-none-match"]) == ("4.0", "null")
    assert "FormattedValue" in sent.headers["prefer"]
    assert sent.headers["prefer"].count("odata.include-annotations") == 1
    token = dict(httpx.QueryParams(played.requests[0].content.decode()))
    assert token["scope"] == f"{CRM}/.default"
    assert str(played.requests[0].url) == f"{CRM}/contoso.test/oauth2/v2.0/token"


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "accountid": ID.replace("1", "2", 1)}, {"name": "Lamp House"}, {**ROW, "accountid": 7},
        {"value": [ROW]}, [ROW], {"error": {"code": "0x80040217"}}, None, "x",
    ],
)  # fmt: skip
def test_another_record_or_none_in_its_place_is_no_answer(played_dv: Connection, played: Played, row: Any) -> None:
    played.on("GET", f"{API}/accounts({ID})", httpx.Response(200, json=row))

    with pytest.raises(Unanswered):
        one(played_dv)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.test/api/data/v9.2/accounts", "//evil.test/x", "http://contoso.crm4.dynamics.test/x", "/accounts",
        f"{CRM}.evil.test/api/data/v9.2/accounts", f"{CRM}@evil.test/api/data/v9.2/", 7, ["x"],
    ],
)  # fmt: skip
def test_a_page_that_continues_elsewhere_is_not_followed(played_dv: Connection, played: Played, link: Any) -> None:
    played.on("GET", f"{API}/accounts", httpx.Response(200, json={"value": [ROW], "@odata.nextLink": link}))

    with pytest.raises(Unanswered):
        read(played_dv, "records.list", table="account")

    assert {request.url.host for request in played.requests} == {"contoso.crm4.dynamics.test"}


def test_pages_without_an_end_are_no_answer(played_dv: Connection, played: Played) -> None:
    body = {"value": [], "@odata.nextLink": f"{CRM}{API}/accounts?$skiptoken=1"}
    played.on("GET", f"{API}/accounts", httpx.Response(200, json=body))

    with pytest.raises(Unanswered, match="more than 50 pages"):
        read(played_dv, "records.list", table="account")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "0x80060888", Refused), (403, "0x80040220", Refused), (404, "0x80040217", None),
        (500, "0x80040333", Refused), (412, "0x80040333", Refused), (400, "-2147220685", Refused),
    ],
)  # fmt: skip
def test_what_an_error_means_stands_in_its_code(
    played_dv: Connection, played: Played, status: int, code: str, kind: type[ConnectorError] | None
) -> None:
    told = "Principal user is missing prvReadAccount privilege"
    played.on("GET", f"{API}/accounts({ID})", httpx.Response(status, json={"error": {"code": code, "message": told}}))
    if kind is None:
        assert one(played_dv) == []
        return

    with pytest.raises(kind, match="missing prvReadAccount") as refused:
        one(played_dv)

    assert (type(refused.value), refused.value.code) == (kind, code)
    assert not isinstance(refused.value, NotFound)


@pytest.mark.parametrize("status", [400, 429, 503])
def test_a_service_protection_limit_pauses_every_worker_for_as_long_as_it_says(
    played_dv: Connection, played: Played, status: int
) -> None:
    error = {"error": {"code": "0x80072321", "message": "Combined execution time exceeded."}}
    played.on("GET", f"{API}/accounts({ID})", httpx.Response(status, json=error, headers={"Retry-After": "60"}))
    older = Connection.objects.get(pk=played_dv.pk)

    with pytest.raises(ConnectorError) as limited:
        one(played_dv)
    with pytest.raises(Blocked) as blocked:
        one(older)

    assert limited.value.retry_after == 60
    assert blocked.value.code == "not_before"
    assert 50 < (blocked.value.retry_after or 0) <= 60
    assert len(played.calls) == 1
