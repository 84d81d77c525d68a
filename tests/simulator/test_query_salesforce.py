"""SOQL and composite: what a query finds, how it is paged, and what hides inside a 200."""

from typing import Any

import pytest

from tests.simulator.bench import Bench


@pytest.fixture
def org(sim: Bench) -> Bench:
    """Three cases, two of one account."""
    account = sim.plant("sf", "Account", Name="Delft Marine", AccountNumber="NL-001")["Id"]
    sim.plant("sf", "Case", Subject="Freight too high", Type="Freight", AccountId=account, Order_Number__c="SO-1")
    sim.plant("sf", "Case", Subject="It's back", Type="Back order", AccountId=account, Status="Closed", Priority="Low")
    sim.plant("sf", "Case", Subject="100% wrong_price", Type="Price", Order_Number__c="SO-3", Priority="High")
    return sim


def subjects(bench: Bench, where: str) -> list[str]:
    answer = bench.soql(f"SELECT Subject FROM Case {where}")
    assert answer.status_code == 200, answer.text
    return [row["Subject"].split()[0] for row in answer.json()["records"]]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("WHERE Type = 'Freight'", ["Freight"]),
        ("WHERE type = 'FREIGHT'", ["Freight"]),
        ("WHERE Type != 'Freight'", ["It's", "100%"]),
        ("WHERE Order_Number__c IN ('SO-1', 'SO-3')", ["Freight", "100%"]),
        ("WHERE Order_Number__c NOT IN ('SO-1')", ["It's", "100%"]),
        ("WHERE Order_Number__c = null", ["It's"]),
        ("WHERE Order_Number__c != null AND Priority = 'High'", ["100%"]),
        ("WHERE Subject = 'It\\'s back'", ["It's"]),
        ("WHERE Subject LIKE '%HIGH'", ["Freight"]),
        ("WHERE Subject LIKE 'It_s %'", ["It's"]),
        ("WHERE (Type = 'Price' OR Type = 'Freight') AND (NOT Priority = 'High')", ["Freight"]),
        ("WHERE CreatedDate = TODAY OR CreatedDate = YESTERDAY", ["Freight", "It's", "100%"]),
        ("WHERE CreatedDate > today OR CreatedDate < LAST_N_DAYS:2", []),
        ("WHERE CreatedDate >= YESTERDAY AND CreatedDate <= TODAY AND CreatedDate != LAST_N_DAYS:3", []),
        ("WHERE CreatedDate = LAST_N_DAYS:2 AND Subject LIKE 'F%'", ["Freight"]),
        ("WHERE CreatedDate > 2026-01-01T00:00:00Z", ["Freight", "It's", "100%"]),
        ("WHERE CreatedDate <= 2026-01-01T00:00:00.000+0000", []),
        ("WHERE Account.AccountNumber = 'NL-001' ORDER BY Subject DESC", ["It's", "Freight"]),
        ("WHERE Account.Name = null", ["100%"]),
        ("ORDER BY Priority, Subject", ["100%", "It's", "Freight"]),
        ("ORDER BY Order_Number__c NULLS LAST LIMIT 2", ["Freight", "100%"]),
        ("ORDER BY Order_Number__c DESC NULLS FIRST", ["It's", "100%", "Freight"]),
        ("ORDER BY Subject ASC LIMIT 1 OFFSET 1", ["Freight"]),
        ("LIMIT 0", []),
    ],
)
def test_a_query_finds_what_it_says(org: Bench, where: str, found: list[str]):
    assert subjects(org, where) == found


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "MALFORMED_QUERY"),
        ("SELECT Subject", "MALFORMED_QUERY"),
        ("SELECT Subject FROM Case WHERE", "MALFORMED_QUERY"),
        ("SELECT Subject FROM Case WHERE Type ! 'x'", "MALFORMED_QUERY"),
        ("SELECT Subject FROM Case WHERE (Type = 'x'", "MALFORMED_QUERY"),
        ("SELECT Subject FROM Case LIMIT many", "MALFORMED_QUERY"),
        ("SELECT Subject FROM Case; DROP", "MALFORMED_QUERY"),
        ("SELECT Subject FROM Case FOR UPDATE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Case WHERE Type = 'x' AND Type = 'y' OR Type = 'z'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Case WHERE Type = 'x' AND NOT (Type = 'y')", "MALFORMED_QUERY"),
        ("SELECT Id FROM Case WHERE Subject = TODAY", "INVALID_FIELD"),
        ("SELECT Nowhere FROM Case", "INVALID_FIELD"),
        ("SELECT Owner.Name FROM Case", "INVALID_FIELD"),
        ("SELECT Id FROM Case WHERE CreatedDate > 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Case WHERE Subject = 5", "INVALID_FIELD"),
        ("SELECT Id FROM Invoice", "INVALID_TYPE"),
        ("SELECT Id FROM Case WHERE " + "(" * 3000 + "Type = 'x'" + ")" * 3000, "MALFORMED_QUERY"),
    ],
)
def test_a_query_that_cannot_be_read_says_why(org: Bench, query: str, code: str):
    answer = org.soql(query)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code


