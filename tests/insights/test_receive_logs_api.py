"""Event logs over HTTP, by role and unit; and from the command line."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import BusinessUnit, Entry
from insights import storage
from insights.actions import import_file
from insights.eventlog import importing
from insights.models import EventLog
from insights.states import LogState
from tests.factories import make_user
from tests.insights.files import text_of, trace, write, xes

pytestmark = pytest.mark.django_db

URL = "/api/v1/event-logs/"
ROWS = [("c1", "open", "2024-01-01T10:00:00Z"), ("c1", "close", "2024-01-01T11:00:00Z"), ("", "lost", "2024-01-01")]
MAPPING = {"case": "case", "activity": "activity", "timestamp": "time"}


@pytest.fixture(autouse=True)
def _no_bells(monkeypatch):
    monkeypatch.setattr("incidents.bells.ring", lambda task, **ids: True)


@pytest.fixture
def post(operator, api):
    def send(content=None, *, by=operator, **fields):
        content = text_of(ROWS) if content is None else content
        file = SimpleUploadedFile("orders.csv", content if isinstance(content, bytes) else content.encode())
        return api(by).post(URL, {"file": file, "name": "Orders", **fields}, format="multipart")

    return send


def test_a_file_is_taken_in_and_followed_until_it_is_ready(post, operator, api):
    answer = post(mapping=json.dumps(MAPPING))
    assert (answer.status_code, answer.json()["state"]) == (202, "importing")
    assert set(answer.json()) == {"id", "state"}
    pk = answer.json()["id"]
    waiting = api(operator).get(f"{URL}{pk}/").json()
    assert (waiting["state"], waiting["progress"], waiting["cases"]) == ("importing", 0.0, 0)

    importing.run(pk, aside=False)

    told = api(operator).get(f"{URL}{pk}/").json()
    assert (told["state"], told["cases"], told["events"], told["activities"]) == ("ready", 1, 2, 2)
    assert told["rejected"] == [{"line": 4, "reason": "no case id", "text": "lost · 2024-01-01"}]
    assert [each["id"] for each in api(operator).get(URL).json()["results"]] == [pk]
    verbs = Entry.objects.filter(target_type="insights.eventlog", target_id=str(pk)).values_list("verb", "actor")
    assert list(verbs) == [("event_log.received", "operator"), ("event_log.imported", "system:import")]


def test_a_file_that_is_no_log_ends_as_failed_with_the_reason(post, operator, api):
    pk = post("<log>").json()["id"]
    importing.run(pk, aside=False)

    told = api(operator).get(f"{URL}{pk}/").json()

    assert told["state"] == "failed"
    assert "cannot be read" in told["error"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"mapping": "{"}, "mapping"),
        ({"mapping": "[1]"}, "mapping"),
        ({"mapping": json.dumps({**MAPPING, "case": "nothing"})}, "mapping.case"),
        ({"mapping": json.dumps({**MAPPING, "time_zone": "Nowhere"})}, "mapping.time_zone"),
        ({"business_unit": "MARS"}, "business_unit"),
        ({"content": ""}, "file"),
    ],
)
def test_what_is_wrong_with_an_upload_is_told_by_field(post, fields, field):
    answer = post(**fields)

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert field in answer.json()["errors"]
    assert not EventLog.objects.exists()


def test_an_upload_without_a_file_is_told_so(operator, api):
    answer = api(operator).post(URL, {"name": "Orders"}, format="multipart")

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["file"])


def test_an_upload_that_is_too_large_is_refused_and_leaves_nothing(post, settings):
    settings.INSIGHTS_MAX_UPLOAD_MB = 1

    answers = [post("x" * (3 << 20)), post("x" * (3 << 19))]

    assert [answer.status_code for answer in answers] == [413, 413]
    assert not EventLog.objects.exists()
    assert not any((settings.INSIGHTS_DIR / "incoming").glob("*"))


def test_an_upload_larger_than_other_bodies_may_be_is_taken(post, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    assert post(text_of(ROWS * 2000), mapping=json.dumps(MAPPING)).status_code == 202


@pytest.mark.parametrize("role", ["viewer", "approver", "compliance", "auditor"])
def test_only_operators_and_automation_owners_bring_in_and_change_logs(post, role, api, operator):
    person = make_user("other", role=role)
    pk = post(mapping=json.dumps(MAPPING)).json()["id"]
    client = api(person)

    assert post(by=person).status_code == 403
    assert client.get(f"{URL}{pk}/").status_code == 200
    assert client.delete(f"{URL}{pk}/").status_code == 403
    assert client.post(f"{URL}{pk}/mapping/", MAPPING, format="json").status_code == 403


def test_nobody_gets_anything_without_a_token():
    assert Client().get(URL).status_code == 401


def test_a_log_of_another_unit_is_not_there(post, api, viewer):
    BusinessUnit.objects.create(slug="US", name="US")
    BusinessUnit.objects.create(slug="EU", name="EU")
    theirs = post(business_unit="US", mapping=json.dumps(MAPPING)).json()["id"]
    ours = post(business_unit="EU", mapping=json.dumps(MAPPING)).json()["id"]
    client = api(viewer)

    assert [each["id"] for each in client.get(URL).json()["results"]] == [ours]
    for path in ("", "preview/"):
        assert client.get(f"{URL}{theirs}/{path}").status_code == 404


def test_whoever_brought_a_log_may_see_it_and_only_for_units_of_their_own(post, api):
    BusinessUnit.objects.create(slug="US", name="US")
    person = make_user("ann", role="operator", units=["EU"])

    mine = post(by=person, mapping=json.dumps(MAPPING))
    foreign = post(by=person, business_unit="US")

    assert api(person).get(f"{URL}{mine.json()['id']}/").status_code == 200
    assert (foreign.status_code, list(foreign.json()["errors"])) == (400, ["business_unit"])


def test_columns_that_nobody_can_guess_are_asked_for_and_told_later(post, operator, api):
    content = text_of([("x", "y", "2024-01-01"), ("x", "z", "2024-01-02")], header=("p", "q", "r"))
    answer = post(content)
    pk, client = answer.json()["id"], api(operator)
    assert answer.json()["state"] == "mapping"

    seen = client.get(f"{URL}{pk}/preview/").json()
    wrong = client.post(f"{URL}{pk}/mapping/", {"case": "p", "activity": "nothing", "timestamp": "r"}, format="json")
    right = client.post(f"{URL}{pk}/mapping/", {"case": "p", "activity": "q", "timestamp": "r"}, format="json")
    again = client.post(f"{URL}{pk}/mapping/", {"case": "p", "activity": "q", "timestamp": "r"}, format="json")

    assert (seen["columns"], seen["rows"][0], seen["sure"]) == (["p", "q", "r"], ["x", "y", "2024-01-01"], False)
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["mapping.activity"])
    assert (right.status_code, right.json()["state"]) == (202, "importing")
    assert again.status_code == 409
    assert importing.run(pk, aside=False).events == 2


def test_columns_that_are_plain_to_see_are_not_asked_for(post):
    content = text_of(
        [(f"SO-{n // 3}", ("open", "check", "close")[n % 3], f"2024-01-01 10:{n:02}:00", "ann", n) for n in range(30)],
        header=("Order ID", "Activity", "Timestamp", "User", "Amount"),
    )

    log = EventLog.objects.get(pk=post(content).json()["id"])

    assert log.state == LogState.IMPORTING
    told = {
        "case": "Order ID",
        "activity": "Activity",
        "timestamp": "Timestamp",
        "resource": "User",
        "amount": "Amount",
    }
    assert {key: log.mapping[key] for key in told} == told
    assert log.mapping["time_zone"] == "UTC"


def test_a_log_is_deleted_with_its_files(post, operator, api, django_capture_on_commit_callbacks):
    pk = post(mapping=json.dumps(MAPPING)).json()["id"]
    home = storage.home(EventLog.objects.get(pk=pk))

    with django_capture_on_commit_callbacks(execute=True):
        answer = api(operator).delete(f"{URL}{pk}/")

    assert (answer.status_code, home.exists()) == (204, False)
    assert api(operator).get(f"{URL}{pk}/").status_code == 404
    assert Entry.objects.filter(verb="event_log.deleted", target_id=str(pk), actor="operator").exists()


def test_the_same_upload_with_the_same_key_is_taken_once(operator, api):
    client = api(operator)

    def send():
        file = SimpleUploadedFile("orders.csv", text_of(ROWS).encode())
        fields = {"file": file, "name": "Orders", "mapping": json.dumps(MAPPING)}
        return client.post(URL, fields, format="multipart", HTTP_IDEMPOTENCY_KEY="k1").json()

    assert send() == send()
    assert EventLog.objects.count() == 1


def test_other_object_types_of_a_log_can_be_asked_for_later(post, operator, api):
    linked = [{"objectId": each} for each in "oij"]
    document = {
        "objectTypes": [{"name": "order"}, {"name": "item"}],
        "objects": [{"id": "o", "type": "order"}, {"id": "i", "type": "item"}, {"id": "j", "type": "item"}],
        "events": [{"id": "e", "type": "open", "time": "2024-01-01T00:00:00Z", "relationships": linked}],
    }
    pk = post(json.dumps(document), object_type="order").json()["id"]
    assert importing.run(pk, aside=False).cases == 1
    client = api(operator)

    assert client.get(f"{URL}{pk}/preview/").json()["object_types"] == ["order", "item"]
    assert client.post(f"{URL}{pk}/mapping/", {"object_type": "item"}, format="json").status_code == 202
    assert importing.run(pk, aside=False).cases == 2


# --- The command ---------------------------------------------------------------------------------


def test_a_folder_is_imported_file_by_file(tmp_path, capsys):
    write(tmp_path, "a.csv", text_of(ROWS, header=("case id", "activity", "timestamp")))
    write(tmp_path, "b.xes", xes(trace("c", ("open", "2024-01-01T00:00:00Z"))))
    write(tmp_path, "notes.md", "nothing")

    call_command(
        "import_log",
        str(tmp_path),
        "--mapping",
        json.dumps({"case": "case id", "activity": "activity", "timestamp": "timestamp"}),
    )

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["a.csv", "b.xes"]
    assert "2 events, 1 lines refused" in lines[0]
    assert set(EventLog.objects.values_list("state", flat=True)) == {LogState.READY}


def test_the_command_says_what_failed_and_leaves_with_an_error(tmp_path, capsys):
    path = write(tmp_path, "a.xes", "<log>")

    with pytest.raises(CommandError, match="1 of 1"):
        call_command("import_log", str(path), "--name", "Broken")

    assert "cannot be read" in capsys.readouterr().out


def test_the_admin_shows_logs_and_lets_nobody_change_them(client, admin, tmp_path):
    log = import_file(write(tmp_path, "a.csv", text_of(ROWS)), mapping=MAPPING)
    client.force_login(admin)

    assert client.get(f"/admin/insights/eventlog/{log.pk}/change/").status_code == 200
    assert client.get("/admin/insights/eventlog/add/").status_code == 403
    assert client.post(f"/admin/insights/eventlog/{log.pk}/delete/").status_code == 403
    assert client.get("/admin/insights/rejected/").status_code == 200
