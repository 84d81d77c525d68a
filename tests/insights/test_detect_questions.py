"""Detectors that rest on a question in a system's own language: seen before they are kept, and asked in order."""

from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.urls import reverse

from audit.errors import Invalid, NotAllowed
from connectors.models import Call, Connection
from incidents.models import Incident
from insights.detectors import actions, queries, running
from insights.detectors.definitions import Saved, read
from insights.detectors.models import Detector
from insights.detectors.states import Outcome
from insights.detectors.wording import describe
from tests.connectors.business import plant_invoice
from tests.connectors.conftest import _no_leftovers, _running, crm, dv, fo, simulated  # noqa: F401 - fixtures
from tests.insights.detecting import definition
from tests.insights.test_detect_pages import answers

pytestmark = pytest.mark.django_db
# One moment for all: two rows planted around a full hour must not come to have two stamps.
BEGUN = datetime.now(UTC)
INVOICES = "SalesInvoiceHeadersV2"
FILTER = {
    "entity": INVOICES,
    "filter": "TotalInvoiceAmount gt 10",
    "select": "InvoiceNumber,TotalInvoiceAmount,DueDate",
}
LARGE: dict[str, Any] = {"connection": "fo", "operation": "odata.query", "arguments": FILTER, "key": "InvoiceNumber"}
NEWEST = "SELECT CaseNumber, CreatedDate FROM Case WHERE CreatedDate > {watermark} ORDER BY CreatedDate"
CASES: dict[str, Any] = {
    "connection": "crm", "operation": "soql.query", "key": "CaseNumber", "time": "CreatedDate",
    "watermark": "CreatedDate", "arguments": {"query": NEWEST},
}  # fmt: skip
DUE: dict[str, Any] = {
    **LARGE, "time": "DueDate", "watermark": "DueDate",
    "arguments": {**FILTER, "filter": "DueDate gt {watermark}", "orderby": "DueDate asc"},
}  # fmt: skip


@pytest.fixture
def browser(client, automation):
    client.force_login(automation)
    return client


def make(by, query, **more):
    return actions.create(label="Rows", definition=definition({"kind": "query", "query": query}, **more), by=by)


def filled(page, **more):
    return {**answers(page), **more}


NEW = "/insights/detectors/new/?watch=odata"
TOLD = {
    "connection": "fo", "ask_entity": INVOICES, "ask_filter": "TotalInvoiceAmount gt 10", "key": "InvoiceNumber",
    "ask_select": "InvoiceNumber, TotalInvoiceAmount", "label": "Large invoices",
}  # fmt: skip


def test_a_filter_is_looked_at_then_kept_rehearsed_and_opens_incidents(browser, fo, simulated):  # noqa: F811
    plant_invoice(simulated, InvoiceNumber="IN-1", TotalInvoiceAmount=5.0)
    plant_invoice(simulated, InvoiceNumber="IN-2", TotalInvoiceAmount=50.0)
    page = browser.get(NEW)

    seen = browser.post(NEW, filled(page, **TOLD, preview="1"))
    assert seen.status_code == 200
    assert "IN-2" in seen.text
    assert "IN-1" not in seen.text
    assert not Detector.objects.exists()

    made = browser.post(NEW, filled(page, **TOLD), follow=True)
    detector = Detector.objects.get()
    assert detector.active.definition["rule"] == {"kind": "query", "query": {
        **LARGE, "arguments": {**FILTER, "select": "InvoiceNumber, TotalInvoiceAmount"},
    }}  # fmt: skip
    assert "The rows are as they stand now" in made.text
    assert "every row counts as known now" in made.text
    assert f"each record of {INVOICES} in fo where TotalInvoiceAmount gt 10" in made.text
    assert not Incident.objects.exists()

    actions.enable(detector, by=detector.created_by)
    assert running.run(detector.pk).raised == 1
    incident = Incident.objects.get()
    assert incident.entity_key == "IN-2"
    assert incident.attributes["evidence"][0]["TotalInvoiceAmount"] == 50.0
    assert incident.attributes["evidence"][0]["record"] == "demf/IN-2"