def test_a_parents_fields_are_nested(org: Bench):
    rows = org.soql("SELECT Id, Account.Name, Account.AccountNumber FROM Case ORDER BY CaseNumber").json()["records"]

    assert rows[0]["Account"]["Name"] == "Delft Marine"
    assert rows[0]["Account"]["attributes"]["type"] == "Account"
    assert rows[2]["Account"] is None


def test_a_short_id_is_found_by_a_query(org: Bench):
    id_ = org.soql("SELECT Id FROM Case LIMIT 1").json()["records"][0]["Id"]

    assert org.soql(f"SELECT Id FROM Case WHERE Id = '{id_[:15]}'").json()["totalSize"] == 1


def test_a_flag_is_queried_as_a_flag(org: Bench):
    parent = org.soql("SELECT Id FROM Case LIMIT 1").json()["records"][0]["Id"]
    org.plant("sf", "CaseComment", ParentId=parent, CommentBody="x", IsPublished=True)

    assert org.soql("SELECT Id FROM CaseComment WHERE IsPublished = true").json()["totalSize"] == 1
    assert org.soql("SELECT Id FROM CaseComment WHERE IsPublished = false").json()["totalSize"] == 0


@pytest.mark.parametrize(
    ("where", "size"),
    [
        ("EffectiveDate = 2026-01-31", 1), ("EffectiveDate > 2026-01-31", 0), ("EffectiveDate = null", 1),
        ("Amount__c = 12.5", 1), ("Amount__c < 100", 1), ("Amount__c = null", 1),
        ("EffectiveDate = '2026-01-31'", None), ("EffectiveDate = 2026-01-31T00:00:00Z", None),
        ("Amount__c = '12.5'", None), ("Amount__c = 2026-01-31", None), ("OrderReferenceNumber = 2026-01-31", None),
        ("EffectiveDate LIKE '2026%'", None),
    ],
)  # fmt: skip
def test_dates_and_amounts_stand_without_quotes_and_texts_within(org: Bench, where: str, size: int | None):
    org.plant("sf", "Order", OrderReferenceNumber="SO-1", EffectiveDate="2026-01-31", Amount__c=12.5)
    org.plant("sf", "Order", OrderReferenceNumber="SO-2")

    answer = org.soql(f"SELECT Id FROM Order WHERE {where}")

    assert (answer.json()["totalSize"] if size is not None else answer.status_code) == (400 if size is None else size)


@pytest.mark.parametrize("body", [{"EffectiveDate": "31.01.2026"}, {"Amount__c": "12"}, {"Amount__c": True}])
def test_a_date_and_an_amount_are_kept_as_what_they_are(org: Bench, body: dict[str, Any]):
    assert org.sf("POST", "sobjects/Order", json=body).json()[0]["errorCode"] == "JSON_PARSER_ERROR"


def test_a_count_answers_a_size_without_records(org: Bench):
    answer = org.soql("SELECT COUNT() FROM Case WHERE Priority != 'Low'").json()

    assert answer == {"totalSize": 2, "done": True, "records": []}


def test_a_long_result_is_paged_by_a_path(sim: Bench):
    for number in range(450):
        sim.plant("sf", "Case", Subject=f"Case {number:03d}")

    page = sim.soql(
        "SELECT Subject FROM Case ORDER BY Subject", headers={"Sforce-Query-Options": "batchSize=200"}
    ).json()
    pages, found = [page], [row["Subject"] for row in page["records"]]
    while not page["done"]:
        assert page["nextRecordsUrl"].startswith("/services/data/v62.0/query/01g")
        page = sim.http.get(f"/sf{page['nextRecordsUrl']}", headers=sim.sf_auth).json()
        pages.append(page)
        found += [row["Subject"] for row in page["records"]]

    assert [len(page["records"]) for page in pages] == [200, 200, 50]
    assert {page["totalSize"] for page in pages} == {450}
    assert found == [f"Case {number:03d}" for number in range(450)]


