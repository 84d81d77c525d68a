"""How facts look: words with shapes, money, times, and nothing from outside that acts."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.template import Context, Template
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


@pytest.mark.parametrize(("share", "text"), [(None, "–"), (1.0, "100\u202f%"), (0.984, "98.4\u202f%"), (0, "0\u202f%")])
def test_a_share_is_written_as_a_percentage(share, text):
    assert goldseam.percent(share) == text


def test_a_name_made_for_programs_is_written_as_words():
    assert goldseam.human("freight_misrate") == "freight misrate"
    assert goldseam.human(None) == ""


def test_what_is_not_in_a_mapping_is_shown_as_its_key():
    assert goldseam.item({"fo": "Finance"}, "fo") == "Finance"
    assert goldseam.item({"fo": "Finance"}, "crm") == "crm"
    assert goldseam.item(None, "crm") == "crm"


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("CreditedAmount", 1250.0, "1,250.00"),
        ("OpenBalance", 0, "0.00"),
        ("Quantity", 12.5, "12.5"),
        ("Status", "Closed", "Closed"),
        ("CreditHold", True, "yes"),
        ("Amount", None, "none"),
        ("Amount", "1250", "1250"),
    ],
)
def test_a_sum_in_a_record_has_two_decimals(field, value, text):
    assert goldseam.field_value(field, value) == text


def test_the_time_of_day_carries_the_date_where_it_is_not_today():
    today, earlier = goldseam.clock(NOW), goldseam.clock(NOW - timedelta(days=2))

    assert ">12:00</time>" in today
    assert ">20 Nov 12:00</time>" in earlier
    assert goldseam.clock(None) == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.25, "250\u202fms"), (75, "1\u00a0m")])
def test_how_long_a_call_took_is_exact_while_it_is_short(seconds, text):
    assert goldseam.took(NOW, NOW + timedelta(seconds=seconds)) == text


def test_what_has_not_ended_took_nothing_yet():
    assert goldseam.took(NOW, None) == "–"
