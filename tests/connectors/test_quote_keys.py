"""Texts from outside inside addresses, filters and queries: they stay where they were put."""

from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from connectors import gateway
from connectors.base import Blocked, ConnectorError, NotFound, Refused, Unanswered
from connectors.kinds.dynamics_fo import odata
from connectors.kinds.salesforce import soql
from connectors.models import Connection
from connectors.simulator.salesforce.soql import Parser
from tests.connectors.conftest import Simulated
from tests.connectors.factories import ORG, ROOT, Played, make_crm, make_fo

NASTY = [
    "O'Brien", "''", "'", "A&B", "A#B", "A?B", "A/B", "A%2FB", "A%B", "A+B", "A B", "ü\u4e2d\U0001f600", "(x)", "a,b",
    "a=b", "x' or '1' eq '1", "x') or (1 eq 1", "../../secret", ".", "A;B", "A\\B", '"', "$filter", "@x", "null",
    "true",
]  # fmt: skip
CASE = "500gs0000000001AAA"


@pytest.mark.parametrize("text", NASTY)
def test_a_key_reaches_fo_as_one_segment_that_says_exactly_the_text(db: None, played: Played, text: str) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(404, json={})

    played._found = lambda request: (  # type: ignore[method-assign]
        httpx.Response(200, json={"access_token": "t"}) if request.url.path.endswith("/token") else answer(request)
    )

    gateway.call(make_fo(), "order.get", {"company": "demf", "order": text}, actor="test")

    path, _, query = seen[0].partition("?")
    assert query == "cross-company=true"
    assert path.count("/") == 2
    doubled = text.replace("'", "''")
    assert unquote(path.split("/")[2]) == f"SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='{doubled}')"


@pytest.mark.parametrize("text", NASTY)
def test_a_filter_finds_exactly_the_record_that_has_the_text(fo: Connection, simulated: Simulated, text: str) -> None:
    for number in (text, "another", "x"):
        simulated.plant("fo", "SalesOrderHeadersV2", dataAreaId="demf", SalesOrderNumber=number)

    found = gateway.call(fo, "order.find", {"order": text}, actor="test").records
    one = gateway.call(fo, "order.get", {"company": "demf", "order": text}, actor="test").records

    assert [record.fields["SalesOrderNumber"] for record in found] == [text]
    assert [record.key for record in one] == [f"demf/{text}"]


@pytest.mark.parametrize("text", ["*", "SO*", "a\nb", "a\tb", "", " ", "x" * 61, "a\x00b", "\ud800"])
def test_a_key_that_would_match_more_than_itself_is_refused(db: None, played: Played, text: str) -> None:
    with pytest.raises(Blocked) as blocked:
        gateway.call(make_fo(), "order.find", {"order": text}, actor="test")

    assert blocked.value.code == "arguments"
    assert played.requests == []


def test_a_wildcard_that_a_record_brings_along_is_refused_and_not_searched_for(
    fo: Connection, simulated: Simulated
) -> None:
    line = {"InventoryLotId": "LOT-1", "SalesOrderNumber": "SO-1", "ItemNumber": "LAMP*2", "OrderedSalesQuantity": 1}
    simulated.plant("fo", "SalesOrderLines", dataAreaId="demf", **line)

    with pytest.raises(Refused, match="asterisk"):
        gateway.observe(fo, "line.set_warehouse", {"company": "demf", "lot": "LOT-1", "warehouse": "12"}, actor="test")


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.test/data/SalesOrderCharges", "http://contoso.operations.dynamics.test/data/X",
        f"{ROOT}.evil.test/data/X", f"{ROOT}@evil.test/data/X", f"{ROOT}:8443/data/X", f"{ROOT}/api/X", "/data/X",
        "//x",
        "javascript:alert(1)", 7, ["x"],
    ],
)  # fmt: skip
def test_a_list_that_goes_on_elsewhere_is_not_followed(db: None, played: Played, link: Any) -> None:
    played.on("GET", "/data/SalesOrderCharges", httpx.Response(200, json={"value": [], "@odata.nextLink": link}))

    with pytest.raises(Unanswered, match="another address"):
        gateway.call(make_fo(), "charges.list", {"company": "demf", "order": "1"}, actor="test")

    assert len(played.calls) == 1


def test_a_list_that_goes_round_in_a_circle_ends(db: None, played: Played) -> None:
    link = f"{ROOT}/data/SalesOrderCharges"
    played.on("GET", "/data/SalesOrderCharges", httpx.Response(200, json={"value": [], "@odata.nextLink": link}))

    with pytest.raises(Unanswered, match="more than 50 pages"):
        gateway.call(make_fo(), "charges.list", {"company": "demf", "order": "1"}, actor="test")

    assert len(played.calls) == 50


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (7, "7"), (1.5, "1.5"), ("a'b", "'a''b'"), ("", "''")])
def test_literals_of_odata_are_typed(value: Any, text: str) -> None:
    assert odata.literal(value) == text


