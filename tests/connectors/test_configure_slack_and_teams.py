"""Slack and Teams set up through the admin and as files: what is wrong is said, what is secret is never shown."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from pydantic import ValidationError

from audit.models import Entry
from connectors import registry
from connectors.base import Blocked
from connectors.kinds.slack.settings import SlackConfig
from connectors.kinds.teams.settings import TeamsConfig
from connectors.models import Connection
from connectors.wire import secretaddress
from tests.connectors.chat_world import make_slack, make_teams

pytestmark = pytest.mark.django_db
ADD = "admin:connectors_connection_add"
CHANGE = "admin:connectors_connection_change"
WEBHOOK = "https://hooks.slack.com/services/T0SECRET01/B0SECRET01/abcdefghijklmnopqrstuvwx"
FORM = {
    "slug": "chat", "label": "Slack", "enabled": "on", "config_way": "incoming_webhook",
    "config_base_url": "https://slack.com/api", "config_channels": "C0123456789, C0222222222",
    "config_webhook_host": "hooks.slack.com", "config_patterns": "order: SO-######\r\ninvoice: INV-#+\r\n",
    "config_send_message_id": "on", "secret_signing_secret": "8f742231b10e8888abcd99yyyzzz85a5",
    "secret_webhook_url": WEBHOOK, "operations": ["slack.post"], "change_reason": "People write there",
}  # fmt: skip
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "connect-chat.md"


@pytest.fixture
def client(admin: User) -> Client:
    browser = Client()
    browser.force_login(admin)
    return browser


def test_slack_is_added_through_the_admin_and_its_secrets_are_never_shown_again(client: Client) -> None:
    saved = client.post(reverse(ADD) + "?kind=slack", FORM)
    connection = Connection.objects.get()
    shown = client.get(reverse(CHANGE, args=[connection.pk])).content.decode()
    listed = client.get(reverse("connections")).content.decode()

    assert saved.status_code == 302
    assert connection.config["patterns"].splitlines() == ["order: SO-######", "invoice: INV-#+"]
    assert registry.connector_for(connection).secret("webhook_url") == WEBHOOK
    assert "order: SO-######" in shown
    for page in (shown, listed, *Entry.objects.values_list("body", flat=True)):
        assert not any(part in page for part in ("abcdefghijklmnopqrstuvwx", "8f742231b10e8888", "B0SECRET01"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"config_patterns": "order: (a+)+"}, "is no shape"),
        ({"config_patterns": "SO-######"}, "is no pattern"),
        ({"config_channels": "#general"}, "pattern"),
        ({"config_channel": "general"}, "pattern"),
        ({"config_base_url": "https://somebody@slack.com/api"}, "pattern"),
        ({"config_webhook_host": "hooks.slack.com/services"}, "pattern"),
    ],
)
def test_what_cannot_be_meant_is_said_beside_its_field(client: Client, wrong: dict[str, str], said: str) -> None:
    answer = client.post(reverse(ADD) + "?kind=slack", {**FORM, **wrong})

    (name,) = wrong
    errors = answer.context["adminform"].form.errors
    assert answer.status_code == 200
    assert list(errors) == [name]
    assert said in str(errors[name])
    assert not Connection.objects.exists()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (SlackConfig, {"team_id": "contoso"}),
        (SlackConfig, {"way": "fax"}),
        (TeamsConfig, {"tenant_id": "contoso"}),
        (TeamsConfig, {"workflow_host": "https://flow.test"}),
        (TeamsConfig, {"replay_seconds": -1}),
        (TeamsConfig, {"replay_seconds": 86_401}),
        (TeamsConfig, {"workflow_url": WEBHOOK}),
    ],
)
def test_settings_that_mean_nothing_are_refused(kind: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind.model_validate(wrong)


def test_the_files_of_the_how_to_can_be_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    file = tmp_path / "chat.yaml"
    file.write_text("---\n".join(blocks))
    for name in re.findall(r"env:(\w+)", file.read_text()):
        monkeypatch.setenv(name, "c2VjcmV0IGVub3VnaA==")

    call_command("apply", str(file), stdout=io.StringIO())

    kinds = dict(Connection.objects.values_list("slug", "kind"))
    assert kinds == {"slack": "slack", "teams": "teams"}
    assert all(registry.connector_for(connection).secret(name) for connection in Connection.objects.all()
               for name in connection.secrets)  # fmt: skip


def test_neither_kind_shows_a_secret_or_a_piece_of_one_in_any_text() -> None:
    make_slack(secrets={"webhook_url": WEBHOOK})
    make_teams(secrets={"workflow_url": "https://flow.test/workflows/0123456789abcdef0123?sp=x&sig=Zm9yLXlvdXItZXllcw"})
    said = f"{WEBHOOK} /services/T0SECRET01/B0SECRET01/abcdefghijklmnopqrstuvwx abcdefghijklmnopqrstuvwx"
    told = "0123456789abcdef0123 sig=Zm9yLXlvdXItZXllcw Zm9yLXlvdXItZXllcw"

    slack, teams = (registry.connector_for(connection) for connection in Connection.objects.order_by("slug"))

    assert "abcdefgh" not in slack.redactor().text(said)
    assert "Zm9y" not in teams.redactor().text(told)
    assert "0123456789abcdef" not in teams.redactor().text(told)
    assert "abcdefgh" not in f"{slack!r} {slack.redactor()!r}"


@pytest.mark.parametrize("url", ["", "https://[", "no address", "https://flow.test/a/b"])
def test_an_address_with_nothing_secret_in_it_hides_nothing_else(url: str) -> None:
    assert secretaddress.parts_of(url) == []


def test_an_address_is_given_back_only_at_its_own_host() -> None:
    url = "https://Flow.test:443/workflows/1?sig=2"

    assert secretaddress.held_against(f" {url}\n", "flow.TEST", name="workflow_url") == url
    assert secretaddress.held_against(url, "flow.test:443", name="workflow_url") == url
    with pytest.raises(Blocked) as refused:
        secretaddress.held_against(url, "", name="workflow_url")
    assert "a host that is named" in str(refused.value)
