"""What every console page shares: refusals in words, the way back, and regions that refresh only when they differ."""

from typing import Any

import pytest
from django import forms
from django.contrib.messages import get_messages
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory

from audit import pages
from audit.errors import Invalid, LostRace, Refusal
from audit.models import Entry
from tests.audit.factories import make_entries

HERE = {"HTTP_HOST": "testserver"}


def asked(method: str = "post", path: str = "/x/", data: dict[str, str] | None = None, **headers: str) -> HttpRequest:
    request: HttpRequest = getattr(RequestFactory(), method)(path, data or {}, **headers)
    request._messages = CookieStorage(request)
    return request


def refusing(refusal: Refusal):
    @pages.answers_refusals
    def view(request: HttpRequest) -> HttpResponse:
        raise refusal

    return view


class NotThere(Refusal):
    status = 404


def test_a_refusal_becomes_a_message_on_the_page_that_it_came_from():
    request = asked(HTTP_REFERER="http://testserver/incidents/7/")

    answer = refusing(LostRace("Somebody else moved it."))(request)

    assert answer.status_code == 302
    assert answer["Location"] == "http://testserver/incidents/7/"
    assert [str(one) for one in get_messages(request)] == ["Somebody else moved it."]


def test_a_refusal_of_404_is_a_missing_page():
    with pytest.raises(Http404):
        refusing(NotThere("There is nothing."))(asked())


def test_an_answer_without_a_refusal_is_left_alone():
    @pages.answers_refusals
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("fine")

    assert view(asked()).content == b"fine"


def test_the_words_of_a_refusal_name_what_is_wrong_with_each_field():
    refusal = Invalid("Nothing was done:", {"reason": ["A reason is needed."], "to": ["A reason is needed."]})

    assert pages.words_of(refusal) == "Nothing was done: A reason is needed. A reason is needed."
    assert pages.words_of(Invalid("A reason is needed.", {"reason": ["A reason is needed."]})) == "A reason is needed."
    assert pages.words_of(LostRace("Too late.")) == "Too late."


@pytest.mark.parametrize("url", ["/incidents/7/", "http://testserver/incidents/7/"])
def test_the_way_back_is_an_address_of_this_site(url):
    assert pages.came_from(asked(data={"next": url})) == url


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example", ""]
)
def test_the_way_back_never_leads_to_another_site(url):
    request = asked(data={"next": url}, HTTP_REFERER="https://evil.example/")

    assert pages.came_from(request, "/playbooks/") == "/playbooks/"


def test_a_form_gives_its_values_or_says_what_is_wrong():
    class Form(forms.Form):
        reason = forms.CharField(error_messages={"required": "A reason is needed."})

    assert pages.cleaned(Form({"reason": "late"})) == {"reason": "late"}
    with pytest.raises(Invalid) as refusal:
        pages.cleaned(Form({}))
    assert refusal.value.errors == {"reason": ["A reason is needed."]}


def test_a_digest_is_blind_to_passing_time_and_to_form_tokens():
    one = '<time datetime="2026-11-22" title="x">3 m ago</time><input name="csrfmiddlewaretoken" value="a">'
    later = '<time datetime="2026-11-22" title="x">4 m ago</time><input name="csrfmiddlewaretoken" value="b">'

    assert pages.seen(one) == pages.seen(later)


@pytest.mark.parametrize(
    "other",
    ["<p>two</p>", '<p>one</p><time datetime="2026-11-23">3 m ago</time>', '<p>one</p><input name="x" value="b">'],
)
def test_a_digest_sees_whatever_else_differs(other):
    assert pages.seen("<p>one</p>") != pages.seen(other)


def region(request: HttpRequest, **options: Any) -> str:
    return pages.live(request, "components/_empty.html", {"title": "All clear"}, url="/inbox/live/", **options)


def test_a_region_carries_the_digest_of_what_it_shows():
    shown = region(asked("get"))

    assert "All clear" in shown
    assert 'hx-get="/inbox/live/?seen=' in shown
    assert "every 4s" in shown


def test_a_region_at_rest_asks_nothing():
    shown = region(asked("get"), poll=False)

    assert "All clear" in shown
    assert "hx-get" not in shown


def test_a_reader_who_sees_the_same_is_told_so_in_a_few_bytes():
    shown = region(asked("get"))
    digest = shown.split("seen=")[1][:16]

    same = pages.live_answer(asked("get", f"/inbox/live/?seen={digest}"), shown)
    other = pages.live_answer(asked("get", "/inbox/live/?seen=0000000000000000"), shown)

    assert (same.status_code, same.content) == (204, b"")
    assert other.status_code == 200
    assert b"All clear" in other.content
    assert other["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_a_list_is_paged_by_a_cursor_and_keeps_its_filters():
    make_entries(7)
    first = pages.page_of(Entry.objects.all(), asked("get", "/audit/?channel=api"), ordering="-n", size=3)

    second = pages.page_of(Entry.objects.all(), asked("get", f"/audit/{first.next}"), ordering="-n", size=3)

    assert [row.n for row in first.rows] == [7, 6, 5]
    assert [row.n for row in second.rows] == [4, 3, 2]
    assert first.previous == ""
    assert second.previous.startswith("?")
    assert "channel=api" in first.next