def test_an_unknown_cursor_is_refused(sim: Bench):
    answer = sim.sf("GET", "query/01gnothing-200")

    assert answer.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def part(method: str, path: str, reference: str, **more: Any) -> dict[str, Any]:
    return {"method": method, "url": f"/services/data/v62.0/{path}", "referenceId": reference, **more}


def composite(bench: Bench, *parts: dict[str, Any], **options: Any) -> Any:
    answer = bench.sf("POST", "composite", json={"compositeRequest": list(parts), **options})
    assert answer.status_code == 200, answer.text
    return answer.json()["compositeResponse"]


def test_a_part_that_fails_hides_under_an_outer_200(org: Bench):
    good, bad = composite(
        org,
        part("GET", "query?q=SELECT+Id+FROM+Case+WHERE+Type='Price'", "one"),
        part("GET", "sobjects/Case/500000000000000AAA", "two"),
    )

    assert (good["httpStatusCode"], good["body"]["totalSize"], good["referenceId"]) == (200, 1, "one")
    assert (bad["httpStatusCode"], bad["body"][0]["errorCode"]) == (404, "NOT_FOUND")


def test_parts_may_refer_to_the_answers_of_earlier_ones(org: Bench):
    found, read, comment = composite(
        org,
        part("GET", "query?q=SELECT+Id+FROM+Case+WHERE+Type='Price'", "found"),
        part("GET", "sobjects/Case/@{found.records[0].Id}", "read"),
        part("POST", "sobjects/CaseComment", "note", body={"ParentId": "@{found.records[0].Id}", "CommentBody": "x"}),
    )

    assert read["body"]["Id"] == found["body"]["records"][0]["Id"]
    assert comment["httpStatusCode"] == 201
    assert "Location" in comment["httpHeaders"]


def test_without_all_or_none_the_good_parts_stay(org: Bench):
    good, bad = composite(
        org,
        part("POST", "sobjects/Case", "one", body={"Subject": "Kept"}, httpHeaders={"X-Effect-Key": "key-1"}),
        part("POST", "sobjects/Case", "two", body={"Status": "Perhaps"}),
    )

    assert (good["httpStatusCode"], bad["httpStatusCode"]) == (201, 400)
    assert [(row["after"]["Subject"], row["effect_key"]) for row in org.effects()] == [("Kept", "key-1")]


def test_with_all_or_none_one_failure_rolls_everything_back(org: Bench):
    halted, bad = composite(
        org,
        part("POST", "sobjects/Case", "one", body={"Subject": "Lost"}),
        part("POST", "sobjects/Case", "two", body={"Status": "Perhaps"}),
        allOrNone=True,
    )

    assert (halted["httpStatusCode"], halted["body"][0]["errorCode"]) == (400, "PROCESSING_HALTED")
    assert bad["body"][0]["errorCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    assert org.effects() == []
    assert org.requests()[-1]["committed"] is False


def test_an_upsert_in_a_composite_carries_its_own_key(org: Bench):
    composite(org, part("PATCH", "sobjects/Case/Goldseam_Key__c/key-9", "one", body={"Subject": "Mended"}))

    assert org.effects()[0]["effect_key"] == "key-9"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "JSON_PARSER_ERROR"),
        ({"compositeRequest": ["x"]}, "JSON_PARSER_ERROR"),
        ({"compositeRequest": [part("GET", "limits", "x")] * 26}, "LIMIT_EXCEEDED"),
    ],
)
def test_a_composite_of_the_wrong_shape_is_refused(org: Bench, body: dict[str, Any], code: str):
    answer = org.sf("POST", "composite", json=body)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code


@pytest.mark.parametrize("path", ["limits", "nowhere", "sobjects"])
def test_a_part_reaches_only_objects_and_queries(org: Bench, path: str):
    (result,) = composite(org, part("GET", path, "one"))

    assert result["httpStatusCode"] == 404


def test_bad_headers_of_a_part_are_that_parts_failure(org: Bench):
    (result,) = composite(org, part("GET", "sobjects/Case/x", "one", httpHeaders=5))

    assert result["httpStatusCode"] == 400
