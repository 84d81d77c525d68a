"""The pages of one process: the map, what it leads to, and every other question, with their ways out."""

import re
from html import unescape

import pytest
from django.urls import reverse

from insights.drawing.placing import plain, wrapped
from insights.mining.actions import give_reference
from insights.mining.models import ReferenceModel
from insights.views.asked import TABS
from insights.views.picture import heat
from tests.factories import make_user
from tests.insights.factories import at, make_log, path

pytestmark = pytest.mark.django_db
PAGES = [name for name, _ in TABS]


@pytest.fixture
def orders():
    """Thirty orders: ten of Spain wait for a check; every third has its price changed and is confirmed again."""
    events = []
    for number in range(30):
        steps = ["Create", "Confirm", *(["Price", "Confirm"] if number % 3 == 0 else []), "Ship", "Pay"]
        country = "Spain" if number % 3 == 0 else "France"
        events += [
            (f"SO-{number}", name, at(number + step * 5), {"country": country, "user": f"u{(number + step) % 3}"})
            for step, name in enumerate(steps)
        ]
    return make_log(events, case_attributes=["country"], mapping={"resource": "user"})


@pytest.fixture
def browser(client, automation):
    client.force_login(automation)
    return client


def get(browser, log, page="event_log", query=""):
    return browser.get(f"{reverse(page, args=[log.pk])}{'?' if query else ''}{query}")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_a_process_answers(browser, orders, page):
    answer = get(browser, orders, page)

    assert answer.status_code == 200
    assert orders.name in answer.text


@pytest.mark.parametrize("page", [name for name in PAGES if name != "event_log_compare"])
def test_every_page_says_so_when_no_case_fits(browser, orders, page):
    answer = get(browser, orders, page, "attribute.country=Nowhere")

    assert answer.status_code == 200
    assert "country is Nowhere" in unescape(answer.text) or page == "event_log_facts"


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_yours_is_not_there(client, orders, page):
    orders.business_unit = "US"
    orders.save()
    client.force_login(make_user("europe", role="operator", units=["EU"]))

    assert get(client, orders, page).status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_who_is_not_signed_in_is_asked_to(client, orders, page):
    assert "login" in get(client, orders, page).url


def test_the_map_links_every_box_and_line_with_its_figures(browser, orders):
    text = unescape(get(browser, orders).text)

    assert 'aria-label="Confirm: 40 times in 30 cases' in text
    assert 'aria-label="Create to Confirm: 30 times in 30 cases' in text
    assert "<title" in text
    assert "<desc" in text


def test_another_colour_changes_the_words_and_leaves_the_places(browser, orders):
    places = [
        re.findall(r'<rect class="box" x="([^"]+)" y="([^"]+)"', get(browser, orders, query=f"colour={colour}").text)
        for colour in ("frequency", "time", "rework")
    ]

    assert places[0] == places[1] == places[2]
    assert "10 again" in get(browser, orders, query="colour=rework").text


def test_a_line_leads_to_a_detector_an_incident_and_a_playbook(browser, orders):
    text = unescape(get(browser, orders, query="step_from=Confirm&step_to=Ship").text)

    assert "kind=pattern" in text
    assert "activity=Confirm&then=Ship&hours=5" in text
    assert reverse("insight_incident") in text
    assert "Draft a playbook" in text


def test_an_activity_that_is_redone_leads_to_a_detector_of_the_loop(browser, orders):
    text = unescape(get(browser, orders, query="step=Confirm").text)

    assert "pattern=loop&activity=Confirm" in text


def test_the_detector_keeps_the_part_of_the_filter_that_a_running_case_shows(browser, orders):
    query = "attribute.country=Spain&min_seconds=60&step_from=Confirm&step_to=Ship"
    text = unescape(get(browser, orders, query=query).text)

    assert "filter=attribute.country%3DSpain" in text
    assert "filter=attribute.country%3DSpain%26min" not in text


