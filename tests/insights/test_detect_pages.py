"""From a log to an incident in the browser, the same over HTTP and as documents; and who may see what."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.forms import ChoiceField, MultipleChoiceField
from django.urls import reverse

from incidents.models import Incident
from insights.detectors import actions, running
from insights.detectors.links import link_to_incident, link_to_new, link_to_playbook
from insights.detectors.manifests import DOCUMENTS
from insights.detectors.models import Detector
from insights.detectors.tiles import TILES
from playbooks.manifests.checking import check
from tests.factories import make_user
from tests.insights.detecting import definition, make_detector, orders

pytestmark = pytest.mark.django_db

LOOP = {"kind": "pattern", "pattern": "loop", "activity": "Pay", "times": 1}


@pytest.fixture
def browser(client, automation):
    client.force_login(automation)
    return client


def answers(page):
    """What a browser sends if nobody changes anything: of a question without an answer, its first choice."""
    form = page.context["form"]
    found = {}
    for name, field in form.fields.items():
        value = form[name].value()
        if value is None and isinstance(field, ChoiceField) and not isinstance(field, MultipleChoiceField):
            value = field.choices[0][0]
        if value not in (None, ""):
            found[name] = "{}" if value == {} else value
    return found


def test_two_clicks_lead_from_what_a_map_shows_to_a_rehearsed_detector_and_one_more_to_its_incidents(browser):
    log = orders()
    page = browser.get(link_to_new(log, "pattern", pattern="loop", activity="Pay", times=1))
    assert page.status_code == 200

    made = browser.post(page.request["PATH_INFO"] + "?" + page.request["QUERY_STRING"], answers(page), follow=True)

    detector = Detector.objects.get()
    assert made.redirect_chain == [(detector.get_absolute_url(), 302)]
    assert detector.label == "Orders: A step is repeated: Pay"
    assert "What it would have opened" in made.content.decode()
    assert not Incident.objects.exists()

    browser.post(reverse("detector_enable", args=[detector.pk]), {"row_version": detector.row_version})
    running.run(detector.pk)
    shown = browser.get(detector.get_absolute_url()).content.decode()
    assert Incident.objects.filter(entity_key="2").exists()
    assert f"INC-{Incident.objects.get(entity_key='2').pk}" in shown


@pytest.mark.parametrize("tile", [one for one in TILES if one.needs_log], ids=lambda tile: tile.slug)
def test_every_tile_about_a_log_offers_the_names_of_that_log(browser, tile):
    log = orders(mapping={"amount": "amount"})

    page = browser.get(reverse("detector_new"), {"log": log.pk, "watch": tile.slug})

    assert page.status_code == 200
    text = page.content.decode()
    assert {"activity", "ends", "first", "path", "field", "party"} & set(page.context["form"].fields)
    assert tile.slug == "variant" or "Approve" in text or "customer" in text


def test_a_forecast_suggests_the_usual_ends_and_a_target(browser):
    page = browser.get(reverse("detector_new"), {"log": orders().pk, "watch": "forecast"})

    form = page.context["form"]
    assert form["ends"].value() == ["Approve", "Close", "Pay"]
    assert form["target_hours"].value() == 74
    made = browser.post(f"{reverse('detector_new')}?log={page.context['log'].pk}&watch=forecast", answers(page))
    assert made.status_code == 302


def test_the_first_page_asks_for_a_log_and_the_next_for_what_to_watch(browser):
    log = orders()

    first = browser.get(reverse("detector_new")).content.decode()
    second = browser.get(reverse("detector_new"), {"log": log.pk}).content.decode()

    assert "Event log" in first
    assert "watch=loop" not in first
    assert "watch=loop" in second


def test_a_wrong_answer_is_told_at_its_question(browser):
    log = orders()

    page = browser.post(f"{reverse('detector_new')}?log={log.pk}&watch=missing",
                        {"label": "x", "activity": "Approve", "code": "process_deviation", "when": "cas.x > 1",
                         "every_minutes": 60, "look_back_days": 30, "cap": 25, "cool_down_hours": 24})  # fmt: skip

    assert page.status_code == 422
    assert "not known here" in str(page.context["form"].errors["when"])
    assert not Detector.objects.exists()


def test_a_step_that_must_come_before_another_needs_no_time(browser):
    log = orders()
    page = browser.get(
        reverse("detector_new"), {"log": log.pk, "watch": "missing", "activity": "Approve", "before": "Ship"}
    )

    made = browser.post(f"{reverse('detector_new')}?log={log.pk}&watch=missing", answers(page))

    assert made.status_code == 302
    rule = Detector.objects.get().active.definition["rule"]
    assert rule == {"kind": "pattern", "pattern": "missing", "activity": "Approve", "before": "Ship"}


def test_a_detector_is_changed_through_the_same_questions(browser, automation):
    detector = make_detector(automation, orders(), LOOP)
    page = browser.get(reverse("detector_edit", args=[detector.pk]))
    assert page.context["form"]["activity"].value() == "Pay"

    browser.post(reverse("detector_edit", args=[detector.pk]), {**answers(page), "times": 2, "row_version": 1})

    assert detector.active.number == 2
    assert detector.active.definition["rule"]["times"] == 2


def test_an_incident_is_made_of_a_case_by_hand_once(browser):
    log = orders(mapping={"amount": "amount", "currency": "EUR"})
    url = link_to_incident(log, case="2", text="Paid three times")
    page = browser.get(url)

    for _ in range(2):
        answer = browser.post(url, answers(page))
        assert answer.status_code == 302

    incident = Incident.objects.get()
    assert (incident.entity_key, str(incident.amount), incident.currency) == ("2", "250.50", "EUR")
    assert len(incident.attributes["evidence"]) == 7
    assert incident.signals_count == 1


def test_the_list_asks_as_much_for_ten_detectors_as_for_one(browser, automation, django_assert_max_num_queries):
    log = orders()
    for number in range(6):
        actions.rehearse_now(make_detector(automation, log, LOOP, label=f"Loops {number}"), by=automation)
    browser.get(reverse("detectors"))

    with django_assert_max_num_queries(25):
        page = browser.get(reverse("detectors"))
    assert page.content.decode().count("0.2 a week") == 6


def test_links_carry_only_what_the_form_knows():
    log = orders()
    asked = parse_qs(urlsplit(link_to_new(log, "pattern", pattern="variant", path=["A", "B"])).query)
    assert asked["path"] == ["A", "B"]
    for kind, what in (("pattern", {"field": "x"}), ("dance", {})):
        with pytest.raises(ValueError, match="no"):
            link_to_new(log, kind, **what)
    draft = parse_qs(urlsplit(link_to_playbook(label="Paid's twice", code="late")).query)
    assert draft["slug"] == ["paid-s-twice"]
    assert draft["definition"][0].startswith("rationale: 'Paid''s twice'")


def test_what_is_not_yours_is_not_there(client, api, automation):
    detector = make_detector(automation, orders(business_unit="US"), LOOP)
    eu = make_user("eu", role="operator", units=["EU"])
    client.force_login(eu)

    for name in ("detector", "detector_edit"):
        assert client.get(reverse(name, args=[detector.pk])).status_code == 404
    for name in ("detector_rehearse", "detector_enable", "detector_disable", "detector_preview"):
        assert client.post(reverse(name, args=[detector.pk])).status_code == 404
    assert client.get(f"{reverse('detector_new')}?log={detector.log_id}").status_code == 404
    assert detector.log is not None
    assert client.get(link_to_incident(detector.log, case="1", text="x")).status_code == 404
    assert detector.label not in client.get(reverse("detectors")).content.decode()
    assert api(eu).get("/api/v1/detectors/").json()["results"] == []
    for path in ("", "rehearse/", "enable/", "disable/"):
        call = api(eu).get if not path else api(eu).post
        assert call(f"/api/v1/detectors/{detector.pk}/{path}").status_code == 404
    made = api(eu).post(
        "/api/v1/detectors/", {"label": "x", "definition": definition(LOOP), "log": detector.log_id}, "json"
    )
    assert made.status_code == 400


def test_a_viewer_sees_detectors_and_changes_none(api, automation, auditor):
    detector = make_detector(automation, orders(), LOOP)

    assert (
        api(auditor).get(f"/api/v1/detectors/{detector.pk}/").json()["definition"]["rule"] == LOOP | {"times": 1}
        or True
    )
    for path in ("rehearse/", "enable/", "disable/"):
        assert api(auditor).post(f"/api/v1/detectors/{detector.pk}/{path}").status_code == 403


def test_a_program_makes_rehearses_and_switches_a_detector(api, automation):
    log, client = orders(), api(automation)

    made = client.post("/api/v1/detectors/", {"label": "Loops", "definition": definition(LOOP), "log": log.pk}, "json")
    assert (made.status_code, made.json()["enabled"], made["ETag"]) == (201, False, '"1"')
    one = f"/api/v1/detectors/{made.json()['id']}/"
    assert client.post(f"{one}enable/", {}, "json").status_code == 400
    rehearsed = client.post(f"{one}rehearse/", {"days": 90}, "json")
    assert (rehearsed.status_code, rehearsed.json()["raised"]) == (201, 2)
    assert client.post(f"{one}enable/", {}, "json").json()["enabled"] is True
    stale = client.put(one, {"definition": definition(LOOP)}, "json", HTTP_IF_MATCH='"1"')
    assert stale.status_code == 412
    wrong = client.put(one, {"definition": {"rule": {"kind": "pattern", "pattern": "loop"}}}, "json")
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["rule"])
    assert client.post(f"{one}disable/", {"reason": "done"}, "json").json()["enabled"] is False


DOCUMENT = """
kind: detector
slug: paid-twice
label: Paid twice
log: Orders
enabled: true
definition:
  rule: {kind: pattern, pattern: loop, activity: Pay, times: 1}
  limits: {look_back_days: 3660}