def test_what_rows_hold_is_shown_as_text(browser, fo, simulated):  # noqa: F811
    plant_invoice(
        simulated, InvoiceNumber="IN-2", TotalInvoiceAmount=50.0, CustomersOrderReference="<script>x</script>"
    )
    told = {**TOLD, "ask_select": "InvoiceNumber,CustomersOrderReference"}

    seen = browser.post(NEW, filled(browser.get(NEW), **told, preview="1"))

    assert "&lt;script&gt;x&lt;/script&gt;" in seen.text


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"ask_filter": "Total > 10"}, "ask_filter", "Cannot be read from here on: “> 10”"),
        ({"ask_select": "Total,,"}, "ask_select", "is no column"),
        ({"key": "CustomerName"}, "key", "not among the columns"),
        ({"key": ""}, "key", "required"),
        ({"watermark": "InvoiceNumber"}, "watermark", "Order the rows by InvoiceNumber first"),
        ({"ask_filter": "InvoiceNumber gt '{watermark}'"}, "watermark", "say which column it is taken from"),
        ({"ask_entity": "SystemUsers"}, "ask_entity", "not one of the available choices"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("act", ["preview", "save"])
def test_a_question_that_cannot_be_asked_is_told_at_its_place(browser, fo, simulated, changed, field, says, act):  # noqa: F811, PLR0917
    page = browser.get(NEW)

    answer = browser.post(NEW, filled(page, **{**TOLD, **changed}, **({"preview": "1"} if act == "preview" else {})))

    assert answer.status_code == 422
    assert says in unescape(" ".join(answer.context["form"].errors[field]))
    assert not Detector.objects.exists()


def test_a_field_that_does_not_exist_is_told_in_the_systems_words_with_what_to_do(browser, fo, simulated):  # noqa: F811
    told = {**TOLD, "ask_filter": "Nonsense gt 10"}

    seen = browser.post(NEW, filled(browser.get(NEW), **told, preview="1"))

    assert seen.status_code == 422
    (said,) = seen.context["form"].non_field_errors()
    assert "Could not find a property named 'Nonsense'" in said
    assert said.endswith("Correct the question and look at its first rows again.")


def test_an_entity_that_the_connection_does_not_name_is_refused_at_saving(automation, fo):  # noqa: F811
    saved = {**LARGE, "arguments": {"entity": "SystemUsers"}}

    with pytest.raises(Invalid) as refused:
        make(automation, saved)

    assert "may not read SystemUsers" in refused.value.errors["rule.query.arguments.entity"][0]
    assert not Call.objects.exists()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("DELETE FROM Case", "arguments.query"),
        ("SELECT CaseNumber FROM Case FOR UPDATE", "arguments.query"),
        ("SELECT CaseNumber, CreatedDate FROM User", "arguments.query"),
        ("SELECT CaseNumber FROM Case WHERE CreatedDate > {watermark} ORDER BY CreatedDate", "time"),
        ("SELECT CaseNumber, CreatedDate FROM Case WHERE CreatedDate > {watermark}", "watermark"),
        (f"{NEWEST} DESC", "watermark"),
        ("SELECT CaseNumber, CreatedDate FROM Case ORDER BY CreatedDate", "watermark"),
    ],
)  # fmt: skip
def test_what_would_write_or_lose_rows_is_refused_and_nothing_is_sent(automation, crm, simulated, query, field):  # noqa: F811
    before = len(simulated.requests())

    with pytest.raises(Invalid) as refused:
        make(automation, {**CASES, "arguments": {"query": query}})
    with pytest.raises(Invalid):
        queries.ask(Saved.model_validate({**CASES, "arguments": {"query": query}}), watermark="", now=now(), actor="t")

    assert list(refused.value.errors) == [f"rule.query.{field}"]
    assert len(simulated.requests()) == before


def now():
    return datetime.now(UTC)


def plant_due(simulated, number, hours_ago):  # noqa: F811
    stamp = (BEGUN - timedelta(hours=hours_ago)).strftime("%Y-%m-%dT%H:00:00Z")
    plant_invoice(simulated, InvoiceNumber=number, DueDate=stamp)


def test_a_limit_is_no_loss_and_each_look_begins_behind_the_last(automation, fo, simulated):  # noqa: F811
    for number, hours in (("a", 9), ("b", 8), ("c", 8), ("d", 5), ("old", 24 * 50)):
        plant_due(simulated, number, hours)
    detector = make(automation, {**DUE, "max_rows": 2}, limits={"look_back_days": 30})
    actions.enable(detector, by=automation, reason="a test")

    told = []
    for _ in range(4):
        Detector.objects.update(next_at=now() - timedelta(minutes=1))
        made = running.run(detector.pk)
        assert made.outcome == Outcome.DONE, made.message
        told.append(sorted(Incident.objects.values_list("entity_key", flat=True)))

    # b and c have one stamp and a limit between them: both wait, or the next look would begin behind c.
    assert told == [["a"], ["a", "b", "c"], ["a", "b", "c", "d"], ["a", "b", "c", "d"]]