def test_the_filled_in_form_of_the_detector_opens(browser, orders):
    text = unescape(get(browser, orders, query="step_from=Confirm&step_to=Ship").text)
    link = re.search(r'href="(/insights/detectors/new/[^"]+)"', text)

    answer = browser.get(link[1])

    assert answer.status_code == 200
    assert "Ship" in answer.text


def test_who_may_only_look_is_offered_no_action(client, orders):
    client.force_login(make_user("reader", role="viewer"))

    text = get(client, orders, query="step_from=Confirm&step_to=Ship").text

    assert "Cases" in text
    assert "/insights/detectors/new/" not in text
    assert "Draft a playbook" not in text


def test_a_part_of_a_filter_can_be_taken_away(browser, orders):
    text = unescape(get(browser, orders, query="attribute.country=Spain&with=Price").text)

    assert f'href="{reverse("event_log", args=[orders.pk])}?with=Price"' in text
    assert f'href="{reverse("event_log", args=[orders.pk])}?attribute.country=Spain"' in text


def test_the_form_adds_to_a_filter_and_keeps_the_page(browser, orders):
    said = "f_page=event_log_variants&attribute.country=Spain&f_do=without&f_activity=Price&f_least=2&f_unit=hours"

    answer = get(browser, orders, "event_log_filter", said)

    assert (
        answer.url
        == f"{reverse('event_log_variants', args=[orders.pk])}?attribute.country=Spain&without=Price&min_seconds=7200"
    )


def test_a_part_that_cannot_be_meant_is_said_and_the_rest_is_kept(browser, orders):
    answer = get(browser, orders, "event_log_filter", "attribute.country=Spain&f_do=with&f_activity=Fly")

    page = browser.get(answer.url)

    assert "attribute.country=Spain" in answer.url
    assert "no activity “Fly”" in page.text


def test_a_parameter_that_does_not_exist_is_refused_with_a_way_out(browser, orders):
    answer = get(browser, orders, "event_log", "nonsense=1")

    assert answer.status_code == 422
    assert "There is no such parameter." in answer.text


@pytest.mark.parametrize("page", [name for name in PAGES if name != "event_log_facts"])
def test_every_answer_can_be_had_as_a_file(browser, orders, page):
    answer = get(browser, orders, page, "format=csv")

    assert answer["Content-Type"].startswith("text/csv")
    assert b"".join(answer.streaming_content)


def test_two_variants_are_compared_side_by_side(browser, orders):
    answer = get(browser, orders, "event_log_compare", "pick=1&pick=2")
    page = browser.get(answer.url)

    assert "a.variant=1&b.variant=2" in answer.url
    assert "Variant 1" in page.text
    assert "Variant 2" in page.text


def test_one_side_of_a_comparison_is_narrowed_and_the_other_kept(browser, orders):
    said = "f_page=event_log_compare&f_side=b&a.variant=1&b.variant=2&f_attribute=country&f_is=is&f_value=Spain"

    url = get(browser, orders, "event_log_filter", said).url

    assert set(url.partition("?")[2].split("&")) == {"a.variant=1", "b.variant=2", "b.attribute.country=Spain"}


def test_a_reference_model_is_given_as_ways(browser, orders):
    ways = {"paths": "Create → Confirm → Ship → Pay\n", "name": "How it should be"}

    browser.post(reverse("event_log_model", args=[orders.pk]), ways)
    page = get(browser, orders, "event_log_conformance")

    assert ReferenceModel.objects.get().name == "How it should be"
    assert "Price is not in the model" in page.text


def test_who_may_only_look_gives_no_model(client, orders):
    client.force_login(make_user("reader", role="viewer"))

    client.post(reverse("event_log_model", args=[orders.pk]), {"paths": "Create → Pay"})

    assert not ReferenceModel.objects.exists()


def test_one_person_in_two_duties_is_found_with_its_case(browser, orders):
    page = get(browser, orders, "event_log_duties", "first=Create&second=Pay")

    assert "one person did both" in page.text
    assert "check=duty" in unescape(page.text)


