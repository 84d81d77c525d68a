"""Signing in: entered, slowed down after failures, one door for console and admin."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from audit import triggers
from audit.clock import db_now
from audit.models import Entry
from audit.sign_in import PER_ADDRESS, PER_NAME
from tests.factories import make_user

pytestmark = pytest.mark.django_db
SECRET = "correct horse battery"


@pytest.fixture
def person(db: None) -> Any:
    return make_user("ada", role="operator", password=SECRET)


def attempt(client: Any, username: str = "ada", password: str = "wrong", **headers: Any) -> Any:
    return client.post("/login/", {"username": username, "password": password, "next": "/audit/"}, **headers)


def move_failures_back(seconds: int) -> None:
    with triggers.lifted(connection):
        Entry.objects.filter(verb="login.failed").update(at=db_now() - timedelta(seconds=seconds))


def test_the_right_password_leads_on_and_is_entered(client, person):
    response = attempt(client, password=SECRET)

    assert (response.status_code, response["Location"]) == (302, "/audit/")
    entry = Entry.objects.get(verb="login.succeeded")
    assert (entry.actor, entry.channel, entry.address) == ("ada", "console", "127.0.0.1")


def test_a_wrong_password_is_told_and_entered_without_it(client, person):
    response = attempt(client, password="hunter2-hunter2")

    assert response.status_code == 422
    entry = Entry.objects.get(verb="login.failed")
    assert (entry.actor, entry.target_id) == ("anonymous", "ada")
    assert "hunter2" not in str(Entry.objects.values())


def test_a_password_typed_as_the_name_is_not_kept(client, person):
    attempt(client, username=SECRET)

    entry = Entry.objects.get(verb="login.failed")
    assert entry.target_id.startswith("unknown ")
    assert SECRET not in str(Entry.objects.values())


def test_after_too_many_failures_even_the_right_password_waits(client, person):
    for _ in range(PER_NAME):
        assert attempt(client).status_code == 422

    response = attempt(client, password=SECRET)

    assert response.status_code == 429
    assert 0 < int(response["Retry-After"]) <= 300
    assert "Try again in" in response.content.decode()
    assert not Entry.objects.filter(verb="login.succeeded").exists()


def test_waiting_tries_do_not_grow_the_ledger(client, person):
    for _ in range(PER_NAME + 10):
        attempt(client)

    assert Entry.objects.filter(verb="login.failed").count() == PER_NAME


def test_the_wait_ends(client, person):
    for _ in range(PER_NAME):
        attempt(client)

    move_failures_back(301)

    assert attempt(client, password=SECRET).status_code == 302


def test_another_person_and_another_address_need_not_wait(client, person):
    make_user("bob", role="operator", password=SECRET)
    for _ in range(PER_NAME):
        attempt(client)

    assert attempt(client, "bob", SECRET).status_code == 302
    assert attempt(client, "ada", SECRET, REMOTE_ADDR="10.0.0.8").status_code == 302


def test_names_that_do_not_exist_wait_just_the_same(client, person):
    for _ in range(PER_NAME):
        attempt(client, "ghost")

    assert attempt(client, "ghost").status_code == 429


def test_a_success_ends_the_count(client, person):
    for _ in range(PER_NAME - 1):
        attempt(client)
    attempt(client, password=SECRET)
    client.post("/logout/")

    assert [attempt(client).status_code for _ in range(PER_NAME - 1)] == [422] * (PER_NAME - 1)


def test_one_address_that_tries_many_names_waits(client, person):
    for number in range(PER_ADDRESS):
        attempt(client, f"name{number}")

    assert attempt(client, "ada", SECRET).status_code == 429


def test_leaving_is_entered(client, person):
    client.force_login(person)

    client.post("/logout/")

    assert Entry.objects.get(verb="login.ended").actor == "ada"


def test_the_admin_has_no_sign_in_of_its_own(client):
    assert client.get("/admin/login/?next=/admin/auth/user/")["Location"] == "/login/?next=%2Fadmin%2Fauth%2Fuser%2F"
    assert client.get("/admin/login/?next=https://evil.example/")["Location"] == "/login/?next=%2Fadmin%2F"
    assert client.post("/admin/login/", {"username": "ada", "password": SECRET}).status_code == 405


def test_who_may_not_configure_is_told_so_rather_than_asked_to_sign_in(client, person):
    client.force_login(person)

    assert client.get("/admin/login/").status_code == 403


def test_the_login_page_does_not_lead_to_another_site(client, person):
    told = {"username": "ada", "password": SECRET, "next": "https://evil.example/"}

    assert "evil" not in client.post("/login/?next=/audit/", told)["Location"]
