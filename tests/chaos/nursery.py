"""A process that raises workers for a test to kill: ``python -m tests.chaos.nursery``, told what to do by lines.

It loads Django once and forks: a new worker stands in milliseconds, so that kills fall into work and not into imports.
Each worker is a process of its own, with connections of its own, and dies by SIGKILL like any other.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def prepare() -> None:
    """Make the tables of an empty database."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def plant(url: str, count: int) -> None:
    """Fill the simulated systems with one order, invoice and case for each of ``count`` plans, and begin the plans."""
    from tests.playbooks.driving import begin
    from tests.playbooks.world import World, make_incident, make_plan

    world = World(url)
    own = {"dataAreaId": "demf"}
    for number in range(count):
        order, invoice = f"SO-C{number:03d}", f"INV-C{number:03d}"
        customer = {"OrderingCustomerAccountNumber": "DE-001", "CurrencyCode": "EUR"}
        held = {"CreditHold": "Yes", "CreditHoldReason": "Overdue", "SalesOrderProcessingStatus": "OnHold"}
        world.plant(
            "fo", "SalesOrderHeadersV2", **own, SalesOrderNumber=order, **customer, **held, OrderTotalAmount=112.0
        )
        charge = {"SalesOrderNumber": order, "ChargeLineNumber": 1, "SalesChargeCode": "FREIGHT"}
        world.plant("fo", "SalesOrderCharges", **own, **charge, FixedChargeAmount=112.0, ChargeCurrencyCode="EUR")
        owed = {"TotalInvoiceAmount": 10.0, "RemainingAmount": 10.0, "CreditedAmount": 0.0, "CreditNoteNumber": ""}
        billed = {"InvoiceCustomerAccountNumber": "DE-001", "CurrencyCode": "EUR"}
        world.plant("fo", "SalesInvoiceHeadersV2", **own, InvoiceNumber=invoice, **billed, **owed)
        case = world.plant("sf", "Case", AccountId=world.ids["ACCOUNT"], Subject=order, Status="Working")["Id"]
        begin(make_plan(world, make_incident(entity_key=order), *_writes(number, order, invoice, case)))


def _writes(number: int, order: str, invoice: str, case: str) -> list[Any]:
    """One of four plans: a changed field, a posting that is not repeatable, a mark, and two systems in turn."""
    charge = ("fo", "charge.update", {"company": "demf", "order": order, "line": 1, "amount": "84.00"})
    credit = ("fo", "invoice.credit", {"company": "demf", "invoice": invoice, "reason": "doubled"})
    release = ("fo", "hold.release", {"company": "demf", "order": order, "reason": "paid"})
    comment = ("crm", "case.comment", {"case": case, "text": "Mended."})
    kinds: list[list[Any]] = [[charge], [credit], [release], [credit, comment]]
    return kinds[number % 4]


def work(seed: int) -> None:
    """Carry due incidents on until killed, in an order of its own."""
    from incidents import leases
    from playbooks import loop

    order = random.Random(seed)
    while True:
        waiting = leases.due()
        order.shuffle(waiting)
        for incident_id in waiting:
            loop.advance(incident_id)
        time.sleep(0.05)


def report() -> dict[str, Any]:
    """Say where everything stands."""
    from connectors.models import Connection
    from incidents.models import Incident
    from incidents.states import MACHINE
    from playbooks.models import Execution, LaneTicket, StepRun

    incidents = list(Incident.objects.values("status", "status_reason"))
    return {
        "statuses": Counter(row["status"] for row in incidents),
        "busy": sum(row["status"] in MACHINE for row in incidents),
        "silent": sum(row["status"] == "needs_operator" and not row["status_reason"] for row in incidents),
        "reasons": [row["status_reason"] for row in incidents if row["status"] == "needs_operator"],
        "executions": Counter(Execution.objects.values_list("state", flat=True)),
        "keys": list(StepRun.objects.filter(state="verified").values_list("effect_key", flat=True)),
        "resent": StepRun.objects.filter(attempts_count__gt=1).count(),
        "lanes": LaneTicket.objects.count(),
        "connections": Connection.objects.count(),
    }


def main() -> None:
    """Answer each line with one line."""
    django.setup()
    from django.db import connections

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead need no burying
    for line in sys.stdin:
        verb, *words = line.split()
        said: Any = "done"
        if verb == "prepare":
            prepare()
        elif verb == "plant":
            plant(words[0], int(words[1]))
        elif verb == "report":
            said = report()
        connections.close_all()
        if verb == "fork":
            said = os.fork()
            if said == 0:
                work(int(words[0]))
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