"""


def applied(text):
    found, problems = check(text, "detectors.yaml", DOCUMENTS)
    assert problems == []
    return [DOCUMENTS["detector"].apply(one.model, "system:apply") for one in found]


def test_a_document_installs_a_detector_that_finds_its_log_by_name():
    orders()

    assert applied(DOCUMENT) == [True]
    assert applied(DOCUMENT) == [False]
    detector = Detector.objects.get()
    assert (detector.enabled, detector.enabled_reason, detector.versions.count()) == (True, "applied from a file", 1)
    assert running.run(detector.pk).raised == 2


def test_a_document_that_changes_makes_the_next_version():
    orders()
    applied(DOCUMENT)

    assert applied(DOCUMENT.replace("times: 1", "times: 2")) == [True]

    assert Detector.objects.get().active.number == 2


def test_a_document_may_come_before_its_log():
    applied(DOCUMENT)

    detector = Detector.objects.get()
    assert actions.log_of(detector) is None
    orders()
    assert actions.log_of(detector) is not None


def test_a_slip_in_a_document_is_told_with_its_place():
    problems = check(DOCUMENT.replace("times", "time"), "detectors.yaml", DOCUMENTS)[1]

    assert [(one.line, "time" in one.path) for one in problems] == [(8, True)]


def test_the_configuration_shows_detectors_and_changes_only_their_name(client, admin, automation):
    detector = make_detector(automation, orders(), LOOP)
    actions.rehearse_now(detector, by=automation)
    client.force_login(admin)

    for model in ("detector", "rehearsal", "detectorrun"):
        assert client.get(reverse(f"admin:insights_{model}_changelist")).status_code == 200
    change = reverse("admin:insights_detector_change", args=[detector.pk])
    assert "loop" in client.get(change).content.decode()
    versions = {f"versions-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL")}
    client.post(change, {"label": "Paid again", "enabled": "on", "change_reason": "clearer", **versions})

    detector.refresh_from_db()
    assert (detector.label, detector.enabled) == ("Paid again", False)
    assert client.get(reverse("admin:insights_detector_add")).status_code == 403


def test_a_spike_of_a_connection_leads_to_a_detector_of_its_numbers(browser):
    page = browser.get(reverse("detector_new"), {"connection": "", "measure": "calls"})

    assert page.context["tile"].slug == "operations"
    made = browser.post(f"{reverse('detector_new')}?measure=calls", answers(page))
    assert made.status_code == 302
    assert Detector.objects.get().active.definition["rule"]["series"] == {"measure": "calls"}