# --- Salesforce ----------------------------------------------------------------------------------
@pytest.mark.parametrize("text", [*NASTY, "\\'", "\\\\'", "a\nb", "x' OR Name != '", "%", "_", "x\\"])
def test_a_text_in_soql_is_read_back_as_one_literal(text: str) -> None:
    query = soql.select("Case", ["Id"], {"Subject": text, "Status": "New"})

    parsed = Parser(query).parse()

    row = {"Subject": text, "Status": "New"}
    assert parsed.where is not None
    assert parsed.where(row)
    assert not parsed.where({**row, "Subject": f"{text}x"})
    assert not parsed.where({**row, "Status": "Closed"})


@pytest.mark.parametrize("name", ["Id FROM Account", "Id,Name", "Id'", "", "1a", "a.b.c", "a b", "Id--", "Id\n"])
def test_a_name_in_soql_is_a_name(name: str) -> None:
    for arguments in (("Case", [name], {}), (name, ["Id"], {}), ("Case", ["Id"], {name: 1})):
        with pytest.raises(ValueError, match="no name"):
            soql.select(arguments[0], arguments[1], arguments[2])


@pytest.mark.parametrize("base", [f"{ORG}.evil.test", "https://evil.test", "http://contoso.my.salesforce.com",
                                  "https://evil.test/.salesforce.com", "https://evil.test\\.salesforce.com",
                                  "https://evil.test#.salesforce.com", "https://salesforce.com.evil.test",
                                  "https://notsalesforce.com", "file:///etc", "https://"])  # fmt: skip
def test_a_token_is_not_carried_to_an_instance_that_is_none(db: None, played: Played, base: str) -> None:
    played.on("POST", "token", httpx.Response(200, json={"access_token": "t", "instance_url": base}))

    with pytest.raises(Blocked) as blocked:
        gateway.call(make_crm(), "cases.by_order", {"order": "1"}, actor="test")

    assert blocked.value.code == "address"
    assert played.calls == []


@pytest.mark.parametrize("base", [ORG, f"{ORG}/", "https://eu12.salesforce.com", "https://x.my.salesforce.com", None])
def test_an_instance_of_salesforce_itself_is_called(db: None, played: Played, base: str | None) -> None:
    played.on("POST", "token", httpx.Response(200, json={"access_token": "t", "instance_url": base}))
    played.on("GET", "/services/data/v62.0/query", httpx.Response(200, json={"records": [], "done": True}))

    gateway.call(make_crm(), "cases.by_order", {"order": "1"}, actor="test")

    assert played.calls[0].url.host == (base or ORG).removeprefix("https://").rstrip("/")


@pytest.mark.parametrize("part", [{"httpStatusCode": "abc"}, {"httpStatusCode": None}, {}, {"httpStatusCode": [200]}])
def test_a_part_without_a_status_is_no_answer(db: None, played: Played, part: dict[str, Any]) -> None:
    answer = {"compositeResponse": [{"referenceId": "part0", "body": {}, **part}]}
    played.on("POST", "/services/data/v62.0/composite", httpx.Response(200, json=answer))

    with pytest.raises(Unanswered):
        gateway.call(make_crm(), "records.get", {"requests": [{"type": "Case", "id": CASE}]}, actor="test")


@pytest.mark.parametrize("reference", ["a", "goldseam", "[goldseam", "key-1", "ey-123", "]"])
def test_only_the_comment_that_carries_the_whole_mark_is_deleted(
    crm: Connection, simulated: Simulated, reference: str
) -> None:
    account = simulated.plant("sf", "Account", Name="Lamp House")
    case = simulated.plant("sf", "Case", Subject="x", AccountId=account["Id"])
    simulated.plant("sf", "CaseComment", ParentId=case["Id"], CommentBody="A person says: key-12345 [goldseam]")

    with pytest.raises(ConnectorError) as failure:
        gateway.call(
            crm, "case.uncomment", {"case": case["Id"], "reference": reference}, actor="test", effect_key="u" * 64
        )

    assert isinstance(failure.value, NotFound)
    assert simulated.effects("u" * 64) == []


def test_a_person_who_quotes_a_key_does_not_pass_for_its_effect(crm: Connection, simulated: Simulated) -> None:
    key = "k" * 64
    account = simulated.plant("sf", "Account", Name="Lamp House")
    case = simulated.plant("sf", "Case", Subject="x", AccountId=account["Id"])
    simulated.plant("sf", "CaseComment", ParentId=case["Id"], CommentBody=f"What is {key}?")
    arguments = {"case": case["Id"], "text": "Mended."}

    assert gateway.find(crm, "case.comment", arguments, effect_key=key, actor="test") is None
    gateway.call(crm, "case.comment", arguments, actor="test", effect_key=key)
    assert gateway.find(crm, "case.comment", arguments, effect_key=key, actor="test") is not None
