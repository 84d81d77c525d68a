"""The list of event logs, an upload by hand, the columns, the facts and the end of a log."""

import csv
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import BusinessUnit, Entry
from insights import storage
from insights.eventlog import importing
from insights.models import EventLog, Rejected
from insights.states import LogState
from insights.views import example
from tests.factories import make_user
from tests.insights.factories import make_log, path

pytestmark = pytest.mark.django_db


@pytest.fixture
def at_desk(client):
    """``at_desk(user)``: a browser in which that person is signed in."""

    def seat(user):
        client.force_login(user)
        return client

    return seat


def sent(name="orders.csv", text=None):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(example.COLUMNS)
    writer.writerows(example.rows())
    return SimpleUploadedFile(name, (text or out.getvalue()).encode())


def waiting(**changes):
    return EventLog.objects.create(name="Waiting", created_at=timezone.now(), **changes)


def test_with_no_log_the_page_says_what_one_is_and_offers_an_example(at_desk, operator):
    page = at_desk(operator).get(reverse("event_logs"))

    assert page.status_code == 200
    assert "What is an event log?" in page.text
    assert reverse("event_log_example") in page.text


def test_the_example_is_a_log_that_imports_without_a_question(at_desk, operator):
    browser = at_desk(operator)
    text = browser.get(reverse("event_log_example")).text

    answer = browser.post(reverse("event_log_upload"), {"file": sent(text=text)})
    log = EventLog.objects.get()
    importing.run(log.pk, aside=False)
    log.refresh_from_db()

    assert answer.url == reverse("event_log", args=[log.pk])
    assert (log.state, log.cases, log.rejected_count, log.process) == (LogState.READY, example.ORDERS, 0, "o2c")


def test_an_upload_whose_columns_are_unclear_leads_to_the_page_that_asks(at_desk, operator):
    text = "a,b,c\n" + "".join(f"{n % 3},{'xy'[n % 2]},2026-01-0{n + 1}\n" for n in range(5))

    answer = at_desk(operator).post(reverse("event_log_upload"), {"file": sent("what.csv", text), "name": "What"})

    assert answer.url == reverse("event_log_mapping", args=[EventLog.objects.get(name="What").pk])


def test_an_empty_file_is_refused_beside_its_field(at_desk, operator):
    page = at_desk(operator).post(reverse("event_log_upload"), {"file": SimpleUploadedFile("no.csv", b"")})

    assert page.status_code == 422
    assert "The file is empty." in page.text
    assert not EventLog.objects.exists()


def test_a_file_that_is_too_large_is_refused_before_it_is_read(at_desk, operator, settings):
    settings.INSIGHTS_MAX_UPLOAD_MB = -1

    answer = at_desk(operator).post(reverse("event_log_upload"), {"file": sent()}, follow=True)

    assert "larger than" in answer.text
    assert not EventLog.objects.exists()


def test_an_upload_without_the_token_of_the_page_is_refused(operator):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator)

    answer = browser.post(reverse("event_log_upload"), {"file": sent()})

    assert answer.status_code == 403
    assert not EventLog.objects.exists()


def test_who_may_only_look_sees_no_form_and_cannot_send(at_desk, db):
    browser = at_desk(make_user("reader", role="viewer"))

    page = browser.get(reverse("event_logs"))
    browser.post(reverse("event_log_upload"), {"file": sent()})

    assert 'name="file"' not in page.text
    assert not EventLog.objects.exists()


def test_a_unit_that_is_not_the_persons_own_cannot_be_chosen(at_desk, db):
    BusinessUnit.objects.create(slug="US", name="America")
    browser = at_desk(make_user("europe", role="operator", units=["EU"]))

    page = browser.post(reverse("event_log_upload"), {"file": sent(), "business_unit": "US"})

    assert page.status_code == 422
    assert not EventLog.objects.exists()


def test_the_columns_are_shown_with_a_guess_and_twenty_rows(at_desk, operator):
    browser = at_desk(operator)
    browser.post(reverse("event_log_upload"), {"file": sent()})
    log = EventLog.objects.get()
    EventLog.objects.update(state=LogState.MAPPING)

    page = browser.get(reverse("event_log_mapping", args=[log.pk]))

    assert "The first 20 rows" in page.text
    assert '<option value="order" selected>' in page.text
    assert "% sure" in page.text


