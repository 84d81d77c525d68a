"""Everything that is no success is an RFC 9457 problem document, and none of them tells about the inside."""

from typing import Any

import pytest

from config.api.problems import flat_errors

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.config.probes")]
MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id"}


@pytest.fixture
def caller(api: Any, operator: Any) -> Any:
    client = api(operator)
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("illegal", 409, "illegal_move"),
        ("stale", 412, "stale"),
        ("not-allowed", 403, "not_allowed"),
        ("invalid", 400, "invalid"),
        ("ledger", 503, "ledger_unavailable"),
        ("busy", 503, "unavailable"),
        ("pydantic", 400, "invalid"),
        ("deep", 400, "invalid"),
        ("django", 400, "invalid"),
        ("gone", 404, "not_found"),
        ("denied", 403, "not_allowed"),
        ("big", 413, "too_large"),
        ("throttled", 429, "too_many_requests"),
        ("unauthenticated", 401, "not_authenticated"),
        ("broken", 500, "internal_error"),
    ],
)
def test_a_failure_is_a_problem_document(caller, how, status, code):
    response = caller.get(f"/api/v1/probe/fail/{how}/")
    told = response.json()

    assert response["Content-Type"] == "application/problem+json"
    assert (response.status_code, told["status"], told["code"]) == (status, status, code)
    assert told["type"] == f"urn:goldseam:problem:{code}"
    assert told["instance"] == f"/api/v1/probe/fail/{how}/"
    assert told["request_id"] == response["X-Request-Id"]
    assert set(told) - {"errors"} == MEMBERS
    assert "secret detail" not in response.content.decode()


@pytest.mark.parametrize(
    ("how", "errors"),
    [
        ("invalid", {"reason": ["Say why."]}),
        ("pydantic", {"value": ["Input should be a valid integer, unable to parse string as an integer"]}),
        ("deep", {"name": ["This field is required."], "lines.1.a": ["A valid integer is required."]}),
        ("django", {"slug": ["Taken."]}),
        ("django-list", {"body": ["Wrong."]}),
        ("drf-list", {"body": ["Wrong."]}),
    ],
)
def test_a_400_names_each_field(caller, how, errors):
    assert caller.get(f"/api/v1/probe/fail/{how}/").json()["errors"] == errors


@pytest.mark.parametrize(("how", "seconds"), [("throttled", "13"), ("busy", "1"), ("ledger", "5")])
def test_who_should_come_back_is_told_when(caller, how, seconds):
    assert caller.get(f"/api/v1/probe/fail/{how}/")["Retry-After"] == seconds


def test_who_is_not_known_is_challenged(api):
    response = api().get("/api/v1/audit/entries/")

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("get", "/api/v1/nothing/", {}, 404),
        ("get", "/api/nothing", {}, 404),
        ("delete", "/api/v1/probe/echo/", {}, 405),
        ("get", "/api/v1/audit/entries/", {"Accept": "text/html"}, 406),
        ("get", "/api/v1/audit/entries/?x=%00", {}, 400),
        ("get", "/api/v1/audit/entries/%00/", {}, 400),
        ("get", "/api/v1/audit/entries/99999999999999999999999/", {}, 404),
        ("get", "/api/v1/audit/entries/?cursor=broken", {}, 404),
    ],
)
def test_a_call_that_leads_nowhere_is_a_problem_document(caller, method, path, headers, status):
    response = getattr(caller, method)(path, headers=headers)

    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert set(response.json()) >= MEMBERS


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b'{"a":1,"a":2}', 400),
        ("application/json", b'{"a":NaN}', 400),
        ("application/json", b"[" * 40 + b"]" * 40, 400),
        ("application/json", b"\xff\xfe", 400),
        ("application/json", b"", 200),
        ("application/json", b'"\\u0000"', 400),
        ("text/csv", b"a,b", 415),
        ("application/x-www-form-urlencoded", b"a=1", 415),
        ("application/json; charset=utf-16", b'{"a":1}', 200),
    ],
)
def test_a_body_is_strict_json_or_a_problem(caller, content_type, body, status):
    response = caller.generic("POST", "/api/v1/probe/echo/", body, content_type=content_type)

    assert response.status_code == status
    if status != 200:
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["detail"]


def test_a_body_over_the_limit_is_413(caller, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100

    response = caller.post("/api/v1/probe/echo/", {"text": "x" * 200})

    assert (response.status_code, response.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(("path", "status"), [("/nothing/", 404), ("/login/?x=%00", 400)])
def test_pages_answer_people_with_pages(client, path, status):
    response = client.get(path)

    assert response.status_code == status
    assert response["Content-Type"].startswith("text/html")


def test_a_page_that_breaks_and_one_that_is_forbidden_are_pages_too(rf):
    from django.core.exceptions import PermissionDenied

    from config.api import problems

    assert problems.server_error(rf.get("/incidents/")).status_code == 500
    assert problems.forbidden(rf.get("/incidents/"), PermissionDenied()).status_code == 403
    assert problems.forbidden(rf.get("/api/x"), PermissionDenied())["Content-Type"] == problems.MEDIA_TYPE


def test_a_request_that_cannot_be_read_at_all_is_a_problem_too(rf):
    from django.core.exceptions import RequestDataTooBig, SuspiciousOperation

    from config.api import problems

    assert problems.bad_request(rf.post("/api/v1/signals/"), SuspiciousOperation()).status_code == 400
    assert problems.bad_request(rf.post("/api/v1/signals/"), RequestDataTooBig()).status_code == 413
    assert problems.bad_request(rf.post("/login/"), SuspiciousOperation())["Content-Type"].startswith("text/html")


def test_an_error_over_the_whole_body_stands_under_body():
    assert flat_errors({"non_field_errors": ["a"], "x": {"non_field_errors": ["b"], "y": ["c"]}}) == {
        "body": ["a"],
        "x": ["b"],
        "x.y": ["c"],
    }
