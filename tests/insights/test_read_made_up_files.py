"""Files made up at random, in every way of writing them, become exactly the cases that were written."""

import csv
import io
import json
import random
from datetime import UTC, datetime, timedelta, timezone
from xml.sax.saxutils import quoteattr

import pytest

from insights.states import LogState
from tests.insights.files import imported
from tests.insights.reading import asked

pytestmark = pytest.mark.django_db
NAMES = (
    "Open",
    "Prüfen",
    "pay; now",
    "a,b",
    'say "no"',
    "two\nlines",
    "=SUM(A1)",
    "it's|done",
    "Straße 5 €",
    "x" * 300,
)
BEGIN = datetime(2024, 3, 30, 22, tzinfo=UTC)
ZONES = (UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=9, minutes=30)))
# How each is told: with its zone, or in UTC by a mapping that says so.
STAMPS = (
    lambda at, dice: at.astimezone(dice.choice(ZONES)).isoformat(),
    lambda at, dice: at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    lambda at, dice: at.strftime("%Y-%m-%d %H:%M:%S"),
)


def events(dice, count=60):
    """Made-up events (case, activity, time to the second) in the order of the file, some at the same moment."""
    return [
        (f"C-{dice.randrange(9)}", dice.choice(NAMES), BEGIN + timedelta(seconds=dice.randrange(0, 9_000, 30)))
        for _ in range(count)
    ]


def by_case(told):
    """What the log should hold: each case with its activities and times, equal times in the order of the file."""
    cases = {}
    for case, name, at in sorted(told, key=lambda event: event[2]):
        cases.setdefault(case, []).append((name, at.replace(tzinfo=None)))
    return cases


def held(log):
    rows = asked(
        log,
        'SELECT c.case_id, a.name, e."at" FROM events e JOIN cases c USING (case_no) JOIN activities a USING (activity)'
        " ORDER BY c.case_id, e.position",
    )
    cases = {}
    for case, name, at in rows:
        cases.setdefault(case, []).append((name, at))
    return cases


