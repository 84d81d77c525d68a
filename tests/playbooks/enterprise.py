"""The simulated enterprise for tests: its systems, the people in them, and how they reach the console."""

from typing import Any

import httpx
import pytest
from django.test import Client

from connectors.inbound import polling
from connectors.models import Connection, Delivery
from connectors.simulator import telling
from connectors.simulator.distributor.business import planted
from connectors.simulator.salesforce import outbound as sf_outbound
from connectors.simulator.telling import Teller
from connectors.simulator.traffic import Target
from incidents.detection import process
from tests.connectors.factories import HOOK_SECRET

CONSOLE = "http://console.test"


class Business:
    """The simulated distributor, its people, and how its systems reach the console."""

    def __init__(self, running: Any, **hooks: str) -> None:
        self.running = running
        self.http = httpx.Client(base_url=running.url, trust_env=False)
        target = Target(CONSOLE, HOOK_SECRET, "")
        self.teller = Teller(running.store, target, {"dv": "dv", "sap": "sap", **hooks}, pause=0)
        self.order = self._free_order()
        self.number = self.order["SalesOrderNumber"]
        self.sap_key = str(int(self.number.removeprefix("SO-")))

    def _free_order(self) -> dict[str, Any]:
        """An open order that nothing is wrong with, of a customer who owes nothing overdue."""
        wrong = {fact.order for fact in planted()}
        with self.running.store.read() as session:
            paid = {
                (row.fields["dataAreaId"], row.fields["CustomerAccount"])
                for row in session.records("fo", "CustomersV3")
                if not row.fields["OverdueAmount"]
            }
            orders = [row.fields for row in session.records("fo", "SalesOrderHeadersV2")]
        return next(
            row
            for row in orders
            if row["CreditHold"] == "No"
            and row["SalesOrderStatus"] != "Invoiced"
            and row["SalesOrderNumber"] not in wrong
            and (row["dataAreaId"], row["OrderingCustomerAccountNumber"]) in paid
        )

    def stands(self, system: str) -> dict[str, Any]:
        """The order as a system has it."""
        entity, field, key = {
            "dv": ("salesorder", "ordernumber", self.number),
            "sap": ("A_SalesOrder", "SalesOrder", self.sap_key),
            "sf": ("Order", "OrderReferenceNumber", self.number),
        }[system]
        with self.running.store.read() as session:
            return next(row.fields for row in session.records(system, entity) if row.fields[field] == key)

    def hold(self, system: str) -> None:
        """Let somebody stop the order in one system."""
        entity, key, changes = {
            "dv": ("salesorder", self.stands("dv")["salesorderid"], {"new_onhold": True}),
            "sap": ("A_SalesOrder", self.sap_key, {"TotalCreditCheckStatus": "B"}),
        }[system]
        body = {"system": system, "entity": entity, "key": key, "changes": changes}
        self.http.post("/control/edit", json=body).raise_for_status()

    def tell(self) -> list[str]:
        """Let the systems say what is new, and judge what arrived; returns what became of each delivery."""
        self.teller.turn()
        for connection in Connection.objects.filter(kind="mail"):
            polling.poll_one(connection)
        waiting = Delivery.objects.filter(processed_at=None).order_by("id").values_list("pk", flat=True)
        for key in list(waiting):
            process(key)
        return list(Delivery.objects.order_by("id").values_list("outcome", flat=True))

    def effects(self) -> list[tuple[str, str]]:
        """What was done to the order on somebody's behalf: system and entity of each keyed effect."""
        rows = self.http.get("/ledger/effects").raise_for_status().json()
        return sorted((row["system"], row["entity"]) for row in rows if row["kind"] not in ("side_effect", "person"))


def reach_by_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what the systems send arrive at the console's own views."""

    def deliver(path: str, body: bytes, headers: dict[str, str]) -> Any:
        given = {name: value for name, value in headers.items() if name != "Content-Type"}
        return Client().generic("POST", path, body, content_type=headers["Content-Type"], headers=given)

    def send(url: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
        return deliver(path, body, headers).status_code, 0.0

    def post(url: str, body: bytes) -> tuple[int, bytes]:
        answer = deliver(url.removeprefix(CONSOLE), body, {"Content-Type": "text/xml; charset=utf-8"})
        return answer.status_code, answer.content

    monkeypatch.setattr(telling, "send", send)
    monkeypatch.setattr(sf_outbound, "post", post)
