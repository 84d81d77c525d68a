"""What can only be done or counted inside: the people of a benchmark, and queries per page.

Run as ``python -m tests.benchmarks.inside prepare|tell|queries|count|mends`` with the installation's environment.
Prints one line of JSON.
"""

import json
import os
import sys

import django

PAGES = {
    "inbox": "/",
    "incidents": "/incidents/",
    "incident": "/incidents/{id}/",
    "api incidents": "/api/v1/incidents/",
}


def prepare() -> dict[str, object]:
    """Make an integrator who sends signals and an operator with a session, both for all units."""
    from django.contrib.auth.models import Group, User
    from django.test import Client

    from audit.models import Scope

    for name, role in (("bench-integration", "integration"), ("bench-operator", "operator")):
        person, _ = User.objects.get_or_create(username=name)
        person.groups.add(Group.objects.get_or_create(name=role)[0])
        Scope.objects.update_or_create(user=person, defaults={"business_units": ["*"], "regions": ["*"]})
    browser = Client()
    browser.force_login(User.objects.get(username="bench-operator"))
    return {"session": browser.cookies["sessionid"].value}


def tell() -> dict[str, object]:
    """Make the incident whose page is measured, where there is none: one with everything that a page can show."""
    from django.db import transaction

    from approvals.models import ApprovalRequest
    from audit.actions import record
    from playbooks.models import Execution
    from tests.playbooks import scenes

    if not Execution.objects.exists():
        incident, run, _ = scenes.stuck(business_unit="EU", region="DE")
        scenes.make_clock(incident)
        scenes.ask(run.plan)
        ApprovalRequest.objects.filter(incident_id=incident.pk).update(state="approved")
        for number in range(40):
            with transaction.atomic():
                record("incident.noted", actor="operator", incident=incident.pk, reason=f"Looked at it, time {number}.")
            incident.comments.create(
                author="operator", text=f"Asked the carrier, time {number}.", created_at=run.created_at
            )
    return {"incident": _told()}


def _told() -> int | None:
    from playbooks.models import Execution

    return Execution.objects.order_by("-id").values_list("incident_id", flat=True).first()


def queries() -> dict[str, object]:
    """Count the queries that each page takes for the operator."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    browser = Client()
    browser.force_login(User.objects.get(username="bench-operator"))
    told = _told()
    counts: dict[str, object] = {}
    for name, path in PAGES.items():
        address = path.format(id=told)
        browser.get(address)  # the first view of a process also fills caches such as content types
        with CaptureQueriesContext(connection) as captured:
            answer = browser.get(address)
        if answer.status_code != 200:
            raise SystemExit(f"{address} answered {answer.status_code}")
        counts[name] = len(captured)
    return counts


def count() -> dict[str, object]:
    """Count the incidents."""
    from incidents.models import Incident

    return {"incidents": Incident.objects.count()}


def mends() -> dict[str, object]:
    """Time each mend that no person was asked about: opening to verified, and the calls to other systems in between."""
    from django.db.models import F, Sum

    from connectors.models import Call
    from playbooks.models import Execution

    verified = Execution.objects.filter(state="verified", direction="forward", plan__autonomous=True)
    found = []
    calls = 0
    for execution in verified.select_related("incident"):
        made = Call.objects.filter(incident_id=execution.incident_id, finished_at__lte=execution.finished_at)
        spent = made.aggregate(spent=Sum(F("finished_at") - F("started_at")))["spent"]
        calls += made.count()
        if execution.finished_at is not None:
            total = execution.finished_at - execution.incident.opened_at
            found.append({"total": total.total_seconds(), "calls": spent.total_seconds() if spent else 0.0})
    return {"mends": found, "calls": calls}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.conf import settings

    settings.ALLOWED_HOSTS = ["*"]
    command = {"prepare": prepare, "tell": tell, "queries": queries, "count": count, "mends": mends}[sys.argv[1]]
    print(json.dumps(command()))


if __name__ == "__main__":
    main()
