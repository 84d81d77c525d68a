"""The parts that pages are made of: bar, seam, plan, decision, error pages; nothing inline in any template."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.template import Context
from django.template.loader import render_to_string
from django.test import RequestFactory

from playbooks.templatetags import goldseam

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def test_the_bar_lists_only_pages_that_exist_and_marks_the_open_one(monkeypatch):
    monkeypatch.setattr(goldseam, "is_there", lambda path: path != "/insights/")
    context = Context({"request": RequestFactory().get("/approvals/7/"), "nav_counts": {"inbox": 4, "dead_letters": 1}})

    items = {item["label"]: item for item in goldseam.nav_items(context)}

    assert "Insights" not in items
    assert [label for label, item in items.items() if item["current"]] == ["Approvals"]
    assert items["Inbox"]["count"] == 4
    assert items["Dead letters"]["count"] == 1
    assert items["Audit"]["count"] == 0


def test_a_page_that_is_not_routed_is_not_there():
    assert goldseam.is_there("/incidents/")
    assert not goldseam.is_there("/nowhere/")


def test_the_inbox_is_open_only_on_its_own_address(monkeypatch):
    monkeypatch.setattr(goldseam, "is_there", lambda path: True)

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


def card(**changes: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "digest": "d" * 64,
        "asked_because": "over € 500",
        "required": 1,
        "given": 0,
        "expires_at": NOW,
        "can_decide": True,
        "why_not": "",
        "approve_url": "/approvals/7/approve/",
        "reject_url": "javascript:alert(1)",
        **changes,
    }


def test_a_decision_carries_the_digest_that_was_shown():
    page = render_to_string("components/_approval.html", {"card": card()})

    assert page.count(f'name="digest" value="{"d" * 64}"') == 2
    assert 'action="/approvals/7/approve/"' in page
    assert "javascript:" not in page


def test_whoever_may_not_decide_sees_why_and_no_button():
    page = render_to_string("components/_approval.html", {"card": card(can_decide=False, why_not="You asked for it.")})

    assert "You asked for it." in page
    assert "<button" not in page


def test_pages_that_a_role_may_not_open_are_left_out_of_the_bar(monkeypatch):
    monkeypatch.setattr(goldseam, "is_there", lambda path: True)

    items = goldseam.nav_items(Context({"request": RequestFactory().get("/"), "nav_hidden": ["Audit"]}))

    assert "Audit" not in [item["label"] for item in items]


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
