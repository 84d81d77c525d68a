"""The demo's event logs: brought in once, seen by their units, and watched by detectors that find what was planted."""

import threading
from datetime import UTC, datetime

import pytest

from config import demo_logs
from connectors.simulator.distributor import history
from connectors.simulator.distributor.business import build
from incidents.models import Incident
from insights.detectors import running
from insights.detectors.models import Detector, DetectorFinding, DetectorRun, Rehearsal
from insights.detectors.states import Fate, Outcome
from insights.eventlog import importing
from insights.models import EventLog
from insights.states import LogState
from tests.factories import make_user

pytestmark = pytest.mark.django_db
KINDS = {"demf": "eu", "usmf": "us"}


@pytest.fixture
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    settings.INSIGHTS_DIR = tmp_path / "insights"
    return tmp_path


def of_desk(orders):
    return {order for order in orders if order.startswith("SO-")}


def found_by(slug):
    return set(
        DetectorFinding.objects.filter(detector__slug=slug, fate=Fate.RAISED).values_list("entity_key", flat=True)
    )


def test_a_year_is_brought_in_once_and_its_planted_facts_become_incidents_of_their_unit(folder):
    made = demo_logs.bring_in()
    for log in made:
        importing.run(log.pk, aside=False)

    assert demo_logs.bring_in() == []
    assert demo_logs.wait_until_ready()
    assert not demo_logs.watched()
    demo_logs.watch()
    assert demo_logs.watched()
    for detector in Detector.objects.all():
        running.run(detector.pk)

    assert set(DetectorRun.objects.values_list("outcome", flat=True)) == {Outcome.DONE}
    today = datetime.now(UTC).date()
    logs, world = history.build(7, today), build(7, today)
    held = {order.number for order in world.orders if order.row.get("CreditHold") == "Yes"}
    for company, unit in KINDS.items():
        planted = logs[company].planted
        assert found_by(f"released-and-confirmed-{unit}") == of_desk(planted["duty_conflict"])
        assert found_by(f"price-after-invoice-{unit}") == of_desk(planted["price_rework"])
        here = {order.number for order in world.orders if order.customer.company == company}
        assert found_by(f"held-for-days-{unit}") == held & here
    assert found_by("no-goods-issue-us") == of_desk(logs["usmf"].planted["no_goods_issue"])
    assert DetectorFinding.objects.filter(detector__slug="orders-stay-away-eu", fate=Fate.RAISED).exists()
    assert {one.cases >= 7_000 for one in EventLog.objects.all()} == {True}
    viewer = make_user("viewer", role="viewer", units=["EU"], regions=["*"])
    assert [log.name for log in EventLog.objects.visible_to(viewer)] == ["Order to cash, Europe"]
    assert set(Detector.objects.visible_to(viewer).values_list("business_unit", flat=True)) == {"EU"}
    assert set(Incident.objects.visible_to(viewer).values_list("business_unit", flat=True)) == {"EU"}
    assert set(Incident.objects.values_list("business_unit", flat=True)) == {"EU", "US"}

    make_user("admin", role="automation_admin", units=["*"], regions=["*"])
    for wanted in (1, 2):
        assert demo_logs.rehearse(iter([False, True]).__next__) == 1
        assert Rehearsal.objects.values("version").distinct().count() == wanted


def test_a_log_that_a_person_deleted_stays_away(folder):
    (folder / "demo_logs").write_text("both")

    assert demo_logs.bring_in() == []
    assert not EventLog.objects.exists()


def test_it_is_not_waited_for_what_cannot_be_imported(folder):
    for name in demo_logs.NAMES.values():
        EventLog.objects.create(name=name, state=LogState.FAILED, created_at=datetime.now(UTC))

    assert not demo_logs.wait_until_ready()


def test_waiting_ends_when_the_demo_is_stopped(folder):
    stopping = threading.Event()
    stopping.set()
    for name in demo_logs.NAMES.values():
        EventLog.objects.create(name=name, state=LogState.IMPORTING, created_at=datetime.now(UTC))

    assert not demo_logs.wait_until_ready(stopping.wait)