@pytest.mark.parametrize("seed", range(10))
def test_a_table_is_read_however_it_is_written(tmp_path, seed):
    dice = random.Random(seed)
    told, stamp = events(dice), STAMPS[seed % len(STAMPS)]
    columns = ["Order id", "Step", "When", "Note"]
    dice.shuffle(columns)
    rows = [
        dict(
            zip(
                ("Order id", "Step", "When", "Note"),
                (*event[:2], stamp(event[2], dice), dice.choice(NAMES)),
                strict=True,
            )
        )
        for event in told
    ]
    bad = [
        {"Order id": "", "Step": "Open", "When": stamp(BEGIN, dice), "Note": ""},
        {"Order id": "C-1", "Step": "", "When": stamp(BEGIN, dice), "Note": "no step"},
        {"Order id": "C-1", "Step": "Open", "When": "yesterday", "Note": "no time"},
    ]
    for one in bad:
        rows.insert(dice.randrange(1, len(rows)), one)
    out = io.StringIO()
    writer = csv.DictWriter(
        out,
        columns,
        delimiter=(",", ";", "\t", "|")[seed % 4],
        quoting=(csv.QUOTE_MINIMAL, csv.QUOTE_ALL)[seed // 2 % 2],
        lineterminator=("\n", "\r\n")[seed // 3 % 2],
    )
    writer.writeheader()
    writer.writerows(rows)

    log = imported(
        tmp_path,
        out.getvalue().encode(("utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-16-le")[seed % 5]),
        mapping={"case": "Order id", "activity": "Step", "timestamp": "When"},
    )

    assert (log.state, log.error, log.rejected_count) == (LogState.READY, "", len(bad))
    assert held(log) == by_case(told)
    assert (log.events, log.cases) == (len(told), len(by_case(told)))


def xml(kind, key, value, inner=""):
    return f"<{kind} key={quoteattr(key)} value={quoteattr(str(value))}" + (f">{inner}</{kind}>" if inner else "/>")


@pytest.mark.parametrize("seed", range(4))
def test_traces_are_read_with_what_is_nested_in_them(tmp_path, seed):
    dice = random.Random(seed)
    told = [(case, name.replace("\n", " "), at) for case, name, at in events(dice, 40)]
    costs, traces = {}, ""
    for case in sorted({event[0] for event in told}):
        inner = xml("string", "concept:name", case) + xml("string", "region", "DE", xml("string", "source", "hidden"))
        for index, (_, name, at) in enumerate(event for event in told if event[0] == case):
            cost = dice.choice((None, dice.randrange(9_999) / 100))
            costs.setdefault((case, at), []).append(cost)
            parts = [
                xml("string", "concept:name", name, xml("string", "concept:name", "not this one")),
                xml("date", "time:timestamp", at.astimezone(dice.choice(ZONES)).isoformat()),
                xml("boolean", "urgent", "true" if index % 2 else "false"),
                f'<list key="parts"><values>{xml("string", "concept:name", "nor this")}</values></list>',
                "" if cost is None else xml("float", "cost", cost, xml("float", "cost", 0.5)),
            ]
            dice.shuffle(parts)
            inner += f"<event>{''.join(parts)}</event>"
        traces += f"<trace>{inner}</trace>"
    head = '<extension name="Concept" prefix="concept" uri="http://x"/><global scope="event">' + xml(
        "string", "concept:name", "none"
    )
    body = f'<?xml version="1.0" encoding="UTF-8"?><log xes.version="1.0">{head}</global>{traces}</log>'

    log = imported(tmp_path, body, name="log.xes", mapping=None)

    assert (log.state, log.error, log.rejected_count) == (LogState.READY, "", 0)
    assert held(log) == by_case(told)
    column = {one["name"]: one["column"] for one in log.attributes}
    rows = asked(log, f'SELECT c.case_id, e."at", e.{column["cost"]} FROM events e JOIN cases c USING (case_no)')
    found = {}
    for case, at, cost in rows:
        found.setdefault((case, at.replace(tzinfo=UTC)), []).append(cost)
    assert {key: sorted(map(str, one)) for key, one in found.items()} == {
        key: sorted(map(str, one)) for key, one in costs.items()
    }
    region = next(one["column"] for one in log.attributes if one["name"].endswith("region"))
    assert asked(log, f"SELECT DISTINCT {region} FROM cases") == [("DE",)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("chosen", ["order", "item"])
def test_objects_of_one_type_become_the_cases(tmp_path, seed, chosen):
    dice = random.Random(seed)
    objects = [{"id": f"{kind}{n}", "type": kind} for kind, most in (("order", 5), ("item", 8)) for n in range(most)]
    told, written = [], []
    for number in range(40):
        at, name = BEGIN + timedelta(seconds=dice.randrange(0, 3_000, 60)), dice.choice(NAMES)
        related = dice.sample([one["id"] for one in objects], dice.randrange(4))
        # One object may play two parts in an event: it is one event of the object all the same.
        parts = [{"objectId": one, "qualifier": part} for one in related for part in ("a", "b")[: dice.randrange(1, 3)]]
        stamp = at.astimezone(dice.choice(ZONES)).isoformat()
        written.append({"id": f"e{number}", "type": name, "time": stamp, "relationships": parts, "attributes": []})
        told += [(one, name, at) for one in related if one.startswith(chosen)]
    types = [{"name": kind, "attributes": []} for kind in ("order", "item")]
    document = {"objectTypes": types, "eventTypes": [], "objects": objects, "events": written}
    keys = list(document)
    dice.shuffle(keys)

    log = imported(
        tmp_path, json.dumps({key: document[key] for key in keys}), name="log.json", mapping=None, object_type=chosen
    )

    assert (log.state, log.error, log.object_type) == (LogState.READY, "", chosen)
    assert held(log) == by_case(told)
