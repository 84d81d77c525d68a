"""From files to the four tables: the real logs against independent figures, and everything that files do wrong."""

import ast
import csv
import hashlib
import json

import pytest

from insights.actions import import_file
from insights.states import LogState
from tests.insights.reading import asked

pytestmark = pytest.mark.django_db

WITH_FIGURES = {
    "running-example.xes": "running-example",
    "roadtraffic100traces.xes": "roadtraffic100traces",
    "receipt.csv": "receipt",
    "helpdesk.xes.gz": "helpdesk",
    "16_bpic2019_1t_per_variant.xes.gz": "16_bpic2019_1t_per_variant",
}


def names(log):
    return dict(asked(log, "SELECT activity, name FROM activities"))


def near(value):
    return pytest.approx(value, rel=1e-6, abs=1e-3)


@pytest.fixture(params=WITH_FIGURES)
def known(request, real_logs, db):
    path = real_logs / request.param
    figures = json.loads((real_logs / f"{WITH_FIGURES[request.param]}.figures.json").read_text())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == figures["sha256"]
    log = import_file(path)
    assert (log.state, log.error) == (LogState.READY, "")
    return log, figures


def test_a_real_log_equals_the_figures_of_an_independent_tool(known):
    log, figures = known
    name = names(log)
    share = "SELECT {0}, count(*) FROM cases GROUP BY 1"
    edges = asked(
        log, "SELECT activity, next, count(*), median(gap), avg(gap) FROM events WHERE next IS NOT NULL GROUP BY 1, 2"
    )

    assert (log.cases, log.events, log.activities, log.variants) == (
        figures["cases"], figures["events"], len(figures["activities"]), figures["variants"],
    )  # fmt: skip
    assert dict(asked(log, "SELECT name, events FROM activities")) == figures["activities"]
    for side, column in (("start", "first_activity"), ("end", "last_activity")):
        assert {name[at]: n for at, n in asked(log, share.format(column))} == figures[side]
    found = {(name[a], name[b]): (count, median, mean) for a, b, count, median, mean in edges}
    wanted = {(edge["from"], edge["to"]): edge for edge in figures["edges"]}
    assert found.keys() == wanted.keys()
    for key, (count, median, mean) in found.items():
        assert count == wanted[key]["count"]
        assert (median, mean) == (near(wanted[key]["median_seconds"]), near(wanted[key]["mean_seconds"]))


def test_the_variants_rework_and_throughput_of_a_real_log_equal_the_figures(known):
    log, figures = known
    name = names(log)
    variants = asked(log, "SELECT path, cases FROM variants ORDER BY variant")
    rework = asked(
        log,
        "SELECT activity, count(*), sum(n - 1) FROM "
        "(SELECT case_no, activity, count(*) AS n FROM events GROUP BY ALL HAVING count(*) > 1) GROUP BY 1",
    )
    throughput = asked(log, "SELECT median(seconds), avg(seconds), max(seconds) FROM cases")[0]

    ranked = [[cases, [name[each] for each in path]] for path, cases in variants]
    top = sorted(([each["cases"], each["activities"]] for each in figures["top_variants"]), key=lambda v: (-v[0], v[1]))
    assert sorted(ranked, key=lambda v: (-v[0], v[1])) == ranked
    assert ranked[: len(top)] == top
    assert {name[at]: {"cases": cases, "extra": extra} for at, cases, extra in rework} == figures["rework"]
    told = figures["throughput_seconds"]
    assert throughput == (near(told["median"]), near(told["mean"]), near(told["max"]))


def test_a_real_log_has_cases_and_positions_without_holes(known):
    log, _ = known

    row = asked(
        log,
        "SELECT bool_and(position BETWEEN 1 AND cases.events), count(DISTINCT (case_no, position)) = count(*), "
        "bool_and((next IS NULL) = (position = cases.events)), bool_and(gap IS NULL OR gap >= 0), "
        "bool_and((gap IS NULL) = (next IS NULL)) FROM events JOIN cases USING (case_no)",
    )[0]
    paths = asked(
        log,
        "SELECT count(*) FROM (SELECT case_no, list(activity ORDER BY position) AS path FROM events GROUP BY 1) AS e "
        "JOIN cases USING (case_no) JOIN variants USING (variant) WHERE e.path <> variants.path",
    )[0][0]

    assert row == (True, True, True, True, True)
    assert paths == 0


@pytest.mark.parametrize("file", ["ocel20_example.jsonocel", "ocel20_example.sqlite"])
@pytest.mark.parametrize("object_type", ["Invoice", "Payment", "Purchase Order", "Purchase Requisition"])
def test_an_object_centric_log_is_flattened_by_the_type_that_is_asked_for(real_logs, file, object_type):
    document = json.loads((real_logs / "ocel20_example.jsonocel").read_text())
    wanted = {each["id"] for each in document["objects"] if each["type"] == object_type}
    links = [
        (each["time"], link["objectId"], each["type"])
        for each in document["events"]
        for link in {rel["objectId"]: rel for rel in each["relationships"]}.values()
        if link["objectId"] in wanted
    ]

    log = import_file(real_logs / file, object_type=object_type)

    rows = asked(log, "SELECT case_id, name FROM events JOIN cases USING (case_no) JOIN activities USING (activity)")
    assert (log.state, log.error, log.object_type) == (LogState.READY, "", object_type)
    assert sorted(rows) == sorted((case, activity) for _, case, activity in links)


def test_both_forms_of_an_object_centric_log_say_the_same(real_logs):
    sql = (
        "SELECT case_id, name, position FROM events JOIN cases USING (case_no) JOIN activities USING (activity) "
        "ORDER BY ALL"
    )

    logs = [import_file(real_logs / f"ocel20_example.{form}") for form in ("jsonocel", "sqlite")]

    assert asked(logs[0], sql) == asked(logs[1], sql)
    assert [log.object_type for log in logs] == ["Invoice", "Invoice"]


def test_an_object_centric_table_has_one_row_for_each_object_of_an_event(real_logs):
    path = real_logs / "ocel_order_simulated.csv"
    with path.open(newline="") as file:
        told = [ast.literal_eval(row["ocel:type:orders"].strip() or "[]") for row in csv.DictReader(file)]

    log = import_file(path, object_type="orders")

    assert (log.state, log.error, log.rejected_count) == (LogState.READY, "", 0)
    assert log.events == sum(len(each) for each in told)
    assert log.cases == len({name for each in told for name in each})


def test_start_and_end_of_a_step_are_kept_apart(real_logs):
    log = import_file(real_logs / "interval_event_log.csv")

    assert log.state == LogState.READY
    assert asked(log, 'SELECT bool_and(started_at <= "at"), count(started_at) FROM events') == [(True, log.events)]
