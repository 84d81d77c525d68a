"""Process mining over HTTP: the contract's shapes, who may ask, what is refused, CSV."""

import csv
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from insights.states import LogState
from tests.insights.factories import make_log, path
from tests.insights.test_check_conformance import SEQUENCE

pytestmark = pytest.mark.django_db
QUESTIONS = (
    *("process-map", "variants", "throughput", "bottlenecks", "rework", "leakage", "conformance", "causes"),
    *("hotspots", "duties", "compare", "cases", "cases/1", "reference-models"),
)


@pytest.fixture
def log():
    told = [
        *path("1", "Create", "Ship", "Ship", amount=10.0),
        *path("2", "Create", "Ship", vendor="=cmd()", amount=5.0),
    ]
    for event in told:
        event[3]["resource"] = "anna"
    return make_log(told, business_unit="EU", region="DE", case_attributes=["amount"], mapping={"currency": "EUR"})


@pytest.fixture
def ask(api, viewer, log):
    client = api(viewer)

    def get(question, query="", status=200):
        answer = client.get(f"/api/v1/event-logs/{log.pk}/{question}/?{query}")
        assert answer.status_code == status, answer.content
        return answer if "format=csv" in query else answer.json()

    return get


def test_the_map_is_told_as_the_contract_has_it(ask):
    told = ask("process-map")

    assert [(one["name"], one["count"]) for one in told["activities"]] == [("Ship", 3), ("Create", 2)]
    assert (told["start"], told["end"]) == ({"Create": 2}, {"Ship": 2})
    edge = told["edges"][0]
    assert (edge["from"], edge["to"], edge["count"]) == ("Create", "Ship", 2)
    assert (edge["median_seconds"], edge["p90_seconds"]) == (3600, 3600)


def test_variants_are_told_in_pages(ask):
    told = ask("variants", "page_size=1")

    assert told["results"][0]["activities"] == ["Create", "Ship"]
    assert {key: told["results"][0][key] for key in ("cases", "share", "median_seconds")} == {
        "cases": 1,
        "share": 0.5,
        "median_seconds": 3600,
    }
    assert told["results"][0]["money"] == {"amount": "5.00", "currency": "EUR"}
    assert told["previous"] is None
    second = ask("variants", told["next"].partition("?")[2])
    assert ([one["activities"] for one in second["results"]], second["next"]) == ([["Create", "Ship", "Ship"]], None)


def test_rework_and_throughput_are_told_as_the_contract_has_them(ask):
    rework = ask("rework")

    assert [{key: one[key] for key in ("activity", "cases", "extra")} for one in rework] == [
        {"activity": "Ship", "cases": 1, "extra": 1}
    ]
    times = ask("throughput")
    assert [times[f"{one}_seconds"] for one in ("median", "mean", "p90", "max")] == [5400, 5400, 6840, 7200]


def test_a_case_is_told_with_its_events_and_records(ask):
    told = ask("cases/2")

    assert [one["activity"] for one in told["events"]] == ["Create", "Ship"]
    assert told["events"][0]["attributes"] == {"vendor": "=cmd()", "resource": "anna"}
    assert (told["attributes"], told["incidents"]) == ({"amount": 5}, [])
    ask("cases/nobody", status=404)


def test_a_case_may_be_named_like_a_path(api, viewer):
    log = make_log(path("a/b?c#d %", "Create"), business_unit="EU", region="DE")

    answer = api(viewer).get(f"/api/v1/event-logs/{log.pk}/cases/a/b%3Fc%23d%20%25/")

    assert answer.json()["case"]["case"] == "a/b?c#d %"


def test_a_filter_narrows_every_question(ask):
    assert ask("process-map", "repeats=Ship")["cases"] == 1
    assert len(ask("variants", "repeats=Ship")["results"]) == 1
    assert ask("throughput", "repeats=Ship")["cases"] == 1
    assert ask("conformance", "repeats=Ship")["cases"] == 1
    assert ask("causes", "repeats=Ship")["cases"] == 1
    assert ask("hotspots", "repeats=Ship&by=variant")["cases"] == 1
    assert len(ask("cases", "repeats=Ship")["results"]) == 1
    assert ask("duties", "first=Create&second=Ship&repeats=Ship")["results"][0]["broken"] == 1
    assert ask("compare", "a.repeats=Ship")["first"]["cases"] == 1