def test_the_same_column_twice_is_refused_in_words_and_nothing_is_imported(at_desk, operator):
    browser = at_desk(operator)
    browser.post(reverse("event_log_upload"), {"file": sent()})
    log = EventLog.objects.get()
    EventLog.objects.update(state=LogState.MAPPING)
    said = {"case": "order", "activity": "order", "timestamp": "time", "time_zone": "Nowhere/Land"}

    page = browser.post(reverse("event_log_mapping", args=[log.pk]), said)
    again = browser.post(reverse("event_log_mapping", args=[log.pk]), {**said, "time_zone": "UTC"})

    assert (page.status_code, again.status_code) == (422, 422)
    assert "No such time zone" in page.text
    assert "three columns" in again.text
    assert EventLog.objects.get().state == LogState.MAPPING


def test_saying_the_columns_imports_the_log(at_desk, operator):
    browser = at_desk(operator)
    browser.post(reverse("event_log_upload"), {"file": sent()})
    log = EventLog.objects.get()
    EventLog.objects.update(state=LogState.MAPPING)

    said = {"case": "order", "activity": "activity", "timestamp": "time", "time_zone": "Europe/Berlin"}
    answer = browser.post(reverse("event_log_mapping", args=[log.pk]), said)

    log.refresh_from_db()
    assert answer.url == reverse("event_log", args=[log.pk])
    assert (log.state, log.mapping["time_zone"]) == (LogState.IMPORTING, "Europe/Berlin")


def test_a_log_that_is_being_imported_shows_how_far_it_is_and_opens_by_itself(at_desk, operator):
    browser, log = at_desk(operator), waiting(state=LogState.IMPORTING, progress=0.42)

    page = browser.get(log.get_absolute_url())
    EventLog.objects.update(state=LogState.READY, generation=1)
    answer = browser.get(reverse("event_log_live", args=[log.pk]))

    assert "42 %" in page.text
    assert "data-live" in page.text
    assert answer.headers["HX-Redirect"] == log.get_absolute_url()


def test_a_failed_log_says_why_and_what_to_do(at_desk, operator):
    log = waiting(state=LogState.FAILED, error="No line has a time.")

    page = at_desk(operator).get(log.get_absolute_url())

    assert "No line has a time." in page.text
    assert reverse("event_log_mapping", args=[log.pk]) in page.text


def test_the_facts_tell_the_refused_lines_and_send_them_as_a_file_without_formulas(at_desk, operator):
    log = make_log(path("1", "A", "B"), rejected_count=1)
    Rejected.objects.create(log=log, line=7, reason="The time cannot be read.", text="=1+1")
    browser = at_desk(operator)

    page = browser.get(reverse("event_log_facts", args=[log.pk]))
    file = b"".join(browser.get(reverse("event_log_rejects", args=[log.pk])).streaming_content).decode()

    assert "The time cannot be read." in page.text
    assert file.splitlines()[1].endswith("'=1+1")


def test_a_log_is_taken_away_only_by_who_means_it(at_desk, operator):
    log = make_log(path("1", "A", "B"))
    browser, url = at_desk(operator), reverse("event_log_delete", args=[log.pk])

    browser.post(url)
    still = EventLog.objects.filter(pk=log.pk).exists()
    browser.post(url, {"sure": "yes"})

    assert still
    assert not EventLog.objects.exists()
    assert Entry.objects.filter(verb="event_log.deleted").exists()


def test_who_may_only_look_cannot_take_a_log_away(at_desk, db):
    log = make_log(path("1", "A", "B"))

    at_desk(make_user("reader", role="viewer")).post(reverse("event_log_delete", args=[log.pk]), {"sure": "yes"})

    assert storage.table(log, "events").exists()
    assert EventLog.objects.filter(pk=log.pk).exists()


def test_a_guess_is_not_called_sure_because_it_was_made_before(at_desk, operator):
    text = "a,b,c\n" + "".join(f"{n % 3},{'xy'[n % 2]},2026-01-0{n + 1}\n" for n in range(5))
    browser = at_desk(operator)
    browser.post(reverse("event_log_upload"), {"file": sent("what.csv", text)})

    page = browser.get(reverse("event_log_mapping", args=[EventLog.objects.get().pk]))

    assert "is not sure of every column" in page.text
    assert "100 % sure" not in page.text
