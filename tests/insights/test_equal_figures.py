"""The public event logs, against figures that an independent tool computed of the same files."""

import json

import pytest

from insights.actions import import_file
from insights.mining.process_map import process_map
from insights.mining.rework import rework
from insights.mining.throughput import throughput
from insights.mining.variants import variants

pytestmark = pytest.mark.django_db
LOGS = ("running-example", "roadtraffic100traces", "receipt", "helpdesk", "16_bpic2019_1t_per_variant")
# The figures are written down to the millisecond; so far they may differ and no further.
ROUNDED = 0.0005 + 1e-6
RECEIPT = {"case": "case:concept:name", "activity": "concept:name", "timestamp": "time:timestamp"}


@pytest.mark.parametrize("name", LOGS)
def test_a_public_log_equals_its_figures(real_logs, name):
    figures = json.loads((real_logs / f"{name}.figures.json").read_text())
    log = import_file(real_logs / figures["file"], mapping=RECEIPT if name == "receipt" else None)
    assert log.state == "ready", log.error

    drawn = process_map(log)

    assert (drawn.cases, drawn.events) == (figures["cases"], figures["events"])
    assert {one.name: one.count for one in drawn.activities} == figures["activities"]
    assert (dict(drawn.start), dict(drawn.end)) == (figures["start"], figures["end"])
    edges = {(edge.source, edge.target): edge for edge in drawn.edges}
    expected = {(edge["from"], edge["to"]): edge for edge in figures["edges"]}
    assert {couple: edge.count for couple, edge in edges.items()} == {
        couple: edge["count"] for couple, edge in expected.items()
    }
    for couple, edge in expected.items():
        assert edges[couple].median_seconds == pytest.approx(edge["median_seconds"], rel=0, abs=ROUNDED)
        assert edges[couple].mean_seconds == pytest.approx(edge["mean_seconds"], rel=0, abs=ROUNDED)
    hold_variants(log, figures)
    hold_times(log, figures)


def hold_variants(log, figures):
    found = variants(log, most=10_000_000)
    assert found.total == figures["variants"]
    counts = {one.activities: one.cases for one in found.results}
    assert len(counts) == figures["variants"]
    for one in figures["top_variants"]:
        assert counts[tuple(one["activities"])] == one["cases"]
    ranked = [one.cases for one in found.results]
    assert ranked == sorted(ranked, reverse=True)
    assert ranked[: len(figures["top_variants"])] == [one["cases"] for one in figures["top_variants"]]


def hold_times(log, figures):
    assert {one.activity: {"cases": one.cases, "extra": one.extra} for one in rework(log).activities} == figures[
        "rework"
    ]
    times = throughput(log)
    for name, value in figures["throughput_seconds"].items():
        assert getattr(times, f"{name}_seconds") == pytest.approx(value, rel=0, abs=ROUNDED)
