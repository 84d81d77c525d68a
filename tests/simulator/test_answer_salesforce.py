"""Salesforce objects: create, read, change, conditions, upsert, limits."""

from typing import Any

import pytest

from connectors.simulator.salesforce.sobjects import full_id
from tests.simulator.bench import Bench


@pytest.fixture
def org(sim: Bench) -> Bench:
    """One account with one case."""
    account = sim.plant("sf", "Account", Name="Delft Marine", AccountNumber="NL-001")
    sim.plant("sf", "Case", Subject="Two invoices", AccountId=account["Id"], Order_Number__c="SO-1")
    return sim


def first_id(bench: Bench, entity: str = "Case") -> str:
    rows = bench.http.get("/control/records", params={"system": "sf", "entity": entity}).json()
    return str(rows[0]["fields"]["Id"])


def test_a_token_answer_has_no_lifetime_and_milliseconds_as_text(sim: Bench):
    form = {"grant_type": "client_credentials", "client_id": "goldseam", "client_secret": "simulator"}

    answer = sim.http.post("/sf/services/oauth2/token", data=form).json()

    assert "expires_in" not in answer
    assert answer["instance_url"] == f"{sim.url}/sf"
    assert isinstance(answer["issued_at"], str)
    assert len(answer["issued_at"]) == 13


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials", "client_id": "goldseam", "client_secret": "no"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_refused_token_has_the_oauth_shape(sim: Bench, form: dict[str, str], error: str):
    answer = sim.http.post("/sf/services/oauth2/token", data=form)

    assert answer.status_code == 400
    assert answer.json()["error"] == error


def test_a_call_without_a_session_is_refused_with_an_array(sim: Bench):
    answer = sim.http.get("/sf/services/data/v62.0/limits")

    assert answer.status_code == 401
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


def test_every_answer_says_how_much_of_the_allocation_is_used(org: Bench):
    first = org.sf("GET", "limits")
    second = org.sf("GET", f"sobjects/Case/{first_id(org)}")

    assert first.headers["Sforce-Limit-Info"] == "api-usage=1/100000"
    assert second.headers["Sforce-Limit-Info"] == "api-usage=2/100000"
    assert first.json()["DailyApiRequests"]["Max"] == 100000


def test_a_created_case_gets_an_18_character_id_a_number_and_defaults(org: Bench):
    answer = org.sf("POST", "sobjects/Case", json={"Subject": "Freight", "Type": "Freight"})

    case = org.sf("GET", f"sobjects/Case/{answer.json()['id']}").json()
    assert answer.status_code == 201
    assert answer.json()["success"] is True
    assert (len(case["Id"]), case["Id"][:3]) == (18, "500")
    assert (case["CaseNumber"], case["Status"], case["Priority"]) == ("00001002", "New", "Medium")
    assert case["CreatedDate"].endswith("+0000")


def test_a_plain_post_is_not_repeatable(org: Bench):
    body = {"ParentId": first_id(org), "CommentBody": "Credit note posted"}

    ids = {org.sf("POST", "sobjects/CaseComment", json=body).json()["id"] for _ in range(2)}

    assert len(ids) == 2


def test_a_read_may_choose_fields_in_any_case_and_gets_the_declared_names(org: Bench):
    answer = org.sf("GET", f"sobjects/case/{first_id(org)}", params={"fields": "subject,order_number__C"}).json()

    assert answer["Subject"] == "Two invoices"
    assert answer["Order_Number__c"] == "SO-1"
    assert "Status" not in answer
    assert answer["attributes"]["type"] == "Case"


def test_a_short_id_finds_the_same_object(org: Bench):
    long = first_id(org)

    answer = org.sf("GET", f"sobjects/Case/{long[:15]}")

    assert answer.json()["Id"] == long


def test_the_check_characters_of_an_id_follow_its_capitals():
    assert full_id("001A0000006Vm9r")[:15] == "001A0000006Vm9r"
    assert full_id("001A0000006Vm9r")[15:] == "IAC"


