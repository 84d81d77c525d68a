"""A small business in the simulator, connections to it, and plans made for it by hand."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from audit.clock import db_now
from connectors import registry, vault
from connectors.models import Connection
from connectors.simulator.server import serve
from incidents.models import ExceptionKind, Incident
from incidents.states import Status
from playbooks import planning
from playbooks.chooser import Choice
from playbooks.definitions import PlaybookDefinition
from playbooks.models import Plan, Playbook, PlaybookVersion
from tests import loopback
from tests.connectors.business import DATAVERSE

ORDER, LOT, CHARGE = "SO-1", "LOT-1", "1"
CREDIT = ("fo", "invoice.credit", {"company": "demf", "invoice": "INV-1", "reason": "doubled"})
CHARGED = ("fo", "charge.update", {"company": "demf", "order": ORDER, "line": 1, "amount": "84.00"})
RELEASE = ("fo", "hold.release", {"company": "demf", "order": ORDER, "reason": "paid"})
PRICE = ("fo", "line.set_price", {"company": "demf", "lot": LOT, "price": "9.50"})
COMMENT = ("crm", "case.comment", {"case": "CASE", "text": "Mended."})
CLOSE = ("crm", "case.close", {"case": "CASE"})
REOPEN = ("crm", "case.reopen", {"case": "CLOSED", "status": "Working"})
OPEN = (
    "crm",
    "case.open",
    {
        "account": "ACCOUNT",
        "subject": "Shipped from elsewhere",
        "description": "…",
        "order": ORDER,
        "type": "Back order",
    },
)
MARKED = ("dv", "record.update", {"table": "account", "id": "DV-ACCOUNT", "values": {"creditonhold": True}})
FILED = ("dv", "record.create", {"table": "task", "values": {"subject": "Call the carrier", "description": "…"}})
PAIRED = (
    "dv",
    "record.associate",
    {
        "table": "account",
        "id": "DV-ACCOUNT",
        "relationship": "new_account_contact",
        "to": "contact",
        "target": "DV-CONTACT",
    },
)
HELD = ("dv", "action.call", {"action": "hold", "id": "DV-ORDER", "parameters": {"Reason": "overdue"}})
REISSUE = ("fo", "invoice.reissue", {"company": "demf", "invoice": "INV-2", "customer": "DE-001", "reason": "wrong"})
WRITES = {"patch": CHARGED, "action": CREDIT, "hold": RELEASE, "price": PRICE, "reissue": REISSUE}
DV_WRITES = {"columns": MARKED, "own id": FILED, "pair": PAIRED, "declared": HELD}
CRM_WRITES = {"marker": COMMENT, "stamped": CLOSE, "reopen": REOPEN, "upsert": OPEN}


class World:
    """The simulated enterprise as an outsider sees it, and Goldseam's connections to it."""

    def __init__(self, url: str) -> None:
        self.http = loopback.client(url, timeout=10)
        self.url = url
        self.ids: dict[str, str] = {}
        self._plant()
        self.connections = {slug: self._connect(slug) for slug in ("fo", "crm")}

    def _plant(self) -> None:
        own = {"dataAreaId": "demf"}
        owner = {**own, "CustomerAccount": "DE-001", "OrganizationName": "Northgate Retail", "CurrencyCode": "EUR"}
        self.plant("fo", "CustomersV3", **owner, CreditLimit=9000.0, OpenBalance=1500.0, OverdueAmount=0.0, Region="DE")
        order = {"SalesOrderNumber": ORDER, "OrderingCustomerAccountNumber": "DE-001", "CurrencyCode": "EUR"}
        held = {"CreditHold": "Yes", "CreditHoldReason": "Overdue", "SalesOrderProcessingStatus": "OnHold"}
        self.plant("fo", "SalesOrderHeadersV2", **own, **order, **held, OrderTotalAmount=1112.0, Region="DE")
        line = {"InventoryLotId": LOT, "SalesOrderNumber": ORDER, "LineNumber": 1, "ItemNumber": "A-1"}
        amounts = {"OrderedSalesQuantity": 100.0, "SalesPrice": 10.0, "LineAmount": 1000.0}
        self.plant("fo", "SalesOrderLines", **own, **line, **amounts, LineStatus="Reserved", ShippingWarehouseId="DE-1")
        charge = {"SalesOrderNumber": ORDER, "ChargeLineNumber": 1, "SalesChargeCode": "FREIGHT"}
        self.plant("fo", "SalesOrderCharges", **own, **charge, FixedChargeAmount=112.0, ChargeCurrencyCode="EUR")
        invoice = {"InvoiceNumber": "INV-1", "InvoiceCustomerAccountNumber": "DE-001", "CurrencyCode": "EUR"}
        rest = {"TotalInvoiceAmount": 1250.0, "RemainingAmount": 1250.0, "CreditedAmount": 0.0, "CreditNoteNumber": ""}
        self.plant("fo", "SalesInvoiceHeadersV2", **own, **invoice, **rest, SalesOrderNumber=ORDER)
        # Credited in full, and nothing stands in its place yet.
        credited = {"TotalInvoiceAmount": 700.0, "CreditedAmount": 700.0, "CreditNoteNumber": "CN-1"}
        self.plant("fo", "SalesInvoiceHeadersV2", **own, **{**invoice, "InvoiceNumber": "INV-2"}, **credited)
        account = self.plant("sf", "Account", Name="Northgate Retail", AccountNumber="DE-001")
        self.ids["ACCOUNT"] = account["Id"]
        case = {"AccountId": account["Id"], "Subject": "Charged twice", "Order_Number__c": ORDER}
        self.ids["CASE"] = self.plant("sf", "Case", **case, Status="Working")["Id"]
        self.ids["CLOSED"] = self.plant("sf", "Case", **case, Status="Closed")["Id"]

    def _connect(self, slug: str) -> Connection:
        kind, root = {"fo": ("dynamics_fo", "fo"), "crm": ("salesforce", "sf"), "dv": ("dataverse", "dv")}[slug]
        config: dict[str, Any] = {"client_id": "goldseam"}
        if slug in ("fo", "dv"):
            config |= {"environment_url": f"{self.url}/{root}", "tenant": "contoso", "authority": f"{self.url}/{root}"}
            config |= DATAVERSE if slug == "dv" else {}
        else:
            config |= {"login_url": f"{self.url}/{root}"}
        operations = [operation.name for operation in registry.KINDS[kind].operations]
        row = Connection.objects.create(slug=slug, kind=kind, label=slug, config=config, operations=operations)
        row.secrets = {"client_secret": vault.seal(row, "client_secret", "simulator")}
        row.save()
        return row

    def add_dataverse(self) -> None:
        """Put customer, contact and order into Dataverse as well, and connect to it."""
        account = self.plant("dv", "account", name="Northgate Retail", accountnumber="DE-001")
        order = {"ordernumber": ORDER, "name": "Lamps", "totalamount": 1112.0, "new_currency": "EUR"}
        self.ids["DV-ACCOUNT"] = account["accountid"]
        self.ids["DV-ORDER"] = self.plant("dv", "salesorder", **order)["salesorderid"]
        self.ids["DV-CONTACT"] = self.plant("dv", "contact", fullname="Buyer")["contactid"]
        self.connections["dv"] = self._connect("dv")

    def plant(self, system: str, entity: str, **fields: Any) -> dict[str, Any]:
        """Put one record into the world, without an effect."""
        answer = self.http.post("/control/records", json={"system": system, "entity": entity, "fields": fields})
        assert answer.status_code == 201, answer.text
        planted: dict[str, Any] = answer.json()["fields"]
        return planted

    def fault(self, fault: str, **rule: Any) -> None:
        """Have the next matching requests go wrong."""
        answer = self.http.post("/control/faults", json={"fault": fault, **rule})
        assert answer.status_code == 201, answer.text

    def edit(self, **edit: Any) -> None:
        """Change a record as a person would, in the system itself."""
        answer = self.http.post("/control/edit", json=edit)
        assert answer.status_code == 200, answer.text

    def effects(self, *, primary: bool = True) -> list[dict[str, Any]]:
        """Return the committed changes that carry an effect key."""
        rows: list[dict[str, Any]] = self.http.get("/ledger/effects").json()
        return [row for row in rows if row["effect_key"] and not (primary and row["kind"] == "side_effect")]

    def requests(self) -> list[dict[str, Any]]:
        """Return every request that arrived."""
        rows: list[dict[str, Any]] = self.http.get("/ledger/requests").json()
        return rows

    def truth(self, system: str, entity: str, key: str) -> dict[str, Any]:
        """Return a record as it stands in the system itself."""
        answer = self.http.get("/control/records", params={"system": system, "entity": entity, "key": key})
        assert answer.status_code == 200, answer.text
        fields: dict[str, Any] = answer.json()["fields"]
        return fields

    def meant(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Put the made ids into parameters."""
        return {
            name: self.ids.get(value, value) if isinstance(value, str) else value for name, value in parameters.items()
        }


@contextmanager
def running_world(folder: Path) -> Iterator[World]:
    """Start an empty simulator with the small business, and connect to it."""
    with serve(folder, business="empty", synchronous="OFF") as simulator:
        allowed = list(settings.OUTBOUND_ALLOW)
        settings.OUTBOUND_ALLOW[:] = [*allowed, simulator.url.removeprefix("http://")]
        world = World(simulator.url)
        try:
            yield world
        finally:
            world.http.close()
            settings.OUTBOUND_ALLOW[:] = allowed


def make_incident(status: Status = Status.DIAGNOSED, **changes: Any) -> Incident:
    """An incident about the small business's order, in any status, due now."""
    kind, _ = ExceptionKind.objects.get_or_create(
        code="test_kind",
        defaults={"label": "Test", "domain": "billing", "entity_type": "order", "definition": {"title": "Freight"}},
    )
    now = db_now()
    values: dict[str, Any] = {
        "kind": kind,
        "code": "test_kind",
        "fingerprint": f"f{Incident.objects.count():063d}",
        "title": "Freight on SO-1 is wrong",
        "status": status,
        "domain": "billing",
        "entity_type": "order",
        "entity_key": ORDER,
        "business_unit": "EU",
        "region": "DE",
        "first_signal_at": now,
        "last_signal_at": now,
        "opened_at": now,
        "due_at": now,
    }
    return Incident.objects.create(**{**values, **changes})


def make_playbook(steps: list[dict[str, Any]], slug: str = "mend", **definition: Any) -> PlaybookVersion:
    """An active playbook of these steps."""
    text = {"rationale": "Because it is wrong.", "autonomy": {"max_risk": "medium"}, "steps": steps, **definition}
    PlaybookDefinition.model_validate(text)
    playbook, _ = Playbook.objects.get_or_create(slug=slug, defaults={"label": slug, "kind_code": "test_kind"})
    number = playbook.versions.count() + 1
    playbook.versions.update(active=False)
    return PlaybookVersion.objects.create(
        playbook=playbook,
        number=number,
        definition=text,
        digest=f"{slug}{number}",
        active=True,
        author="x",
        created_at=db_now(),
    )


def make_plan(
    world: World,
    incident: Incident,
    *writes: tuple[str, str, Mapping[str, Any]],
    definition: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Plan:
    """A stored draft of these writes, made by the planner from what the simulator says now."""
    steps = [
        {
            "name": f"step_{number}",
            "title": f"{operation} of step {number}",
            "connection": connection,
            "operation": operation,
            "arguments": {name: _cel(value) for name, value in world.meant(parameters).items()},
        }
        for number, (connection, operation, parameters) in enumerate(writes, start=1)
    ]
    version = make_playbook(steps, **(definition or {}))
    valid = PlaybookDefinition.model_validate(version.definition)
    drafted = [planning._draft(incident, step, {}, "system:loop") for step in valid.steps]
    choice = Choice("mend", {}, candidates=["mend"])
    plan = planning._store(incident, version, choice, drafted, rationale="Because it is wrong.")
    if changes:
        Plan.objects.filter(pk=plan.pk).update(**changes)
        plan.refresh_from_db()
    return plan


def _cel(value: Any) -> Any:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"'{name}': {_inner(part)}" for name, part in value.items()) + "}"
    return f"'{value}'" if isinstance(value, str) else value


def _inner(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(_cel(value))
