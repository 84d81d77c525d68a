"""The backlog, the drafts that come of it, lists beside the systems, and their pages and API."""

import io
from datetime import timedelta

import pytest
from django.urls import reverse

from audit.clock import db_now
from audit.errors import Invalid, NotAllowed
from audit.models import BusinessUnit, Entry
from insights.tasklog import actions, trackers
from insights.tasklog.access import task_logs
from insights.tasklog.backlog import backlog
from insights.tasklog.models import TaskLog, Tracker
from playbooks.definitions import PlaybookDefinition
from playbooks.models import Playbook
from playbooks.planning import candidates
from tests.factories import make_user
from tests.incidents.factories import make_incident, make_kind
from tests.insights.factories import make_log, path
from tests.insights.steps import OTHER, USUAL, as_csv, clerks, lines, make_task_log
from tests.playbooks.scenes import resolved

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(db):
    return make_user("owner", role="automation_admin")


@pytest.fixture
def log(owner):
    return make_task_log(by=owner)


def make_process(**more):
    """A ready event log of three cases, in one of which Change Price happens twice."""
    twice = path("1", "Create Order", "Change Price", "Change Price")
    once = [event for case in "23" for event in path(case, "Create Order", "Change Price")]
    return make_log([*twice, *once], name="O2C", **more)


def test_the_backlog_says_what_each_line_is_worth_and_why(owner, log, settings):
    settings.REWORK_HOURLY_RATE = 60.0
    first = backlog(owner)[0]

    # 18 times 30 seconds within two weeks and a bit.
    span = (log.last_at - log.first_at).total_seconds()
    assert first.hours == pytest.approx(18 * 30 / 3600 * 30 * 86_400 / span)
    assert first.value == pytest.approx(first.hours * 60)
    assert first.score == pytest.approx(first.value * first.feasibility)
    assert [(one.name, round(one.share, 2)) for one in first.factors] == [
        ("Same way every time", 1.0),
        ("Plain input", 0.75),
        ("Systems in reach", 0.5),
        ("Steady", 1.0),
    ]


def test_where_and_how_meet_by_somebodys_word(owner, log):
    process = make_process()
    before = backlog(owner)[0]

    actions.link(log, by=owner, application="SAP GUI", event_log=process, activity="Change Price")
    after = backlog(owner)[0]

    assert (before.where, after.where.activity, after.where.count, after.where.rework) == (
        None,
        "Change Price",
        4,
        0.25,
    )
    assert after.value == pytest.approx(before.value * 1.25)


def test_a_process_that_the_reader_may_not_see_adds_nothing(owner, log):
    actions.link(
        log, by=owner, application="SAP GUI", event_log=make_process(business_unit="US"), activity="Change Price"
    )
    reader = make_user("eu", role="operator", units=["EU", ""])
    TaskLog.objects.update(business_unit="EU")

    assert backlog(reader)[0].where is None
    assert backlog(owner)[0].where is not None


def test_a_routine_becomes_a_draft_that_is_off_and_can_do_nothing(owner, log):
    make_kind()
    routine = log.routines.get(kind="sequence")

    playbook = actions.draft(routine, by=owner, kind_code="duplicate_invoice")
    version = playbook.versions.get()

    assert (playbook.enabled, version.active) == (False, False)
    steps = PlaybookDefinition.model_validate(version.definition).steps
    assert [step.title for step in steps] == [
        "SAP GUI: paste Invoice no (text)",
        "SAP GUI: edit Amount (number)",
        "SAP GUI: click Save",
    ]
    assert {step.operation for step in steps} == {"choose"}
    assert f"task log {log.pk}, routine 1" in version.definition["rationale"]
    assert candidates(make_incident(), None) == []
    assert actions.draft(routine, by=owner, kind_code="duplicate_invoice") == playbook
    assert Entry.objects.get(verb="playbook.drafted").target_id == str(playbook.pk)