def test_an_update_answers_204_with_an_empty_body_and_moves_the_stamps(org: Bench):
    before = org.truth("sf", "Case", first_id(org))

    answer = org.sf("PATCH", f"sobjects/Case/{first_id(org)}", json={"Status": "Closed"})

    after = org.truth("sf", "Case", first_id(org))
    assert (answer.status_code, answer.content) == (204, b"")
    assert after["Status"] == "Closed"
    assert after["SystemModstamp"] >= before["SystemModstamp"]
    assert after["CreatedDate"] == before["CreatedDate"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"Nowhere": "x"}, "INVALID_FIELD"),
        ({"Status": "Perhaps"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"CaseNumber": "1"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Subject": 5}, "JSON_PARSER_ERROR"),
        ({"Subject": "x" * 256}, "STRING_TOO_LONG"),
        ({"AccountId": "001000000000000AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
    ],
)
def test_a_refused_change_names_its_error_code_and_changes_nothing(org: Bench, body: dict[str, Any], code: str):
    answer = org.sf("PATCH", f"sobjects/Case/{first_id(org)}", json=body)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code
    assert org.effects() == []


def test_required_fields_are_asked_for_on_create_and_kept_on_update(org: Bench):
    created = org.sf("POST", "sobjects/CaseComment", json={"CommentBody": "x"})
    emptied = org.sf("PATCH", f"sobjects/Account/{first_id(org, 'Account')}", json={"Name": None})

    assert (created.status_code, created.json()[0]["fields"]) == (400, ["ParentId"])
    assert emptied.json()[0]["errorCode"] == "REQUIRED_FIELD_MISSING"


def test_an_emptied_text_is_null_afterwards(org: Bench):
    org.sf("PATCH", f"sobjects/Case/{first_id(org)}", json={"Subject": ""})

    assert org.truth("sf", "Case", first_id(org))["Subject"] is None


def test_a_flag_must_be_a_flag(org: Bench):
    body = {"ParentId": first_id(org), "IsPublished": "yes"}

    assert org.sf("POST", "sobjects/CaseComment", json=body).status_code == 400
    assert org.sf("POST", "sobjects/CaseComment", json={**body, "IsPublished": True}).status_code == 201


@pytest.mark.parametrize("id_", ["500000000000000AAA", "short", "001gs0000000001"])
def test_an_unknown_id_is_a_404(org: Bench, id_: str):
    assert org.sf("GET", f"sobjects/Case/{id_}").json()[0]["errorCode"] == "NOT_FOUND"


def test_a_deleted_case_takes_its_comments_with_it(org: Bench):
    case = first_id(org)
    comment = org.sf("POST", "sobjects/CaseComment", json={"ParentId": case, "CommentBody": "x"}).json()["id"]

    answer = org.sf("DELETE", f"sobjects/Case/{case}")

    assert answer.status_code == 204
    assert org.sf("GET", f"sobjects/Case/{case}").status_code == 404
    assert org.sf("GET", f"sobjects/CaseComment/{comment}").status_code == 404
    assert [(row["entity"], row["kind"]) for row in org.effects()[1:]] == [
        ("Case", "delete"),
        ("CaseComment", "side_effect"),
    ]


def test_an_account_has_an_etag_and_honours_if_match(org: Bench):
    path = f"sobjects/Account/{first_id(org, 'Account')}"
    etag = org.sf("GET", path).headers["ETag"]
    org.sf("PATCH", path, json={"Region__c": "NL"}, headers={"If-Match": etag})

    stale = org.sf("PATCH", path, json={"Region__c": "DE"}, headers={"If-Match": etag})

    assert stale.status_code == 412
    assert stale.json()[0]["errorCode"] == "PRECONDITION_FAILED"
    assert org.truth("sf", "Account", first_id(org, "Account"))["Region__c"] == "NL"


def test_a_case_has_no_etag_and_ignores_if_match(org: Bench):
    path = f"sobjects/Case/{first_id(org)}"

    answer = org.sf("PATCH", path, json={"Status": "Working"}, headers={"If-Match": 'W/"nothing"'})

    assert "ETag" not in org.sf("GET", path).headers
    assert answer.status_code == 204


def test_a_case_changed_since_the_given_second_is_a_412(org: Bench):
    path = f"sobjects/Case/{first_id(org)}"
    read = org.sf("GET", path).headers["Last-Modified"]

    same = org.sf("PATCH", path, json={"Status": "Working"}, headers={"If-Unmodified-Since": read})
    late = {"If-Unmodified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}
    stale = org.sf("PATCH", path, json={"Status": "Closed"}, headers=late)

    assert (same.status_code, stale.status_code) == (204, 412)


def test_a_malformed_date_header_is_a_400(org: Bench):
    headers = {"If-Unmodified-Since": "yesterday"}

    answer = org.sf("PATCH", f"sobjects/Case/{first_id(org)}", json={"Status": "Closed"}, headers=headers)

    assert answer.status_code == 400


def test_an_upsert_creates_once_and_updates_afterwards(org: Bench):
    first = org.sf("PATCH", "sobjects/Case/Goldseam_Key__c/key-1", json={"Subject": "Mended"})
    second = org.sf("PATCH", "sobjects/Case/Goldseam_Key__c/key-1", json={"Subject": "Mended again"})

    assert (first.status_code, first.json()["created"]) == (201, True)
    assert (second.status_code, second.json()["created"]) == (200, False)
    assert first.json()["id"] == second.json()["id"]
    assert org.sf("GET", "sobjects/Case/Goldseam_Key__c/key-1").json()["Subject"] == "Mended again"


def test_an_upsert_carries_its_external_id_as_effect_key(org: Bench):
    org.sf("PATCH", "sobjects/Case/Goldseam_Key__c/key-1", json={"Subject": "Mended"})

    (effect,) = org.effects()
    assert (effect["kind"], effect["effect_key"]) == ("create", "key-1")
    assert org.requests()[-1]["effect_key"] == "key-1"


def test_an_upsert_that_may_only_update_is_a_404_where_nothing_is(org: Bench):
    path = "sobjects/Case/Goldseam_Key__c/key-1"

    answer = org.sf("PATCH", path, json={"Subject": "x"}, params={"updateOnly": "true"})

    assert answer.status_code == 404
    assert org.effects() == []


def test_an_upsert_that_matches_several_is_a_300_and_changes_nothing(org: Bench):
    org.plant("sf", "Account", Name="Delft Marine Export", AccountNumber="NL-001")

    answer = org.sf("PATCH", "sobjects/Account/AccountNumber/NL-001", json={"Region__c": "NL"})

    assert answer.status_code == 300
    assert len(answer.json()) == 2
    assert all(path.startswith("/services/data/v62.0/sobjects/Account/001") for path in answer.json())
    assert org.effects() == []


@pytest.mark.parametrize("body", [{"Goldseam_Key__c": "key-1"}, {"Id": "500gs0000000001AAA"}])
def test_an_upsert_names_no_id_in_its_body(org: Bench, body: dict[str, str]):
    assert org.sf("PATCH", "sobjects/Case/Goldseam_Key__c/key-1", json=body).status_code == 400


def test_an_external_id_may_hold_a_slash_and_a_dot(org: Bench):
    org.sf("PATCH", "sobjects/Case/Goldseam_Key__c/a%2Fb.com", json={"Subject": "x"})

    assert org.soql("SELECT Goldseam_Key__c FROM Case WHERE Goldseam_Key__c = 'a/b.com'").json()["totalSize"] == 1


def test_a_field_that_is_no_external_id_is_a_404(org: Bench):
    assert org.sf("PATCH", "sobjects/Case/Subject/x", json={}).status_code == 404


def test_a_unique_key_is_not_given_twice(org: Bench):
    org.sf("POST", "sobjects/Case", json={"Goldseam_Key__c": "key-1"})

    answer = org.sf("POST", "sobjects/Case", json={"Goldseam_Key__c": "key-1"})

    assert answer.json()[0]["errorCode"] == "DUPLICATE_VALUE"


def test_an_object_can_be_deleted_by_its_external_id(org: Bench):
    org.sf("PATCH", "sobjects/Case/Goldseam_Key__c/key-1", json={"Subject": "x"})

    assert org.sf("DELETE", "sobjects/Case/Goldseam_Key__c/key-1").status_code == 204
    assert org.sf("DELETE", "sobjects/Case/Goldseam_Key__c/key-1").status_code == 404


def test_a_describe_names_fields_and_picklists(org: Bench):
    fields = {field["name"]: field for field in org.sf("GET", "sobjects/Case/describe").json()["fields"]}

    assert fields["Goldseam_Key__c"]["externalId"] is True
    assert [value["value"] for value in fields["Status"]["picklistValues"]] == ["New", "Working", "Closed"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "sobjects/Nothing/1", 404),
        ("GET", "nowhere", 404),
        ("PATCH", "sobjects/Case", 405),
        ("PUT", "sobjects/Account", 405),
        ("GET", "sobjects", 200),
    ],
)
def test_an_address_answers_what_it_can(org: Bench, method: str, path: str, status: int):
    assert org.sf(method, path).status_code == status


def test_the_versions_are_listed_and_a_foreign_path_is_a_404(org: Bench):
    versions = org.http.get("/sf/services/data", headers=org.sf_auth)
    elsewhere = org.http.get("/sf/services/elsewhere", headers=org.sf_auth)

    assert versions.json()[0]["version"] == "62.0"
    assert elsewhere.status_code == 404
