"""Idempotency keys: done once, answered the same for 24 hours, in one transaction with the work."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.clock import db_now
from audit.models import BusinessUnit, Entry
from config.api import idempotency
from config.models import IdempotencyKey
from tests.config import probes
from tests.factories import make_token, make_user
from tests.racing import numbered

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.config.probes")]
URL = "/api/v1/probe/units/"


@pytest.fixture
def caller(api: Any, operator: Any) -> Any:
    client = api(operator)
    client.raise_request_exception = False
    return client


def post(client: Any, body: Any, key: str = "k1", url: str = URL, **headers: str) -> Any:
    return client.post(url, body, headers={"Idempotency-Key": key, **headers})


def test_the_same_call_again_gets_the_first_answer_and_does_nothing(caller):
    first = post(caller, {"slug": "EU"})
    again = post(caller, {"slug": "EU"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert [again[name] for name in ("ETag", "Location", "Content-Type", "Idempotent-Replayed")] == [
        '"1"',
        first["Location"],
        "application/json",
        "true",
    ]
    assert "Idempotent-Replayed" not in first
    assert BusinessUnit.objects.count() == 1
    assert Entry.objects.filter(verb="businessunit.added").count() == 1


def test_without_a_key_nothing_is_kept(caller):
    caller.post(URL, {"slug": "EU"})

    assert not IdempotencyKey.objects.exists()


def test_the_same_key_with_another_body_is_422(caller):
    post(caller, {"slug": "EU"})

    response = post(caller, {"slug": "US"})

    assert (response.status_code, response.json()["code"]) == (422, "key_reused")
    assert not BusinessUnit.objects.filter(slug="US").exists()


def test_the_same_key_at_another_address_is_422(caller):
    post(caller, {"slug": "EU"})

    assert post(caller, {"slug": "EU"}, url="/api/v1/probe/echo/").status_code == 422


def test_keys_of_two_people_do_not_meet(caller, api, approver):
    post(caller, {"slug": "EU"})

    assert post(api(approver), {"slug": "US"}).status_code == 201


def test_two_tokens_of_one_person_share_their_keys(caller, api, operator):
    post(caller, {"slug": "EU"})

    assert post(api(operator), {"slug": "EU"})["Idempotent-Replayed"] == "true"


def test_a_refusal_is_an_answer_too(caller):
    body = {"slug": "EU", "then": "illegal"}

    first, again = post(caller, body), post(caller, body)

    assert (first.status_code, again.status_code, again["Idempotent-Replayed"]) == (409, 409, "true")
    assert again.json() == first.json()


@pytest.mark.parametrize(("then", "status"), [("break", 500), ("ledger", 503), ("busy", 503)])
def test_a_failure_leaves_neither_work_nor_answer(caller, then, status):
    response = post(caller, {"slug": "EU", "then": then})

    assert response.status_code == status
    assert not BusinessUnit.objects.exists()
    assert not IdempotencyKey.objects.exists()
    assert not Entry.objects.filter(verb="businessunit.added").exists()


@pytest.mark.parametrize(("then", "status"), [("denied", 403), ("throttled", 429)])
def test_who_was_turned_away_may_try_the_key_again_and_the_ledger_remembers(caller, then, status):
    response = post(caller, {"slug": "EU", "then": then})

    assert response.status_code == status
    assert not IdempotencyKey.objects.exists()
    assert Entry.objects.filter(verb="businessunit.added").count() == 1


def test_after_a_failure_the_same_key_works(caller):
    post(caller, {"slug": "EU", "then": "break"})

    assert post(caller, {"slug": "EU"}).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "with space", "x" * 201, "ümlaut", "a\tb"])
def test_a_key_that_cannot_be_is_400(caller, key):
    response = caller.post(URL, {"slug": "EU"}, HTTP_IDEMPOTENCY_KEY=key)

    assert response.status_code == 400
    assert list(response.json()["errors"]) == ["Idempotency-Key"]


def test_who_is_not_known_gets_401_and_no_replay(caller, api):
    post(caller, {"slug": "EU"})

    assert post(api(), {"slug": "EU"}).status_code == 401


def test_a_token_too_narrow_for_the_call_gets_no_replay(caller, api, operator):
    post(caller, {"slug": "EU"})

    assert post(api(operator, scopes=["read"]), {"slug": "EU"}).status_code == 403


def test_an_unknown_address_is_still_404(caller):
    assert post(caller, {}, url="/api/v1/nowhere/").status_code == 404


def test_hooks_and_other_methods_have_no_keys(caller):
    assert [post(caller, {}, url="/api/v1/hooks/probe/").json()["units"] for _ in range(2)] == [1, 2]
    caller.put(URL, {"slug": "EU"}, headers={"Idempotency-Key": "k1"})

    assert not IdempotencyKey.objects.exists()


def test_after_a_day_the_key_is_free_again(caller):
    post(caller, {"slug": "EU"})
    IdempotencyKey.objects.update(expires_at=db_now() - timedelta(seconds=1))

    assert post(caller, {"slug": "US"}).status_code == 201
    assert IdempotencyKey.objects.get().expires_at > db_now() + timedelta(hours=23)


def test_keys_are_forgotten_when_their_day_is_over(caller):
    for number in range(3):
        post(caller, {"slug": f"u{number}"}, key=f"k{number}")
    IdempotencyKey.objects.exclude(key="k1").update(expires_at=db_now() - timedelta(seconds=1))

    assert idempotency.purge() == 2
    assert IdempotencyKey.objects.get().key == "k1"


def test_old_keys_are_swept_along_now_and_then(caller, monkeypatch):
    monkeypatch.setattr(idempotency, "_PURGE_EVERY", 1)
    post(caller, {"slug": "EU"}, key="k1")
    IdempotencyKey.objects.update(expires_at=db_now() - timedelta(seconds=1))

    post(caller, {"slug": "US"}, key="k2")

    assert list(IdempotencyKey.objects.values_list("key", flat=True)) == ["k2"]


def test_a_browsers_session_may_use_keys_with_its_form_token(operator):
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    client.get("/login/")
    token = client.cookies["csrftoken"].value
    told: dict[str, Any] = {
        "content_type": "application/json",
        "headers": {"Idempotency-Key": "k1", "X-CSRFToken": token},
    }

    statuses = [client.post(URL, json.dumps({"slug": "EU"}), **told).status_code for _ in range(2)]
    without = client.post(URL, "{}", content_type="application/json", headers={"Idempotency-Key": "k2"})

    assert statuses == [201, 201]
    assert without.status_code == 403
    assert BusinessUnit.objects.count() == 1


def test_a_body_over_the_limit_is_413(caller, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 50

    assert post(caller, {"slug": "x" * 100}).status_code == 413


def upload(caller: Any, content: bytes, boundary: str = "x") -> int:
    mark = boundary.encode()
    head = b'\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = b"--" + mark + head + content + b"\r\n--" + mark + b"--\r\n"
    headers = {"Idempotency-Key": "k1", "If-Match": "*"}
    kind = f"multipart/form-data; boundary={boundary}"
    return int(caller.generic("POST", "/api/v1/hooked/", body, kind, headers=headers).status_code)


def test_an_upload_is_told_apart_by_what_it_holds_whatever_its_boundary(caller):
    assert [upload(caller, b"same"), upload(caller, b"same", "another"), upload(caller, b"else")] == [201, 201, 422]


def test_an_upload_larger_than_memory_should_hold_is_told_apart_by_its_length(caller, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 50

    assert [upload(caller, b"same"), upload(caller, b"same"), upload(caller, b"longer")] == [201, 201, 422]


def test_a_key_costs_few_statements(caller):
    post(caller, {"slug": "EU"})

    with CaptureQueriesContext(connection) as queries:
        post(caller, {"slug": "EU"})

    assert len(queries) <= 12


@pytest.mark.django_db(transaction=True)
def test_of_many_calls_with_one_key_at_once_one_works_and_all_hear_the_same():
    token = make_token(make_user("program", role="integration"))

    def call(_: int) -> Any:
        answer = Client().post(
            URL,
            json.dumps({"slug": "EU"}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "one"},
        )
        return answer.status_code, answer.json()

    answers = numbered(8, call)

    assert {status for status, _ in answers} == {201}
    assert len({body["id"] for _, body in answers}) == 1
    assert BusinessUnit.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_call_whose_key_stays_busy_too_long_is_told_to_come_back(monkeypatch):
    monkeypatch.setattr(idempotency, "_claim", _busy)
    token = make_token(make_user("program", role="integration"))

    answer = Client().post(
        URL, "{}", content_type="application/json", headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    )

    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (409, "in_progress", "1")


def _busy(*_: Any) -> Any:
    from django.db import OperationalError

    raise OperationalError("canceling statement due to lock timeout")


# --- calls that reach out to other systems --------------------------------------------------------
ABROAD = "/api/v1/probe/abroad/"


def test_a_call_that_reaches_out_is_not_made_inside_a_transaction_and_is_done_once(caller):
    first, again = (post(caller, {"slug": "EU"}, url=ABROAD) for _ in range(2))

    assert (first.status_code, again.status_code, again["Idempotent-Replayed"]) == (201, 201, "true")
    assert again.json() == first.json()
    assert BusinessUnit.objects.count() == 1


def test_a_view_that_reaches_out_and_does_not_say_so_would_fail(caller, monkeypatch):
    monkeypatch.setattr(probes.Abroad, "reaches_out", False)

    assert post(caller, {"slug": "EU"}, url=ABROAD).status_code == 500


def test_while_it_is_out_the_same_key_is_told_to_come_back(caller, monkeypatch):
    inside: list[Any] = []
    plain = probes.Units.post

    def again_meanwhile(self: Any, request: Any) -> Any:
        if not inside:
            inside.append(None)
            inside[0] = post(caller, {"slug": "EU"}, url=ABROAD)
        return plain(self, request)

    monkeypatch.setattr(probes.Units, "post", again_meanwhile)
    outer = post(caller, {"slug": "EU"}, url=ABROAD)

    assert (outer.status_code, inside[0].status_code, inside[0]["Retry-After"]) == (201, 409, "1")
    assert inside[0].json()["code"] == "in_progress"
    assert BusinessUnit.objects.count() == 1


@pytest.mark.parametrize(("then", "status"), [("break", 500), ("throttled", 429)])
def test_after_it_failed_abroad_the_key_is_free(caller, then, status):
    assert post(caller, {"slug": "EU", "then": then}, url=ABROAD).status_code == status

    assert not IdempotencyKey.objects.exists()


def test_the_claim_of_a_process_that_died_abroad_ends(caller):
    post(caller, {"slug": "EU"}, url=ABROAD)
    BusinessUnit.objects.all().delete()
    IdempotencyKey.objects.update(status=None)
    assert post(caller, {"slug": "EU"}, url=ABROAD).status_code == 409

    IdempotencyKey.objects.update(created_at=db_now() - timedelta(minutes=5, seconds=1))

    assert post(caller, {"slug": "EU"}, url=ABROAD).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_of_several_calls_at_once_that_reach_out_one_is_done():
    token = make_token(make_user("program", role="integration"))

    def call(_: int) -> int:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "one"}
        body = json.dumps({"slug": "EU"})
        return Client().post(ABROAD, body, content_type="application/json", headers=headers).status_code

    answers = numbered(6, call)

    assert set(answers) <= {201, 409}
    assert 201 in answers
    assert BusinessUnit.objects.count() == 1