@pytest.mark.parametrize(
    ("question", "query", "field"),
    [
        ("process-map", "nonsense=1", "nonsense"),
        ("process-map", "activities=many", "activities"),
        ("process-map", "colour=pink", "colour"),
        ("process-map", "with=Fly", "with"),
        ("variants", "money=vendor", "money"),
        ("variants", "cursor=xx", "cursor"),
        ("conformance", "model=77", "model"),
        ("causes", "target=boring", "target"),
        ("causes", "min_support=0", "min_support"),
        ("causes", "slow_seconds=nan", "slow_seconds"),
        ("hotspots", "by=colour", "by"),
        ("duties", "first=Create", "first"),
        ("compare", "with=Create", "with"),
        ("compare", "a.with=Fly", "with"),
        ("cases", "ordering=size", "ordering"),
    ],
)
def test_nonsense_is_answered_with_a_problem_document(ask, question, query, field):
    told = ask(question, query, status=400)

    assert told["code"] == "invalid"
    assert list(told["errors"]) == [field]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_log_of_another_unit_is_not_there(api, viewer, operator, question):
    log = make_log(path("1", "a", resource="x"), business_unit="US", region="US")

    assert api(viewer).get(f"/api/v1/event-logs/{log.pk}/{question}/").status_code == 404
    assert api().get(f"/api/v1/event-logs/{log.pk}/{question}/").status_code == 401
    assert api(operator).get(f"/api/v1/event-logs/{log.pk}/{question}/").status_code == 200


@pytest.mark.parametrize(
    ("state", "word"),
    [(LogState.MAPPING, "columns"), (LogState.IMPORTING, "Ask again"), (LogState.FAILED, "broken gz")],
)
@pytest.mark.parametrize("question", [one for one in QUESTIONS if one != "reference-models"])
def test_a_log_without_events_answers_409_and_what_to_do(api, operator, question, state, word):
    log = make_log(path("1", "a"), state=state, generation=0, error="broken gz")

    answer = api(operator).get(f"/api/v1/event-logs/{log.pk}/{question}/")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")
    assert word in answer.json()["detail"]


def test_a_log_that_gets_more_lines_shows_what_it_had(api, operator):
    log = make_log(path("1", "a"), state=LogState.IMPORTING)

    assert api(operator).get(f"/api/v1/event-logs/{log.pk}/process-map/").json()["cases"] == 1


@pytest.mark.parametrize("question", [one for one in QUESTIONS if one != "reference-models"])
def test_every_answer_is_there_as_csv(ask, question):
    answer = ask(question, "format=csv")

    assert answer["Content-Type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(answer.content.decode()))) or question == "causes"


def test_csv_holds_no_formula(ask):
    rows = list(csv.DictReader(io.StringIO(ask("cases/2", "format=csv").content.decode())))
    spots = list(csv.DictReader(io.StringIO(ask("hotspots", "by=attribute.vendor&format=csv").content.decode())))

    assert "'=cmd()" in str(rows) + str(spots)
    assert {row["value"] for row in spots} == {"", "'=cmd()"}


def test_csv_of_variants_is_not_paged(ask):
    rows = list(csv.DictReader(io.StringIO(ask("variants", "page_size=1&format=csv").content.decode())))

    assert [row["activities"] for row in rows] == ["Create → Ship", "Create → Ship → Ship"]
    assert rows[0]["money.amount"] == "5.00"


def test_an_error_stays_a_problem_document_where_csv_was_asked_for(api, viewer, log):
    answer = api(viewer).get(f"/api/v1/event-logs/{log.pk}/variants/?format=csv&with=Fly")

    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


def test_a_bpmn_model_is_given_and_counts(api, operator, log, ask):
    client = api(operator)
    file = SimpleUploadedFile("orders.bpmn", SEQUENCE.replace(b'"A"', b'"Create"').replace(b'"B"', b'"Ship"'))

    answer = client.post(
        f"/api/v1/event-logs/{log.pk}/reference-models/", {"name": "Orders", "file": file}, format="multipart"
    )

    assert answer.status_code == 201, answer.content
    told = ask("conformance")
    assert (told["reference"], told["source"], told["fitting"]) == ("Orders", "bpmn", 1)
    assert [one["words"] for one in told["deviations"]] == ["Ship is followed by Ship"]


def test_paths_and_duties_are_given_as_json(api, operator, log, ask):
    body = {"name": "Orders", "paths": [["Create", "Ship", "Ship"]], "duties": [["Ship", "Create"]]}

    answer = api(operator).post(f"/api/v1/event-logs/{log.pk}/reference-models/", body, format="json")

    assert answer.status_code == 201, answer.content
    assert ask("conformance")["fitting"] == 2
    assert [(one["first"], one["second"], one["broken"]) for one in ask("duties")["results"]] == [("Create", "Ship", 2)]
    assert [one["name"] for one in ask("reference-models")["results"]] == ["Orders"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "x"}, 400),
        ({"name": "x", "paths": []}, 400),
        ({"paths": [["a"]]}, 400),
        ({"name": "x", "paths": "a"}, 400),
    ],
)
def test_a_model_that_says_nothing_is_refused(api, operator, log, body, status):
    answer = api(operator).post(f"/api/v1/event-logs/{log.pk}/reference-models/", body, format="json")

    assert answer.status_code == status


def test_a_viewer_gives_no_models(api, viewer, log):
    body = {"name": "x", "paths": [["a"]]}

    assert api(viewer).post(f"/api/v1/event-logs/{log.pk}/reference-models/", body, format="json").status_code == 403
