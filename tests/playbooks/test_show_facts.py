"""How facts look: words with shapes, money, times, and nothing from outside that acts."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.urls import Resolver404
from django.utils import timezone

from incidents.states import Severity, Status
from playbooks.states import ExecutionState, PlanState, StepState
from playbooks.templatetags import goldseam

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _fixed_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)


def drawn(source: str, **context: Any) -> str:
    return Template("{% load goldseam %}" + source).render(Context(context))


def sprite() -> str:
    return (Path(goldseam.__file__).parents[2] / "static" / "icons.svg").read_text()


@pytest.mark.parametrize("severity", Severity.values)
def test_each_severity_is_told_by_shape_and_word(severity):
    chip = goldseam.severity_chip(severity)

    shape, word = goldseam.SEVERITIES[severity]
    assert f"chip {severity}" in chip
    assert shape in chip
    assert word in chip


def test_an_unknown_severity_is_shown_as_it_came_and_escaped():
    chip = goldseam.severity_chip("<b>odd</b>")

    assert "&lt;b&gt;odd&lt;/b&gt;" in chip
    assert "chip plain" in chip


@pytest.mark.parametrize(
    "word", [*Status.values, *PlanState.values, *ExecutionState.values, *StepState.values], ids=str
)
def test_every_state_of_the_product_has_a_word_of_its_own(word):
    assert word in goldseam.WORDS


def test_every_icon_that_a_word_or_page_uses_is_in_the_sprite():
    drawn_icons = {icon for _, _, icon in goldseam.WORDS.values()} | {icon for _, _, icon in goldseam.NAV}

    missing = [name for name in sorted(drawn_icons) if f'id="{name}"' not in sprite()]

    assert missing == []


def test_a_status_may_carry_its_own_label():
    chip = drawn('{{ "needs_operator"|status_chip:"No cause found" }}')

    assert "No cause found" in chip
    assert "chip high" in chip


def test_a_status_from_outside_cannot_bring_markup():
    chip = goldseam.status_chip("<script>alert(1)</script>")

    assert "<script>" not in chip


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("1250", "EUR", "€\u202f1,250.00"),
        (Decimal("-28.5"), "usd", "\u2212$\u202f28.50"),
        ("0.1275", "EUR", "€\u202f0.1275"),
        (0, "GBP", "£\u202f0.00"),
        ("48000", "JPY", "¥\u202f48,000"),
        ("12", "PLN", "PLN\u202f12.00"),
        ("12", "", "12.00"),
        (None, "EUR", "–"),
        ("", "EUR", "–"),
        ("NaN", "EUR", "NaN EUR"),
        ("about ten", "EUR", "about ten EUR"),
        ({"amount": "7690.00", "currency": "EUR"}, "", "€\u202f7,690.00"),
        ({"amount": None, "currency": "EUR"}, "", "–"),
    ],
)
def test_money_has_its_currency_and_all_its_digits(amount, currency, text):
    assert goldseam.money_text(amount, currency) == text


def test_money_keeps_the_iso_code_behind_the_symbol():
    assert 'title="USD"' in goldseam.money("5", "USD")
    assert 'title="EUR"' in goldseam.money({"amount": "5", "currency": "EUR"})


def test_money_from_outside_cannot_bring_markup():
    assert "<img" not in goldseam.money("<img src=x>", "EUR")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (190, "3 m"),
        (3 * 3600 + 720, "3 h 12 m"),
        (12 * 3600 + 720, "12 h"),
        (26 * 3600, "1 d 2 h"),
        (40 * 86400, "40 d"),
        (-190, "3 m"),
    ],
)
def test_a_span_has_the_two_units_that_matter(seconds, text):
    assert goldseam.span_text(seconds).replace("\u00a0", " ") == text


def test_a_duration_may_be_seconds_or_a_timedelta_or_absent():
    assert goldseam.duration(timedelta(minutes=3)) == "3\u00a0m"
    assert goldseam.duration(45) == "45\u00a0s"
    assert goldseam.duration(None) == "–"


@pytest.mark.parametrize(
    ("shift", "text"),
    [
        (timedelta(minutes=-3), "3\u00a0m ago"),
        (timedelta(hours=2), "in 2\u00a0h"),
        (timedelta(seconds=-2), "just now"),
    ],
)
def test_a_time_is_relative_with_the_exact_moment_behind_it(shift, text):
    shown = goldseam.ago(NOW + shift)

    assert f">{text}</time>" in shown
    assert f'datetime="{(NOW + shift).isoformat()}"' in shown
    assert 'title="2026-11-22' in shown


def test_a_time_that_never_came_is_a_dash():
    assert goldseam.ago(None) == "–"
    assert goldseam.moment(None) == "–"
    assert goldseam.time_left(None) == "–"


def test_a_naive_time_is_taken_as_local_time():
    shown = goldseam.ago(timezone.make_naive(NOW - timedelta(minutes=5)))

    assert "5\u00a0m ago" in shown


def test_an_exact_moment_names_its_zone():
    assert "2026-11-22 12:00:00 UTC" in goldseam.moment(NOW)


def test_a_missed_deadline_says_late_in_words():
    late = goldseam.time_left(NOW - timedelta(minutes=14))

    assert ">late 14\u00a0m</time>" in late
    assert "tone-critical" in late


def test_a_near_deadline_stands_out_and_a_far_one_does_not():
    assert "tone-high" in goldseam.time_left(NOW + timedelta(hours=3))
    assert "tone" not in goldseam.time_left(NOW + timedelta(days=2))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        ("", "none"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        ("Closed", "Closed"),
        ({"amount": "84", "currency": "EUR"}, "€\u202f84.00"),
        (["a", "é"], '["a", "é"]'),
        (NOW, "2026-11-22 12:00:00 UTC"),
        (date(2026, 11, 22), "2026-11-22"),
    ],
)
def test_a_field_is_written_for_a_person(value, text):
    assert goldseam.shown(value) == text


def test_json_is_indented_and_the_template_escapes_it():
    page = drawn("{{ value|json_pretty }}", value={"note": "</pre><script>"})

    assert "&lt;/pre&gt;&lt;script&gt;" in page
    assert "\n  " in page


def test_json_text_is_read_first_and_other_text_stays_as_it_is():
    assert goldseam.json_pretty('{"a":1}') == '{\n  "a": 1\n}'
    assert goldseam.json_pretty("<html>") == "<html>"


def test_a_digest_is_shortened_so_that_two_can_be_compared():
    assert goldseam.short_digest("9f3c7a1be0d24c55e21a") == "9f3c…e21a"
    assert goldseam.short_digest("short") == "short"


@pytest.mark.parametrize(
    "url",
    [
        "https://fo.example.com/?cmp=demf&mi=Invoice",
        "http://127.0.0.1:8001/fo",
        "/incidents/7/",
        "?page=2",
        "#evidence-3",
        "next/",
    ],
)
def test_an_ordinary_address_passes(url):
    assert goldseam.safe_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "java\x00script:alert(1)",
        "data:text/html,<script>",
        "vbscript:x",
        "//evil.example/",
        "/\\evil.example/",
        "https:/evil",
        "http://[::1",
        "1unknown:thing",
        "",
        None,
    ],
)
def test_an_address_that_could_act_or_leave_becomes_inert(url):
    assert goldseam.safe_url(url) == "#"


def test_the_bar_lists_only_pages_that_exist_and_marks_the_open_one(monkeypatch):
    def resolve(path: str) -> None:
        if path == "/insights/":
            raise Resolver404

    monkeypatch.setattr(goldseam, "resolve", resolve)
    context = Context({"request": RequestFactory().get("/approvals/7/"), "nav_counts": {"inbox": 4, "dead_letters": 1}})

    items = {item["label"]: item for item in goldseam.nav_items(context)}

    assert "Insights" not in items
    assert [label for label, item in items.items() if item["current"]] == ["Approvals"]
    assert items["Inbox"]["count"] == 4
    assert items["Dead letters"]["count"] == 1
    assert items["Audit"]["count"] == 0


def test_the_inbox_is_open_only_on_its_own_address(monkeypatch):
    monkeypatch.setattr(goldseam, "resolve", lambda path: None)

    here = goldseam.nav_items(Context({"request": RequestFactory().get("/")}))
    elsewhere = goldseam.nav_items(Context({"request": RequestFactory().get("/audit/")}))

    assert [item["label"] for item in here if item["current"]] == ["Inbox"]
    assert [item["label"] for item in elsewhere if item["current"]] == ["Audit"]


def test_the_seam_says_each_stage_in_words_too():
    stages = [
        {"name": "Detected", "state": "done", "text": "09:41"},
        {"name": "Decided", "state": "done", "text": "cause found"},
        {"name": "Do", "state": "waiting", "text": "one approver"},
        {"name": "Verify", "state": "todo", "text": ""},
    ]

    page = render_to_string("components/_seam.html", {"stages": stages})

    assert page.count('aria-current="step"') == 1
    assert 'Do<span class="sr">: waiting</span>' in page
    assert 'Verify<span class="sr">: not yet</span>' in page


def test_a_plan_names_a_record_once_and_warns_where_there_is_no_undo():
    steps = [
        {
            "number": 1,
            "title": "Close the case",
            "system": "Salesforce",
            "irreversible": True,
            "changes": [
                {"record": "00012917", "field": "Status", "before": "Working", "after": "Closed"},
                {"record": "00012917", "field": "Comment", "before": None, "after": "<b>done</b>"},
            ],
        }
    ]

    page = render_to_string("components/_plan.html", {"steps": steps})

    assert page.count("<span>00012917</span>") == 1
    assert "<del>Working</del>" in page
    assert "<del>none</del>" in page
    assert "&lt;b&gt;done&lt;/b&gt;" in page
    assert "cannot be undone" in page


def test_an_approval_carries_the_digest_that_was_shown():
    approval = SimpleNamespace(
        id=7,
        digest="d" * 64,
        asked_because="over € 500",
        required=1,
        given=0,
        expires_at=NOW,
        can_decide=True,
        approve_url="/approvals/7/approve/",
        reject_url="javascript:alert(1)",
    )

    page = render_to_string("components/_approval.html", {"approval": approval})

    assert page.count(f'name="digest" value="{"d" * 64}"') == 2
    assert 'action="/approvals/7/approve/"' in page
    assert "javascript:" not in page


def test_whoever_may_not_decide_sees_why_and_no_button():
    approval = SimpleNamespace(
        id=7, digest="d" * 64, asked_because="x", required=1, given=0, can_decide=False, why_not="You asked for it."
    )

    page = render_to_string("components/_approval.html", {"approval": approval})

    assert "You asked for it." in page
    assert "<button" not in page


@pytest.mark.parametrize("name", ["404.html", "403.html", "403_csrf.html", "429.html", "500.html"])
def test_an_error_page_needs_no_request_and_says_what_to_do(name):
    page = render_to_string(name)

    assert "<h1>" in page
    assert 'href="/"' in page


def test_no_template_carries_inline_script_style_or_handlers():
    folder = Path(goldseam.__file__).parents[2] / "templates"

    guilty = [
        path.name
        for path in folder.rglob("*.html")
        for text in [path.read_text().lower()]
        if "<style" in text or " style=" in text or " onclick=" in text or "<script>" in text or "hx-on" in text
    ]

    assert guilty == []
