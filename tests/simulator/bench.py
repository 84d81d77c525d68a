"""A client for tests that knows both simulated systems and the outsider's side."""

import ssl
from typing import Any

import httpx

from connectors.simulator.server import RunningSimulator

YES = "Microsoft.Dynamics.DataEntities.NoYes'Yes'"

# Made once: loading certificates costs more than starting a simulator.
CONTEXT = ssl.create_default_context()


class Bench:
    """A client that knows both systems and the outsider's side."""

    def __init__(self, simulator: RunningSimulator) -> None:
        self.simulator = simulator
        self.url = simulator.url
        self.http = httpx.Client(base_url=simulator.url, timeout=10, verify=CONTEXT, trust_env=False)
        self.login()

    def login(self) -> None:
        form = {"grant_type": "client_credentials", "client_id": "goldseam", "client_secret": "simulator"}
        fo = self.http.post("/fo/contoso/oauth2/v2.0/token", data={**form, "scope": f"{self.url}/fo/.default"})
        sf = self.http.post("/sf/services/oauth2/token", data=form)
        self.fo_auth = {"Authorization": f"Bearer {fo.json()['access_token']}"}
        self.sf_auth = {"Authorization": f"Bearer {sf.json()['access_token']}"}

    def fo(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        params = {"cross-company": "true", **options.pop("params", {})}
        return self.http.request(
            method, f"/fo/data/{path}", headers={**self.fo_auth, **(headers or {})}, params=params, **options
        )

    def sf(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        return self.http.request(
            method, f"/sf/services/data/v62.0/{path}", headers={**self.sf_auth, **(headers or {})}, **options
        )

    def soql(self, query: str, **options: Any) -> httpx.Response:
        return self.sf("GET", "query", params={"q": query}, **options)

    def plant(self, system: str, entity: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post("/control/records", json={"system": system, "entity": entity, "fields": fields})
        assert answer.status_code == 201, answer.text
        planted: dict[str, Any] = answer.json()["fields"]
        return planted

    def truth(self, system: str, entity: str, key: str) -> dict[str, Any]:
        answer = self.http.get("/control/records", params={"system": system, "entity": entity, "key": key})
        assert answer.status_code == 200, answer.text
        fields: dict[str, Any] = answer.json()["fields"]
        return fields

    def fault(self, fault: str, **rule: Any) -> None:
        answer = self.http.post("/control/faults", json={"fault": fault, **rule})
        assert answer.status_code == 201, answer.text

    def effects(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.http.get("/ledger/effects").json()
        return rows

    def requests(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.http.get("/ledger/requests").json()
        return rows

    def order(self, number: str = "SO-1", company: str = "demf", **fields: Any) -> dict[str, Any]:
        return self.plant("fo", "SalesOrderHeadersV2", dataAreaId=company, SalesOrderNumber=number, **fields)

    def invoice(self, number: str = "INV-1", total: float = 250.1, **fields: Any) -> dict[str, Any]:
        amounts = {"TotalInvoiceAmount": total, "RemainingAmount": total}
        owner = {"InvoiceCustomerAccountNumber": "DE-001", "CurrencyCode": "EUR"}
        return self.plant(
            "fo",
            "SalesInvoiceHeadersV2",
            **{"dataAreaId": "demf", "InvoiceNumber": number, **amounts, **owner, **fields},
        )