@pytest.mark.parametrize(("verb", "raised"), [("gt", [1, 0, 0]), ("ge", [1, 2, 0])])
def test_more_rows_of_one_stamp_than_the_limit_are_an_error_and_never_lost(automation, fo, simulated, verb, raised):  # noqa: F811
    for number, hours in (("a", 9), ("b", 8), ("c", 8), ("d", 8)):
        plant_due(simulated, number, hours)
    asked = {**DUE["arguments"], "filter": f"DueDate {verb} {{watermark}}"}
    detector = make(automation, {**DUE, "max_rows": 2, "arguments": asked})
    actions.enable(detector, by=automation, reason="a test")

    made = []
    for _ in range(3):
        Detector.objects.update(next_at=now() - timedelta(minutes=1))
        made.append(running.run(detector.pk))

    assert [one.raised for one in made] == raised
    assert made[-1].outcome == Outcome.FAILED
    assert made[-1].message.startswith("More than 2 rows have the same DueDate")
    assert len(actions.preview(detector.active.definition, by=automation).findings) == 2


def test_a_look_that_leaves_rows_out_for_good_says_so(automation, fo, simulated):  # noqa: F811
    for number in ("a", "b", "c"):
        plant_invoice(simulated, InvoiceNumber=number)

    rehearsal = actions.rehearse_now(make(automation, {**LARGE, "max_rows": 2}), by=automation)

    assert "the others are never looked at" in rehearsal.result["notes"][0]


def test_a_watermark_too_long_to_keep_is_told(automation, fo, simulated):  # noqa: F811
    plant_invoice(simulated, InvoiceNumber="a", CustomersOrderReference="x" * 101)
    saved = {
        **LARGE, "watermark": "CustomersOrderReference", "start": "A", "arguments": {
            "entity": INVOICES, "filter": "CustomersOrderReference gt '{watermark}'",
            "orderby": "CustomersOrderReference",
        },
    }  # fmt: skip
    detector = make(automation, saved)
    actions.enable(detector, by=automation, reason="a test")

    assert "more than 100 letters" in running.run(detector.pk).message


def test_a_text_may_be_the_watermark_too(automation, crm, simulated):  # noqa: F811
    for number in ("SO-1", "SO-2", "SO-3"):
        simulated.plant("sf", "Case", Subject="x", Order_Number__c=number)
    text = "SELECT Order_Number__c FROM Case WHERE Order_Number__c > '{watermark}' ORDER BY Order_Number__c"
    saved = Saved.model_validate({
        "connection": "crm", "operation": "soql.query", "key": "Order_Number__c", "watermark": "Order_Number__c",
        "arguments": {"query": text}, "start": "A", "max_rows": 2,
    })  # fmt: skip

    first = queries.ask(saved, watermark="", now=now(), actor="t")
    second = queries.ask(saved, watermark=first.watermark, now=now(), actor="t")

    assert ([one.entity for one in first.findings], first.watermark, first.cut) == (["SO-1", "SO-2"], "SO-2", True)
    assert ([one.entity for one in second.findings], second.cut) == (["SO-3"], False)


def test_without_a_watermark_yet_a_question_begins_where_the_look_back_does(automation, crm, simulated):  # noqa: F811
    make(automation, CASES)
    queries.ask(Saved.model_validate(CASES), watermark="", now=now(), actor="t", since=datetime(2026, 1, 2, tzinfo=UTC))
    queries.ask(Saved.model_validate({**CASES, "start": "2026-02-03"}), watermark="", now=now(), actor="t")

    sent = [call.arguments["watermark"] for call in Call.objects.order_by("pk")]
    assert sent == ["2026-01-02T00:00:00Z", "2026-02-03"]


FETCH = (
    "<fetch><entity name='account'><attribute name='accountnumber'/><attribute name='name'/>"
    "<filter><condition attribute='accountnumber' operator='gt' value='{watermark}'/></filter>"
    "<order attribute='accountnumber'/></entity></fetch>"
)


