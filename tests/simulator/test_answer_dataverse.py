"""The simulated Dataverse: each behaviour of the wire facts, and the ledger as witness."""

import json
from typing import Any

import httpx
import pytest

from connectors.simulator.dataverse.tables import id_of
from tests.simulator.bench import Bench

API = "/dv/api/data/v9.2"
ID = "2f0c1c1e-0000-0000-0000-000000000001"
OTHER = "2f0c1c1e-0000-0000-0000-000000000002"


class Org:
    """A signed-in caller of the simulated environment."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.auth = {"Authorization": f"Bearer {self.token()}"}

    def token(self, scope: str = "/dv/.default", **changes: str) -> str:
        form = {"grant_type": "client_credentials", "client_id": "goldseam", "client_secret": "simulator", **changes}
        answer = self.bench.http.post("/dv/contoso/oauth2/v2.0/token", data={**form, "scope": self.bench.url + scope})
        return str(answer.json().get("access_token", ""))

    def __call__(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.bench.http.request(method, f"{API}/{path}", headers={**self.auth, **(headers or {})}, **more)

    def code(self, answer: httpx.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def org(sim: Bench) -> Org:
    return Org(sim)


def account(org: Org, **fields: Any) -> dict[str, Any]:
    return org.bench.plant("dv", "account", **{"name": "Lamp House", "accountnumber": "DE-001", **fields})


def test_a_token_is_for_this_environment_only(org: Org) -> None:
    assert org.token(client_secret="wrong") == ""
    org.auth = {"Authorization": f"Bearer {org.token('/fo/.default')}"}
    assert org("GET", "accounts").status_code == 401
    org.auth = {}
    assert org.code(org("GET", "accounts"))[0] == 401


def test_patch_is_an_upsert_unless_a_condition_says_otherwise(org: Org) -> None:
    path = f"accounts({ID})"

    assert org.code(org("PATCH", path, headers={"If-Match": "*"}, json={"name": "x"})) == (404, "0x80040217")
    assert org("PATCH", path, headers={"If-None-Match": "*"}, json={"name": "x"}).status_code == 204
    again = org("PATCH", path, headers={"If-None-Match": "*"}, json={"name": "y"})
    assert again.status_code == 412
    assert again.json()["error"]["message"] == "A record with matching key values already exists."
    assert org("PATCH", f"accounts({OTHER})", json={"name": "made by accident"}).status_code == 204
    assert [row["kind"] for row in org.bench.effects()] == ["create", "create"]


def test_a_version_that_was_overtaken_is_refused(org: Org) -> None:
    planted = account(org)
    path = f"accounts({planted['accountid']})"
    seen = org("GET", path).json()["@odata.etag"]
    org("PATCH", path, headers={"If-Match": seen}, json={"creditonhold": True})

    late = org("PATCH", path, headers={"If-Match": seen}, json={"creditonhold": False})

    assert org.code(late) == (412, "0x80060882")
    assert org("GET", path).json()["creditonhold"] is True
    assert org.code(org("DELETE", path, headers={"If-Match": seen}))[0] == 412


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"nope": 1}, 400), ({"creditonhold": "yes"}, 400), ({"statecode": 9}, 400), ({"creditlimit": True}, 400),
        ({"modifiedon": "2026-01-01T00:00:00Z"}, 400), ({"_primarycontactid_value": ID}, 400), ({"accountid": ID}, 400),
        ({"primarycontactid@odata.bind": "/accounts(x)"}, 400), ({"nobody@odata.bind": f"/contacts({ID})"}, 400),
        ({"primarycontactid@odata.bind": f"/contacts({ID})"}, 404), ({"creditlimit": 12}, 204),
    ],
)  # fmt: skip
def test_a_body_is_held_against_the_columns(org: Org, body: dict[str, Any], status: int) -> None:
    planted = account(org)

    assert org("PATCH", f"accounts({planted['accountid']})", json=body).status_code == status


def test_an_alternate_key_finds_a_row_and_only_a_defined_one_does(org: Org) -> None:
    account(org, name="O'Hara")

    assert org("GET", "accounts(accountnumber='DE-001')").json()["name"] == "O'Hara"
    assert org.code(org("GET", "accounts(accountnumber='DE-002')")) == (404, "0x80040217")
    assert org("GET", "accounts(name='O''Hara')").status_code == 400
    assert org("GET", "account").status_code == 404


def test_labels_come_only_where_they_are_wished_for(org: Org) -> None:
    planted = account(org)
    order = org.bench.plant("dv", "salesorder", ordernumber="SO-1", _customerid_value=planted["accountid"])
    path = f"salesorders({order['salesorderid']})"

    plain = org("GET", path).json()
    labelled = org("GET", path, headers={"Prefer": 'odata.include-annotations="*"'}).json()

    assert not [name for name in plain if "@" in name and not name.startswith("@")]
    assert labelled["_customerid_value@OData.Community.Display.V1.FormattedValue"] == "Lamp House"
    assert labelled["_customerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "account"
    assert labelled["statecode@OData.Community.Display.V1.FormattedValue"] == "Active"


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("name eq 'lamp house'", 1), ("name ne 'Lamp House'", 1), ("creditlimit gt 10", 1), ("creditlimit eq null", 1),
        ("creditlimit ne null", 1), ("not (name eq 'Lamp House')", 1), ("contains(name,'o')", 2),
        ("creditonhold eq false and statecode eq 0", 2), ("name eq 'a' or name eq 'Wire Works'", 1),
        ("modifiedon gt 2020-01-01T00:00:00Z", 2), (f"accountid eq {ID}", 0), ("_primarycontactid_value eq null", 2),
    ],
)  # fmt: skip
def test_filters(org: Org, where: str, found: int) -> None:
    account(org, creditlimit=50.0)
    account(org, name="Wire Works", accountnumber="DE-002")

    answer = org("GET", "accounts", params={"$filter": where})

    assert len(answer.json()["value"]) == found


@pytest.mark.parametrize(
    "query",
    [
        {"$filter": "name eq 7"}, {"$filter": "nope eq 'x'"}, {"$filter": "name like 'x'"}, {"$filter": "name eq"},
        {"$filter": "(name eq 'x'"}, {"$filter": "name eq x"}, {"$select": "nope"}, {"$expand": "nope"},
        {"$orderby": "nope"}, {"fetchXml": "<fetch"},
        {"fetchXml": "<fetch><entity name='nope'/></fetch>"},
        {"fetchXml": "<!DOCTYPE x><fetch><entity name='account'/></fetch>"},
    ],
)  # fmt: skip
def test_a_query_that_is_not_understood_is_refused(org: Org, query: dict[str, str]) -> None:
    account(org)

    assert org("GET", "accounts", params=query).status_code == 400


def test_tracked_changes_go_with_no_filter_and_their_token_expires(org: Org) -> None:
    planted = account(org)
    track = {"Prefer": "odata.track-changes"}
    first = org("GET", "accounts?$select=name", headers=track).json()
    link = first["@odata.deltaLink"].partition("/dv/api/data/v9.2/")[2]
    org("DELETE", f"accounts({planted['accountid']})")

    told = org("GET", link).json()["value"]
    filtered = org("GET", "accounts?$filter=name eq 'x'", headers=track)
    org.bench.http.post("/control/deltatokens/expire")

    assert [row["name"] for row in first["value"]] == ["Lamp House"]
    assert told[0]["@odata.context"].endswith("#accounts/$deletedEntity")
    assert (told[0]["id"], told[0]["reason"]) == (planted["accountid"], "deleted")
    assert filtered.status_code == 400
    assert org.code(org("GET", link)) == (400, "0x80044352")
    assert org("GET", "accounts?$deltatoken=soon").status_code == 400


def test_a_batch_is_one_transaction(org: Org) -> None:
    planted = account(org)

    def batch(second: dict[str, Any]) -> httpx.Response:
        lines = ["--b", "Content-Type: multipart/mixed; boundary=c", ""]
        for number, body in enumerate(({"creditonhold": True}, second), 1):
            lines += ["--c", "Content-Type: application/http", f"Content-ID: {number}", ""]
            lines += [f"PATCH {API}/accounts({planted['accountid']}) HTTP/1.1", "If-Match: *", "", json.dumps(body)]
        text = "\r\n".join([*lines, "--c--", "--b--", ""])
        return org("POST", "$batch", headers={"Content-Type": "multipart/mixed; boundary=b"}, content=text)

    refused, none = batch({"statecode": 9}), len(org.bench.effects())
    done = batch({"statecode": 1})

    assert (refused.status_code, none) == (400, 0)
    assert b"HTTP/1.1 400" in refused.content
    assert done.content.count(b"HTTP/1.1 204") == 2
    assert len(org.bench.effects()) == 2


@pytest.mark.parametrize(
    "body", [b"", b"--b\r\n\r\n--b--", b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--"]
)
def test_a_batch_of_nothing_is_refused(org: Org, body: bytes) -> None:
    answer = org("POST", "$batch", headers={"Content-Type": "multipart/mixed; boundary=b"}, content=body)

    assert answer.status_code == 400


def test_two_rows_are_associated_once(org: Org) -> None:
    planted, buyer = account(org), org.bench.plant("dv", "contact", fullname="Buyer")
    path = f"accounts({planted['accountid']})/new_account_contact"
    body = {"@odata.id": f"{org.bench.url}{API}/contacts({buyer['contactid']})"}

    answers = [org("POST", f"{path}/$ref", json=body) for _ in range(2)]
    listed = org("GET", path).json()["value"]
    parted = [org("DELETE", f"{path}({buyer['contactid']})/$ref").status_code for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 412]
    assert [row["fullname"] for row in listed] == ["Buyer"]
    assert parted == [204, 204]
    assert [row["kind"] for row in org.bench.effects()] == ["associate", "disassociate"]


def test_a_limit_and_a_lock_are_told_by_their_codes(org: Org) -> None:
    planted = account(org)
    path = f"accounts({planted['accountid']})"

    limited = org("GET", path, headers={"X-Sim-Fault": "429:7"})
    locked = org("PATCH", path, headers={"X-Sim-Fault": "lock"}, json={"name": "x"})

    assert (org.code(limited), limited.headers["Retry-After"]) == ((429, "0x80072322"), "7")
    assert org.code(locked) == (500, "0x80044151")
    assert org.bench.effects() == []


def test_a_person_edits_plants_and_looks_from_outside(org: Org) -> None:
    planted = account(org)
    key = planted["accountid"]
    edit = {"system": "dataverse", "entity": "account", "key": key, "changes": {"creditonhold": True}}

    answer = org.bench.http.post("/control/edit", json=edit)

    assert answer.json()["fields"]["creditonhold"] is True
    assert org.bench.truth("dv", "account", key)["versionnumber"] > planted["versionnumber"]
    assert org.bench.effects()[0]["effect_key"] is None
    strange = {"system": "dv", "entity": "account", "fields": {"nope": 1}}
    assert org.bench.http.post("/control/records", json=strange).status_code == 400


def test_the_distributors_customers_and_orders_stand_here_under_their_own_numbers(demo: Bench) -> None:
    org = Org(demo)
    erp = {row["fields"]["CustomerAccount"]: row["fields"] for row in _records(demo, "fo", "CustomersV3")}
    orders = {row["fields"]["SalesOrderNumber"]: row["fields"] for row in _records(demo, "fo", "SalesOrderHeadersV2")}
    accounts = org("GET", "accounts").json()["value"]
    sold = org("GET", "salesorders").json()["value"]

    assert {row["accountnumber"]: row["name"] for row in accounts} == {
        number: fields["OrganizationName"] for number, fields in erp.items()
    }
    assert {row["ordernumber"]: row["totalamount"] for row in sold} == {
        number: fields["OrderTotalAmount"] for number, fields in orders.items()
    }
    owner = orders[sold[0]["ordernumber"]]["OrderingCustomerAccountNumber"]
    assert sold[0]["_customerid_value"] == id_of("account", owner)


def _records(bench: Bench, system: str, entity: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = bench.http.get("/control/records", params={"system": system, "entity": entity}).json()
    return rows


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("requestdeliverby eq 2026-01-31", 1), ("requestdeliverby gt 2026-01-31", 0), ("requestdeliverby eq null", 1),
        (f"ordernumber eq '{ID}'", 1), ("name eq '2026-01-31'", 1),
        ("requestdeliverby eq '2026-01-31'", None), ("requestdeliverby eq 2026-01-31T00:00:00Z", None),
        (f"ordernumber eq {ID}", None), ("name eq 2026-01-31", None), ("name eq 2026-01-31T00:00:00Z", None),
    ],
)  # fmt: skip
def test_ids_and_days_stand_without_quotes_and_are_no_texts(org: Org, condition: str, found: int | None) -> None:
    org.bench.plant("dv", "salesorder", ordernumber=ID, name="2026-01-31", requestdeliverby="2026-01-31")
    org.bench.plant("dv", "salesorder", ordernumber="SO-2")

    answer = org("GET", "salesorders", params={"$filter": condition})

    assert answer.status_code == (400 if found is None else 200)
    assert len(answer.json().get("value", [])) == (found or 0)