def test_a_log_that_tells_no_person_says_how_to_mend_that(browser):
    log = make_log(path("1", "A", "B"))

    page = get(browser, log, "event_log_duties", "first=A&second=B")

    assert page.status_code == 409
    assert "name the column of the resource" in page.text


def test_a_case_is_shown_with_its_events_and_its_incidents(browser, orders):
    page = get(browser, orders, "event_log_case", "case=SO-3")

    assert "its longest wait" in page.text
    assert "Incidents about it" in page.text
    assert get(browser, orders, "event_log_case", "case=SO-999").status_code == 404


def test_names_from_outside_do_no_harm(browser):
    nasty = "<script>alert(1)</script>"
    log = make_log([("items", nasty, at(0)), ("items", "\u202egnp.exe", at(1), {"items": "<b>x</b>"})], name=nasty)

    pages = [get(browser, log, page).text for page in PAGES] + [get(browser, log, "event_log_case", "case=items").text]

    assert not [text for text in pages if nasty in text or "<b>x</b>" in text]
    shown = [re.sub(r"<[^>]*>", "", text) for text in pages]
    assert not [text for text in shown if "\u202e" in text]


def test_a_very_long_name_is_cut_on_its_box_and_whole_in_its_label(browser):
    name = "word " * 40 + "end"
    log = make_log([("1", name, at(0)), ("1", "B", at(1))])

    text = get(browser, log).text

    assert f'aria-label="{name}: 1 time in 1 case' in text
    assert max(len(row) for row in wrapped(name)) <= 25


def test_of_many_activities_the_most_frequent_are_shown_and_the_page_says_so(browser):
    log = make_log([(f"{n}", name, at(n + m)) for n in range(40) for m, name in enumerate(("A", f"X{n}", "B"))])

    text = get(browser, log).text

    assert "12 of 42 activities are shown" in text
    assert "of 42</span>" in text


def test_names_lose_what_hides_text_and_shares_become_five_strengths():
    assert plain("a\u202eb\x00c") == "a·b·c"
    assert [heat(share) for share in (0, 0.001, 0.1, 0.4, 1.0)] == [0, 1, 2, 3, 4]


def test_given_models_are_offered_and_an_older_one_can_be_chosen(browser, orders, automation):
    old = give_reference(orders, name="Old", by=automation, paths=[["Create", "Pay"]])
    give_reference(orders, name="New", by=automation, paths=[["Create", "Confirm", "Ship", "Pay"]])

    newest = get(browser, orders, "event_log_conformance").text
    older = get(browser, orders, "event_log_conformance", f"model={old.pk}").text

    assert "<b><bdi>New</bdi></b>" in newest
    assert "<b><bdi>Old</bdi></b>" in older


def test_a_step_that_directly_repeats_is_told_once_with_how_often(browser):
    log = make_log(path("1", "Open", "Ask", "Ask", "Ask", "Close"))

    text = get(browser, log, "event_log_variants").text

    assert "<span><bdi>Ask</bdi> <b>×3</b></span>" in text


def test_a_template_of_a_reference_offers_to_watch_for_the_step_that_is_left_out(browser, orders, automation):
    give_reference(orders, name="All steps", by=automation, paths=[["Create", "Confirm", "Price", "Ship", "Pay"]])

    text = unescape(get(browser, orders, "event_log_conformance").text)

    assert "pattern=missing&activity=Price&before=Ship" in text


def test_a_wrong_start_and_a_wrong_end_can_be_watched_for(browser, orders, automation):
    give_reference(orders, name="Turned", by=automation, paths=[["Confirm", "Create", "Pay", "Ship"]])

    text = unescape(get(browser, orders, "event_log_conformance").text)

    assert "begins with" in text
    offered = re.findall(r'href="([^"]*pattern=(starts|ends)_with&activity=(\w+)[^"]*)"', text)
    assert [(kind, activity) for _, kind, activity in offered] == [("starts", "Create"), ("ends", "Pay")]
    forms = [browser.get(url).context["form"] for url, _, _ in offered]
    assert [form["activity"].value() for form in forms] == ["Create", "Pay"]
    assert forms[1]["hours"].value() == 24