def test_a_fetchxml_question_is_kept_and_opens_incidents_like_any_other(browser, dv, simulated):  # noqa: F811
    for number in ("S-1", "S-2", "S-3"):
        simulated.plant("dv", "account", name=f"<b>{number}", accountnumber=number)
    new = "/insights/detectors/new/?watch=fetchxml"
    told = filled(
        browser.get(new), connection=dv.slug, question=FETCH, key="accountnumber", watermark="accountnumber",
        start="A", max_rows="2", label="Shops",
    )  # fmt: skip

    seen = browser.post(new, {**told, "preview": "1"})
    browser.post(new, told)
    detector = Detector.objects.get()
    actions.enable(detector, by=detector.created_by)
    found = []
    for _ in range(2):
        Detector.objects.update(next_at=now() - timedelta(minutes=1))
        running.run(detector.pk)
        found.append(sorted(Incident.objects.values_list("entity_key", flat=True)))

    assert "&lt;b&gt;S-2" in seen.text
    assert found == [["S-1", "S-2"], ["S-1", "S-2", "S-3"]]
    assert describe(read(detector.active.definition)).startswith(f"each row that {dv.slug} returns for <fetch>")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("<fetch><entity name='systemuser'><attribute name='accountnumber'/></entity></fetch>", "arguments.query"),
        ("<delete><entity name='account'/></delete>", "arguments.query"),
        (FETCH.replace("<order attribute='accountnumber'/>", ""), "watermark"),
        (FETCH.replace("<attribute name='accountnumber'/>", ""), "key"),
    ],
)
def test_a_fetchxml_question_that_cannot_be_asked_is_refused(automation, dv, query, field):  # noqa: F811
    saved = {
        "connection": dv.slug, "operation": "fetchxml.query", "key": "accountnumber", "watermark": "accountnumber",
        "arguments": {"query": query},
    }  # fmt: skip

    with pytest.raises(Invalid) as refused:
        make(automation, saved)

    assert list(refused.value.errors) == [f"rule.query.{field}"]


def test_another_question_begins_anew_and_the_same_one_goes_on(automation, crm):  # noqa: F811
    detector = make(automation, CASES)
    Detector.objects.update(watermark="2026-01-01T00:00:00Z")

    def revised(query, **more):
        detector.refresh_from_db()
        actions.revise(detector, definition=definition({"kind": "query", "query": query}, **more), by=automation)
        return Detector.objects.get().watermark

    assert revised(CASES, when="row.Subject != 'x'") == "2026-01-01T00:00:00Z"
    assert revised({**CASES, "arguments": {"query": NEWEST + " LIMIT 100"}}) == ""


def test_a_question_is_changed_through_the_same_form(browser, automation, crm, simulated):  # noqa: F811
    detector = make(automation, CASES)
    page = browser.get(reverse("detector_edit", args=[detector.pk]))
    assert page.context["form"]["question"].value() == NEWEST
    assert page.context["form"]["connection"].value() == "crm"

    seen = browser.post(page.request["PATH_INFO"], filled(page, preview="1"))
    browser.post(page.request["PATH_INFO"], filled(page, question=NEWEST + " LIMIT 9"))

    assert "No rows" in seen.text
    assert detector.active.number == 2
    assert detector.active.definition["rule"]["query"]["arguments"]["query"].endswith("LIMIT 9")


def test_questions_are_offered_to_those_who_may_ask_where_a_system_understands_them(browser, client, crm, operator):  # noqa: F811
    mine = browser.get(reverse("detector_new")).text
    Connection.objects.all().delete()
    none = browser.get(reverse("detector_new")).text
    client.force_login(operator)
    theirs = client.get(reverse("detector_new")).text

    assert "watch=soql" in mine
    assert "watch=odata" not in mine
    assert "watch=query" in none
    assert "watch=soql" not in none
    assert "watch=query" not in theirs


def test_who_may_not_ask_sees_no_rows(client, fo, simulated, operator):  # noqa: F811
    plant_invoice(simulated, InvoiceNumber="IN-2", TotalInvoiceAmount=50.0)
    client.force_login(operator)

    answer = client.post(NEW, filled(client.get(NEW), **TOLD, preview="1"), follow=True)

    assert "IN-2" not in answer.text
    assert not Call.objects.exists()
    with pytest.raises(NotAllowed):
        actions.preview(definition({"kind": "query", "query": LARGE}), by=operator)


def test_a_rehearsal_says_which_past_it_cannot_know(automation, fo, simulated):  # noqa: F811
    plant_due(simulated, "a", 30)
    plant_due(simulated, "long ago", 24 * 100)

    rehearsal = actions.rehearse_now(make(automation, DUE), by=automation)

    assert rehearsal.raised == 1
    (note,) = rehearsal.result["notes"]
    assert "rows that were deleted" in note
    assert note.endswith("Each counts as known since its DueDate.")


def test_a_question_is_told_in_words_without_asking_anything(django_assert_num_queries):
    told = [read(definition({"kind": "query", "query": one})) for one in (LARGE, CASES, {
        "connection": "crm", "operation": "case.get", "arguments": {"id": "1"},
    })]  # fmt: skip

    with django_assert_num_queries(0):
        said = [describe(one) for one in told]

    assert said[0] == f"each record of {INVOICES} in fo where TotalInvoiceAmount gt 10"
    assert said[1].startswith("each row that crm returns for SELECT CaseNumber")
    assert said[2] == "each row that case.get of crm returns"
