"""ETag and If-Match: what they mean, and what is refused."""

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from audit.errors import Invalid, Stale
from audit.preconditions import etag, expected_version, unchanged, with_etag


def request(**headers: str):
    return RequestFactory().post("/", headers=headers)


def test_an_answer_carries_the_version():
    assert with_etag(HttpResponse(), 3)["ETag"] == etag(3) == '"3"'


@pytest.mark.parametrize(
    ("given", "expected"), [("", None), ("*", 3), ('"3"', 3), ('W/"3"', 3), ('"2", "3"', 3), (' "3" ', 3)]
)
def test_a_version_that_stands_is_expected(given, expected):
    assert expected_version(request(**{"If-Match": given} if given else {}), 3) == expected


@pytest.mark.parametrize("given", ['"2"', '"33"', '"1", "2"', 'W/"4"'])
def test_a_version_that_stands_no_more_is_412(given):
    with pytest.raises(Stale, match="version 3 stands now") as refusal:
        expected_version(request(**{"If-Match": given}), 3)

    assert refusal.value.status == 412


@pytest.mark.parametrize("given", ["3", '"abc"', '"3', "3, 4", '"3",', '"' + "9" * 40 + '"'])
def test_what_is_no_etag_is_400(given):
    with pytest.raises(Invalid) as refusal:
        expected_version(request(**{"If-Match": given}), 3)

    assert list(refusal.value.errors) == ["If-Match"]


@pytest.mark.parametrize(
    ("given", "same"), [("", False), ('"3"', True), ('W/"3", "9"', True), ('"33"', False), ("*", True)]
)
def test_a_reader_that_holds_this_version_needs_no_body(given, same):
    assert unchanged(request(**{"If-None-Match": given} if given else {}), 3) is same
