"""The inbox page and its polling."""

import re

import pytest
from django.urls import reverse

from incidents.states import Severity, Status
from tests.playbooks import scenes

pytestmark = pytest.mark.django_db


def inbox(client, user) -> str:
    client.force_login(user)
    return str(client.get(reverse("inbox")).content.decode())


def asked_again(page: str) -> str:
    found = re.search(r'hx-get="(/inbox/live/\?seen=\w+)"', page)
    assert found is not None
    return found.group(1)


def test_nobody_reads_it_without_signing_in(client):
    answer = client.get(reverse("inbox"))

    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/")


def test_an_empty_inbox_says_that_all_is_clear(client, operator):
    page = inbox(client, operator)

    assert "Nothing needs you" in page
    assert "All clear" in page
    assert "Nothing mended yet today" in page


def test_the_heading_counts_what_needs_me(client, operator):
    scenes.stuck()
    one = inbox(client, operator)
    scenes.make_incident(Status.NEEDS_OPERATOR)

    assert "1 thing needs you" in one
    assert "2 things need you" in inbox(client, operator)


def test_a_row_tells_why_what_how_urgent_and_what_to_do(client, operator):
    scenes.make_incident(Status.NEEDS_OPERATOR, Severity.CRITICAL, status_reason="No cause holds.")

    page = inbox(client, operator)

    for words in ("Needs a person", scenes.TITLE, "No cause holds.", "Critical", "€\u202f1,250.00", "Look"):
        assert words in page


def test_only_the_first_row_has_the_main_action(client, operator):
    scenes.make_incident(Status.NEEDS_OPERATOR)
    scenes.make_incident(Status.NEEDS_OPERATOR)

    assert inbox(client, operator).count('class="btn main" tabindex') == 1


def test_a_title_from_outside_cannot_bring_markup(client, operator):
    scenes.make_incident(Status.NEEDS_OPERATOR, title="<script>alert(1)</script>")

    page = inbox(client, operator)

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_what_mends_itself_stands_below(client, operator):
    scenes.make_incident(Status.VERIFYING, title="Being read back")

    page = inbox(client, operator)

    assert "Nothing needs you" in page
    assert "Mending now" in page
    assert "Being read back" in page


def test_asking_again_costs_nothing_while_nothing_is_new(client, operator):
    scenes.stuck()
    address = asked_again(inbox(client, operator))

    assert client.get(address).status_code == 204


def test_asking_again_brings_what_is_new(client, operator):
    address = asked_again(inbox(client, operator))
    scenes.make_incident(Status.NEEDS_OPERATOR, title="Just now")

    answer = client.get(address)

    assert answer.status_code == 200
    assert b"Just now" in answer.content
    assert b"<html" not in answer.content


def test_the_page_carries_nothing_that_a_strict_policy_forbids(client, operator):
    scenes.stuck()

    page = inbox(client, operator)

    assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", page)
    assert "default-src 'none'" in client.get(reverse("inbox"))["Content-Security-Policy"]
