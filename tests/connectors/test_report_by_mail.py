"""The pack of reports takes mail: it becomes the right incident, or goes to the front desk with a reason."""

import io
from typing import Any

import pytest
from django.core.management import call_command

from connectors import registry
from connectors.inbound import webhooks
from connectors.models import Connection
from incidents import detection
from incidents.models import Incident, Signal
from tests.connectors.mail_world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def mail(post: World, monkeypatch: pytest.MonkeyPatch) -> Connection:
    monkeypatch.setenv("GOLDSEAM_SIMULATOR_URL", "https://nobody.test")  # nothing is read there
    monkeypatch.setenv("GOLDSEAM_SIMULATOR_SECRET", "simulator")
    monkeypatch.setenv("GOLDSEAM_HOOK_SECRET", "a-hook-secret-of-some-length")
    monkeypatch.setenv("GOLDSEAM_DEMO_PASSWORD", "correct horse battery staple")
    call_command("apply", pack=["demo", "o2c", "reports"], stdout=io.StringIO())
    return post.connect()


def judged(mail: Connection) -> list[str]:
    # The gateway refuses to run inside a test's transaction; what is tried here is what the pack makes of a mail.
    connector = registry.connector_for(Connection.objects.get(pk=mail.pk))
    return [detection.process(key) for key in webhooks.store(mail, connector.poll(None)).ids]


def shown() -> dict[str, Any]:
    return dict(Incident.objects.values("code", "entity_type", "entity_key").get())


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("Order SO-000697 is stuck.", ("reported_order", "order", "SO-000697")),
        ("Invoice INV-12345 is wrong.", ("reported_invoice", "invoice", "INV-12345")),
        ("Everything is slow.", ("reported_message", "conversation", "1@partner.test")),
        ("SO-000697 and SO-000698 are stuck.", ("reported_message", "conversation", "1@partner.test")),
        ("", ("reported_message", "conversation", "1@partner.test")),
    ],
)
def test_a_mail_is_about_the_one_record_that_it_names(
    post: World, mail: Connection, text: str, about: tuple[str, str, str]
) -> None:
    post.deliver(text)

    assert judged(mail) == ["signal"]

    assert tuple(shown().values()) == about
    assert Signal.objects.get().text == (text or "A question")
    assert Signal.objects.get().attributes["author"] == "anna@partner.test (not verified)"


def test_a_mail_that_nobody_can_read_goes_to_a_person_with_its_place(post: World, mail: Connection) -> None:
    post.deliver("one")
    post.mailbox.faults[1] = "no"

    assert judged(mail) == ["signal"]

    assert shown() == {"code": "reported_message", "entity_type": "conversation", "entity_key": "INBOX/1"}
    assert "refuses FETCH" in Signal.objects.get().text


def test_what_a_machine_wrote_is_nobodys_business(post: World, mail: Connection) -> None:
    post.deliver("I am away. SO-000697", auto_submitted="auto-replied")

    assert judged(mail) == ["no_rule"]

    assert not Incident.objects.exists()
