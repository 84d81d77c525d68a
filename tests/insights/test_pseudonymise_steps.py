"""What comes in from people's screens: no name and no value of it ever lies in the database or in a file."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.apps import apps
from django.core import serializers
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from audit.errors import Invalid, NotAllowed
from insights.tasklog import actions, entry, pseudonyms, running
from insights.tasklog.models import TaskLog
from insights.tasklog.reading import lines_of, moment
from tests.factories import make_user
from tests.insights.steps import HEAD, as_csv, clerks, lines, make_task_log

pytestmark = pytest.mark.django_db
LATER = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def owner(db):
    return make_user("owner", role="automation_admin")


def everything_kept(folder: Path) -> str:
    """All rows of insights and of the ledger, and all bytes of all files, as one text."""
    models = [*apps.get_app_config("insights").get_models(), *apps.get_app_config("audit").get_models()]
    rows = "".join(serializers.serialize("json", model.objects.all()) for model in models)
    return rows + "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


# The beginning is no word of ours: "routines" alone would be found as the name of a column.
word = st.text(st.characters(codec="utf-8", categories=["L"]), min_size=8, max_size=20).map("Qxj{}".format)
secret = word | st.integers(10**9, 10**12).map(str) | word.map(lambda text: f"{text}@mail.example")


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(word, min_size=2, max_size=4, unique=True), values=st.lists(secret, min_size=1, max_size=6))
def test_no_name_and_no_value_of_the_input_is_kept(settings, tmp_path, names, values):
    settings.INSIGHTS_DIR = tmp_path / "files"
    owner = make_user("owner", role="automation_admin")
    steps = [
        {"user": name, "application": "Mail", "element": f"Field of {name} with {value}", "action": "Type",
         "value": value, "url": f"https://erp.example/x?who={name}", "timestamp": f"2026-03-02T08:00:{number:02d}Z"}
        for number, (name, value) in enumerate((name, value) for name in names for value in values)
    ]  # fmt: skip

    log = actions.receive([json.dumps(steps).encode()], name="A log", file_name="steps.json", by=owner)

    for _ in ("as it came in", "mined"):
        kept = everything_kept(settings.INSIGHTS_DIR).lower()
        for text in {*names, *values}:
            assert json.dumps(text.lower())[1:-1] not in kept
            assert text.lower().encode().decode("latin-1") not in kept
        if log.state == "waiting":
            log = running.run(log.pk)


def test_the_marks_of_equal_values_are_gone_once_the_log_is_mined():
    log = make_task_log(mined=False)
    assert (entry.home(log) / "marks.npy").exists()

    running.run(log.pk)

    assert not (entry.home(log) / "marks.npy").exists()
    assert (entry.home(log) / "steps.npz").exists()


def test_a_pseudonym_is_the_same_in_every_log_and_another_in_every_installation(settings):
    here = pseudonyms.person("Anna", pseudonyms.person_key())

    assert pseudonyms.person(" anna ", pseudonyms.person_key()) == here
    assert re.fullmatch("[0-9a-f]{16}", here)
    settings.CREDENTIAL_KEY = "b" * 43 + "="
    assert pseudonyms.person("Anna", pseudonyms.person_key()) != here


def test_equal_values_match_within_one_session_of_one_import_only():
    first, second = pseudonyms.Matcher(), pseudonyms.Matcher()

    assert first.of("s", "DE-4711") == first.of("s", " DE-4711 ") != 0
    assert first.of("s", "DE-4711") != first.of("t", "DE-4711")
    assert first.of("s", "DE-4711") != second.of("s", "DE-4711")
    assert first.of("s", "yes") == 0


@pytest.mark.parametrize(
    ("value", "sort"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("1,234.50 EUR", "number"),
        ("-7 %", "number"),
        ("2026-03-02", "date"),
        ("02.03.2026", "date"),
        ("a@b.example", "email"),
        ("pay a@b.example", "text"),
        ("INV-7", "text"),
    ],
)
def test_a_value_is_known_by_its_sort(value, sort):
    assert pseudonyms.class_of(value) == sort


def test_labels_lose_digits_addresses_and_queries():
    assert pseudonyms.label("Invoice 4711 of a@b.example") == "Invoice # of …"
    assert pseudonyms.label("https://erp.example/inv/4711?token=x") == "https://erp.example/inv/#"
    assert pseudonyms.label("Order of ACME Ltd", "acme ltd") == "Order of …"


def test_lines_that_are_no_steps_are_refused_with_a_reason_and_without_their_text(owner):
    good = list(lines(clerks(1), times=1))
    chunks = as_csv(
        [*good, "x,y", ",Outlook,a,click,,2026-03-02", "anna,Outlook,a,click,,soon", "anna,Outlook,a,click,,2099-01-01"]
    )

    log = actions.receive(chunks, name="A log", by=owner)

    assert (log.steps, log.rejected_count, log.people) == (4, 4, 1)
    told = [(one.line, one.reason) for one in log.rejected.all()]
    assert [line for line, _ in told] == [6, 7, 8, 9]
    assert told[0][1].startswith("The line cannot be read")
    assert told[3][1] == "Its time cannot be read, or lies in the future."


@pytest.mark.parametrize(
    "body", [b"", b"\n\n", b"a,b\n1,2\n", HEAD.encode(), HEAD.encode() + b"\nanna,,,,,\n", b"[]", b"{", b"\x00\xff"]
)
def test_a_file_that_is_no_step_log_is_refused_and_nothing_stays(owner, settings, body):
    with pytest.raises(Invalid):
        actions.receive([body], name="A log", by=owner)

    assert not TaskLog.objects.exists()
    assert not Path(settings.INSIGHTS_DIR).exists()


@pytest.mark.parametrize(
    "body",
    [
        '[{"a": "1"}, {"a": 2}]',
        '{"a": "1"}\n{"a": 2}\n',
        '{"events": [{"a": "1"}, {"a": 2}]}',
        "a\n1\n2\n",
        "a;b\n1;x\n2;y",
    ],
)
def test_every_layout_is_read_line_by_line_however_it_is_cut(body):
    whole = [row["a"] for _, row in lines_of([body.encode()])]
    cut = [row["a"] for _, row in lines_of(bytes([byte]) for byte in body.encode())]

    assert whole == cut == ["1", "2"]


def test_times_without_a_zone_are_meant_in_the_zone_that_was_told(owner):
    rows = ["anna,Outlook,Mail,click,,2026-03-02 08:00:00"] * 2

    log = running.run(actions.receive(as_csv(rows), name="A log", by=owner, time_zone="Europe/Berlin").pk)

    assert log.first_at == datetime(2026, 3, 2, 7, tzinfo=UTC)
    with pytest.raises(Invalid):
        actions.receive(as_csv(rows), name="A log", by=owner, time_zone="Mars/Base")


def test_times_are_read_in_seconds_milliseconds_and_iso():
    moments = {moment(text, UTC, LATER) for text in ("1772438400", "1772438400000", "2026-03-02T08:00:00Z")}

    assert moments == {datetime(2026, 3, 2, 8, tzinfo=UTC)}
    assert {moment(text, UTC, LATER) for text in ("", "x", "9" * 30, "1e999", "0001-01-01")} == {None}


def test_columns_can_be_told_and_must_exist(owner):
    body = b"who;prog;what;at\nanna;Outlook;click;2026-03-02T08:00:00Z\n"
    told = {"user": "who", "application": "prog", "action": "what", "time": "at"}

    assert actions.receive([body], name="A log", by=owner, mapping=told).mapping == told
    for wrong in ({}, {**told, "user": "whom"}, {**told, "password": "x"}):
        with pytest.raises(Invalid):
            actions.receive([body], name="A log", by=owner, mapping=wrong)


def test_who_may_bring_in_a_log_and_for_which_unit(viewer):
    of_eu = make_user("eu", role="operator", units=["EU"])

    with pytest.raises(NotAllowed):
        make_task_log(by=viewer)
    with pytest.raises(Invalid):
        make_task_log(by=of_eu)