def test_a_draft_needs_a_kind_and_somebody_who_may(owner, log, viewer):
    routine = log.routines.first()

    with pytest.raises(Invalid):
        actions.draft(routine, by=owner, kind_code="nothing")
    with pytest.raises(NotAllowed):
        actions.draft(routine, by=viewer, kind_code="nothing")
    assert not Playbook.objects.exists()


@pytest.mark.parametrize(
    ("role", "units", "seen"),
    [
        ("automation_admin", "*", 1),
        ("operator", "US", 1),
        ("auditor", "*", 1),
        ("compliance", "*", 1),
        ("operator", "EU", 0),
        ("viewer", "*", 0),
        ("approver", "*", 0),
        ("integration", "*", 0),
    ],
)
def test_who_sees_how_work_is_done(log, role, units, seen):
    TaskLog.objects.update(business_unit="US")

    assert task_logs(make_user("reader", role=role, units=[units])).count() == seen


def test_the_api_takes_a_log_in_and_tells_what_was_found(api, owner):
    client = api(owner)
    body = b"".join(as_csv(lines(clerks(6), times=6, ways=(USUAL, OTHER))))

    sent = client.post("/api/v1/task-logs/", {"file": io.BytesIO(body), "name": "Invoices"}, format="multipart")
    log = TaskLog.objects.get(pk=sent.json()["id"])
    from insights.tasklog import running

    running.run(log.pk)

    assert (sent.status_code, sent.json()["state"]) == (202, "waiting")
    assert client.get(f"/api/v1/task-logs/{log.pk}/").json()["mapping"]["user"] == "user"
    routines = client.get(f"/api/v1/task-logs/{log.pk}/routines/?kind=sequence").json()["results"]
    assert [one["repeats"] for one in routines] == [18, 18]
    assert client.get("/api/v1/task-logs/").json()["results"][0]["people"] == 6
    assert client.get("/api/v1/backlog/").json()["results"][0]["task_log"] == log.pk


def test_the_api_links_drafts_and_removes(api, owner, log):
    make_kind()
    client, process = api(owner), make_process()
    told = {"application": "SAP GUI", "event_log": process.pk, "activity": "Change Price"}

    assert client.post(f"/api/v1/task-logs/{log.pk}/links/", told).status_code == 200
    first = client.get("/api/v1/backlog/").json()["results"][0]
    drafted = client.post(f"/api/v1/backlog/{first['routine']['id']}/draft/", {"kind": "duplicate_invoice"})

    assert first["where"]["rework"] == 0.25
    assert drafted.status_code == 201
    assert Playbook.objects.get().slug == drafted.json()["playbook"]
    assert client.delete(f"/api/v1/task-logs/{log.pk}/").status_code == 204
    assert not TaskLog.objects.exists()


def test_the_api_refuses_what_is_no_log_and_who_may_not(api, owner, viewer):
    told = {"file": io.BytesIO(b"a,b\n1,2\n"), "name": "x"}
    assert api(owner).post("/api/v1/task-logs/", told, format="multipart").status_code == 400
    told = {"file": io.BytesIO(b"a,b\n1,2\n"), "name": "x"}
    assert api(viewer).post("/api/v1/task-logs/", told, format="multipart").status_code == 403
    assert api(viewer).get("/api/v1/task-logs/").json()["results"] == []


PAGES = ["task_logs", "task_backlog", "trackers"]


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_for_those_who_run_own_or_check_work(client, owner, log, viewer, name):
    client.force_login(viewer)
    assert client.get(reverse(name)).status_code == 403

    client.force_login(owner)
    assert client.get(reverse(name)).status_code == 200


def test_the_page_of_a_log_shows_routines_and_places_applications(client, owner, log):
    client.force_login(owner)
    process = make_process()
    told = {"application": "SAP GUI", "connection": "", "event_log": process.pk, "activity": "Change Price"}

    page = client.get(log.get_absolute_url()).content.decode()
    client.post(reverse("task_log_link", args=[log.pk]), told)

    assert "Invoice no" in page
    assert "Copied and pasted" in page
    assert "Change Price" in client.get(log.get_absolute_url()).content.decode()
    assert "is rework" in client.get(reverse("task_backlog")).content.decode()


