"""The inbound desk of a connection: where to deliver, by which secret, a request to copy, and deliveries to replay."""

import re
import shlex
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.models import Entry
from connectors import registry
from connectors.base import Connector, Sample
from connectors.inbound import admin as inbound_admin
from connectors.models import Connection, Delivery
from incidents.detection import process
from tests.connectors.factories import HOOK_SECRET, SECRET, make_crm, make_dv, make_fo, make_model
from tests.connectors.sap_world import make_sap
from tests.connectors.test_open_hooks import KEY, Bell

MAKERS: dict[str, Any] = {"fo": make_fo, "crm": make_crm, "dv": make_dv, "sap": make_sap}
EVENT = {"BusinessEventId": "SalesInvoicePostedBusinessEvent", "EventId": "E-1", "Note": "<script>alert(1)</script>"}


@pytest.fixture
def browser(admin: User) -> Client:
    client = Client()
    client.force_login(admin)
    return client


def page_of(browser: Client, connection: Connection) -> str:
    return browser.get(reverse("admin:connectors_connection_change", args=[connection.pk])).content.decode()


def sample_of(page: str) -> list[str]:
    from html import unescape

    text = re.search(r'<pre id="inbound-sample"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert text is not None
    return shlex.split(unescape(text[1]))


def sent(command: list[str], secret: str = HOOK_SECRET) -> Any:
    """Do what the copied command would."""
    filled = [part.replace("$HOOK_SECRET", secret) for part in command]
    assert filled[:3] == ["curl", "-X", "POST"]
    headers = dict(part.split(": ", 1) for flag, part in pairwise(filled) if flag == "-H")
    content_type, body = headers.pop("Content-Type"), filled[filled.index("--data-binary") + 1]
    return Client().post(filled[3], body, content_type=content_type, headers=headers)


# --- the desk -------------------------------------------------------------------------------------
@pytest.mark.parametrize("slug", MAKERS)
def test_the_copied_request_is_taken_once_and_holds_no_secret(browser: Client, slug: str) -> None:
    connection = MAKERS[slug](slug=slug, hook_secret=HOOK_SECRET)
    page = page_of(browser, connection)
    command = sample_of(page)

    assert HOOK_SECRET not in page
    assert SECRET not in page
    assert f"http://testserver/api/v1/hooks/{slug}/" in page
    assert sent(command, "a-secret-that-was-guessed").status_code in (401, 404)
    assert [sent(command).status_code in (200, 202) for _ in range(2)] == [True, True]
    assert Delivery.objects.get().connection == connection


def test_a_sample_fits_what_the_connection_checks(browser: Client) -> None:
    crm = make_crm(hook_secret=HOOK_SECRET, config={"organization_id": "00DD0000000muCU"})
    dv = make_dv(config={"organization": "contoso.crm4.dynamics.com"})

    assert sent(sample_of(page_of(browser, crm))).status_code == 200
    assert sent(sample_of(page_of(browser, dv))).status_code == 202


def test_a_system_that_sends_no_header_gets_the_secret_into_its_address(browser: Client) -> None:
    page = page_of(browser, make_crm(hook_secret=HOOK_SECRET))

    assert "http://testserver/api/v1/hooks/crm/$HOOK_SECRET/" in page
    assert "as the last part of the address" in page
    assert "X-Goldseam-Secret" not in page


def test_the_desk_says_what_is_missing(browser: Client) -> None:
    connection = make_crm()
    before = page_of(browser, connection)
    make_fo(enabled=False)
    disabled = page_of(browser, Connection.objects.get(slug="fo"))

    assert "It is not set." in before
    assert "Enter the hook secret under Secrets" in before
    assert "It is set." in disabled
    assert "Enable the connection" in disabled


def test_what_signs_shows_the_key_it_signs_with_and_no_other_secret(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectors import actions

    monkeypatch.setitem(registry.KINDS, "bell", Bell)
    connection = actions.create_connection("bell", "bell", actor="system:test", secrets={"signing_key": KEY.decode()})
    page = page_of(browser, connection)

    assert "signs each delivery with the signing key" in page
    assert "It is set." in page
    assert "$HOOK_SECRET" not in page
    assert KEY.decode() not in page


@pytest.mark.parametrize("slug", [slug for slug, kind in sorted(registry.KINDS.items()) if kind.signed_with])
def test_a_sample_that_has_to_be_signed_names_no_variable_and_says_so(browser: Client, slug: str) -> None:
    from tests.contracts.test_connector_kinds import connection_of

    page = page_of(browser, connection_of(registry.KINDS[slug]))

    assert "into the variable HOOK_SECRET" not in page
    assert ("its own time and signature" in page) == ("inbound-sample" in page)


def test_a_kind_that_is_told_nothing_has_no_desk(browser: Client) -> None:
    assert "inbound-address" not in page_of(browser, make_model())


def test_a_new_connection_has_no_desk_yet(browser: Client) -> None:
    page = browser.get(reverse("admin:connectors_connection_add"), {"kind": "salesforce"}).content.decode()

    assert "inbound-address" not in page


def test_a_configuration_that_is_no_longer_valid_still_has_its_address(browser: Client) -> None:
    connection = make_fo()
    Connection.objects.update(config={"gone": 1})
    page = page_of(browser, connection)

    assert "inbound-address" in page
    assert "inbound-sample" not in page


def test_an_empty_desk_says_what_to_do_and_a_used_one_shows_the_last(browser: Client) -> None:
    connection = make_fo()
    empty = page_of(browser, connection)
    for number in range(12):
        Delivery.objects.create(
            connection=connection, external_id=f"E-{number}", event="Told", payload={}, received_at="2026-01-01T00:00Z"
        )
    page = page_of(browser, connection)

    assert "Nothing has arrived yet." in empty
    assert [f"E-{number}<" in page for number in (0, 1, 2, 11)] == [False, False, True, True]
    assert f"connection__id__exact={connection.pk}" in page


@pytest.mark.parametrize("header", ["it's; rm -rf /", '"$(reboot)"', "`reboot`", "$HOME"])
def test_nothing_that_a_sample_holds_is_run_by_the_shell(header: str) -> None:
    sample = Sample("{'a': \"$(reboot)\"}\n", headers=(("X-Odd", header),))
    parts = shlex.split(inbound_admin.curl("http://goldseam.test/x/", sample))

    assert f"X-Odd: {header}" in parts
    assert parts[-1] == sample.body
    assert f"'X-Odd: {header}'" in inbound_admin.curl("u", sample) or "'" in header


@pytest.mark.parametrize("slug", sorted(registry.KINDS))
def test_every_kind_that_listens_either_shows_a_sample_or_none_but_never_a_secret(slug: str) -> None:
    from tests.contracts.test_connector_kinds import example_config

    kind: type[Connector] = registry.KINDS[slug]
    sample = kind.sample(kind.config.model_validate(example_config(kind)))

    assert kind.listens() or sample is None
    assert sample is None or (sample.body.strip() != "" and "/" in sample.content_type)


@pytest.mark.parametrize("slug", [slug for slug, kind in sorted(registry.KINDS.items()) if not kind.signed_with])
def test_the_sample_of_every_kind_is_taken_by_its_own_hook(browser: Client, slug: str) -> None:
    from connectors import actions
    from tests.contracts.test_connector_kinds import connection_of

    connection = connection_of(registry.KINDS[slug])
    actions.update_connection(connection, actor="system:test", hook_secret=HOOK_SECRET)
    page = page_of(browser, connection)

    taken = sent(sample_of(page)).status_code if "inbound-sample" in page else 0
    assert taken in (0, 200, 202)
    assert (taken != 0) == (registry.KINDS[slug].sample(registry.connector_for(connection).settings) is not None)


# --- deliveries -----------------------------------------------------------------------------------
@pytest.fixture
def told(db: None) -> Delivery:
    make_fo()
    headers = {"X-Goldseam-Secret": HOOK_SECRET}
    Client().post("/api/v1/hooks/fo/", EVENT, content_type="application/json", headers=headers)
    delivery = Delivery.objects.get()
    process(delivery.pk)
    return delivery


def shown(browser: Client, name: str, *args: Any, **query: str) -> str:
    return browser.get(reverse(f"admin:connectors_delivery_{name}", args=args), query).content.decode()


def test_a_delivery_shows_what_was_told_as_text_and_what_became_of_it(browser: Client, told: Delivery) -> None:
    page = shown(browser, "change", told.pk)

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page
    assert "No kind of exception asks for such an event." in page
    assert f"/replay/?ids={told.pk}" in page


def test_a_long_payload_is_shown_in_part(browser: Client, told: Delivery) -> None:
    Delivery.objects.update(payload={"text": "x" * 150_000})

    assert "more letters" in shown(browser, "change", told.pk)


@pytest.mark.parametrize(("query", "found"), [({}, 1), ({"outcome": "no_rule"}, 1), ({"outcome": "signal"}, 0)])
def test_deliveries_are_found_by_connection_outcome_and_event(
    browser: Client, told: Delivery, query: dict[str, str], found: int
) -> None:
    page = shown(browser, "changelist", connection__id__exact=str(told.connection_id), event=told.event, **query)

    assert page.count(f"/delivery/{told.pk}/change/") == found


def test_chosen_deliveries_are_judged_again_once_a_reason_is_given(browser: Client, told: Delivery) -> None:
    chosen = {"action": "replay_chosen", "_selected_action": [told.pk]}
    asked = browser.post(reverse("admin:connectors_delivery_changelist"), chosen)
    page = browser.get(asked["Location"]).content.decode()
    unsaid = browser.post(asked["Location"], {"ids": str(told.pk), "reason": ""}).content.decode()
    done = browser.post(asked["Location"], {"ids": str(told.pk), "reason": "Mended"}, follow=True).content.decode()

    told.refresh_from_db()
    assert "1 delivery is judged anew, by the rules as they are now" in page
    assert "This field is required" in unsaid
    assert "1 delivery is replayed." in done
    assert (told.processed_at, told.outcome) == (None, "")
    assert (Entry.objects.get(verb="delivery.replayed").actor, Delivery.objects.count()) == ("admin", 1)


def test_what_was_not_judged_yet_is_said_and_left(browser: Client, told: Delivery) -> None:
    ask = reverse("admin:connectors_delivery_replay")
    Delivery.objects.update(processed_at=None)
    said = browser.post(ask, {"ids": str(told.pk), "reason": "Now"}, follow=True).content.decode()

    assert "nothing needs to be replayed" in said
    assert not Entry.objects.filter(verb="delivery.replayed").exists()


@pytest.mark.parametrize("ids", ["", "x", "0", "999999", "1;drop", "²", "9" * 30])
def test_ids_of_nobody_are_asked_about_in_words(browser: Client, told: Delivery, ids: str) -> None:
    assert "No delivery was chosen." in shown(browser, "replay", ids=ids)


def test_only_who_may_change_connections_replays(told: Delivery, automation: User, auditor: User) -> None:
    ask = reverse("admin:connectors_delivery_replay")
    answers = {}
    for person in (automation, auditor):
        client = Client()
        client.force_login(person)
        page = client.get(reverse("admin:connectors_delivery_change", args=[told.pk])).content.decode()
        answer = client.post(ask, {"ids": str(told.pk), "reason": "Mine"})
        answers[person.username] = (answer.status_code, "Replay…" in page)

    assert answers == {"automation": (302, True), "auditor": (403, False)}
    assert Entry.objects.get(verb="delivery.replayed").actor == "automation"


def test_a_delivery_is_never_changed_or_deleted_by_hand(browser: Client, told: Delivery) -> None:
    change = reverse("admin:connectors_delivery_change", args=[told.pk])
    delete = reverse("admin:connectors_delivery_delete", args=[told.pk])

    assert browser.post(change, {"event": "other"}).status_code == 403
    assert browser.post(delete, {"post": "yes"}).status_code == 403
    told.refresh_from_db()
    assert told.event == EVENT["BusinessEventId"]


def test_the_pages_hold_no_script_or_style_of_their_own(browser: Client, told: Delivery) -> None:
    pages = [
        page_of(browser, told.connection),
        shown(browser, "change", told.pk),
        shown(browser, "replay", ids=str(told.pk)),
    ]

    for page in pages:
        assert re.findall(r"\sstyle=|\son(?:click|load|error)=|<script(?![^>]*\bsrc=)[^>]*>[^<]*\w", page) == []