def test_a_log_is_taken_in_by_the_page(client, owner):
    client.force_login(owner)
    file = io.BytesIO(b"".join(as_csv(lines(clerks(6)))))
    file.name = "steps.csv"

    answer = client.post(reverse("task_logs"), {"file": file, "name": "Invoices", "time_zone": "UTC"})
    bad = client.post(reverse("task_logs"), {"file": io.BytesIO(b"a,b\n1,2\n"), "name": "x", "time_zone": "UTC"})

    assert answer.status_code == 302
    assert bad.status_code == 422
    assert "Name the column" in bad.content.decode()


def test_a_draft_is_one_click_from_the_backlog(client, owner, log):
    make_kind()
    client.force_login(owner)

    answer = client.post(reverse("task_draft", args=[log.routines.first().pk]), {"kind": "duplicate_invoice"})

    assert client.get(answer["Location"]).status_code == 200
    assert "Drafted" in client.get(reverse("task_backlog")).content.decode()


@pytest.fixture
def effects(db):
    """``effects("CIV-1", …)``: verified changes of these records by an execution of ours; returns when."""

    def make(*records):
        run = resolved()[2].step_runs.first()
        at = db_now()
        for number, record in enumerate(records):
            run.pk, run.number, run.effect_key = None, 90 + number, f"effect-of-{record}"
            run.lane, run.expected, run.state, run.finished_at = f"fo:SalesInvoice:{record}", [], "verified", at
            run.save(force_insert=True)
        return at

    return make


def tracked(owner, rows, **more):
    body = "\n".join(["who,record,change,when", *rows]).encode()
    return trackers.take_in([body], name="Price list", by=owner, **more)


def test_what_no_recorded_effect_accounts_for_is_an_orphan(owner, effects):
    at = effects("CIV-1", "CIV-2")
    near, far = (at + timedelta(hours=2)).isoformat(), (at - timedelta(hours=30)).isoformat()

    tracker = tracked(owner, [f"Anna,civ-1,credited,{near}", f"Anna,CIV-2,credited,{far}", f"Bob,CIV-3,,{near}"])

    assert list(tracker.lines.filter(effect_id=None).values_list("record", flat=True)) == ["CIV-2", "CIV-3"]
    assert "Anna" not in tracker.lines.first().person


def test_one_effect_accounts_for_one_line_the_nearest(owner, effects):
    at = effects("CIV-1")
    rows = [f"Anna,CIV-1,first,{(at + timedelta(hours=5)).isoformat()}", f"Anna,CIV-1,second,{at.isoformat()}"]

    tracker = tracked(owner, rows)

    assert [line.change for line in tracker.lines.filter(effect_id=None)] == ["first"]
    assert [line.effect_id for line in tracked(owner, rows).lines.all()] == [None, None]


def test_an_orphan_opens_one_incident_through_the_ordinary_intake(client, owner):
    BusinessUnit.objects.create(slug="EU", name="Europe")
    tracker = tracked(owner, [f"Anna,CIV-9,credited,{db_now().isoformat()}"], business_unit="EU", entity_type="invoice")
    client.force_login(owner)
    url = reverse("tracker_orphan", args=[tracker.lines.get().pk])

    first, second = client.post(url), client.post(url)
    line = tracker.lines.get()

    assert first["Location"] == second["Location"] == reverse("incident", args=[line.incident_id])
    incident = trackers.raise_incident(line, by=owner)
    assert (incident.entity_key, incident.business_unit, incident.signals_count) == ("CIV-9", "EU", 1)
    assert "Anna" not in str(incident.signals.get().raw) + incident.signals.get().text
    assert client.get(tracker.get_absolute_url()).status_code == 200
    assert Tracker.objects.count() == 1


def test_a_list_without_records_or_times_is_refused(owner):
    for body in (b"who,what\na,b\n", b"", b"who,record,change,when\na,,c,2026-01-01\n"):
        with pytest.raises(Invalid):
            trackers.take_in([body], name="x", by=owner)
    assert not Tracker.objects.exists()
