"""Canaries: every secret of every kind, put in and used, is found in no row, log, page, answer, message or prompt."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import httpx2
import pytest
from celery.app.task import Task
from django.contrib.auth.models import User
from django.test import Client

from connectors import actions, gateway, registry, transport
from connectors.base import Connector, ConnectorError, Read, Sample
from connectors.inbound import polling
from connectors.kit import credentials
from connectors.models import Call, Connection, Delivery
from connectors.wire import logpaths
from connectors.wire import model as modelwire
from tests.connectors.canaries import ANSWERS, Echo, addresses, dump, planted
from tests.contracts.test_connector_kinds import KINDS, example_config
from tests.contracts.test_connector_nonsense import example_of
from tests.factories import make_token, make_user

TOKEN = "canaryaccesstokenofallsystemssong"
PASSWORD = "canary-password-of-a-person-song"
HOOK = "canary-hook-secret-{slug}-song"
SESSION_KEY = ("django_session", "session_key")  # a session is found by it: this one column has to hold it


class Seen:
    """What was planted, and what there is to look through."""

    def __init__(self, echo: Echo) -> None:
        self.echo = echo
        self.words: dict[str, list[str]] = {"an access token": [TOKEN], "a password": [PASSWORD]}
        self.slugs: list[str] = []
        self.messages: list[str] = []
        self.raised: list[str] = []

    def found_in(self, text: str) -> list[str]:
        """Name the canaries that stand in ``text``, each with what stands around it."""
        found = []
        for name, words in self.words.items():
            for word in words:
                at = text.find(word)
                if at >= 0:
                    found.append(f"{name}: …{text[max(0, at - 80) : at + len(word) + 20]}…")
        return found


@pytest.fixture
def seen(db: None, monkeypatch: pytest.MonkeyPatch, settings: Any, caplog: pytest.LogCaptureFixture) -> Iterator[Seen]:
    caplog.set_level(logging.DEBUG)
    settings.BREAKER_FAILURES = settings.BREAKER_SHARE = 0
    echo = Echo(TOKEN)
    monkeypatch.setattr(transport, "wire", lambda: echo.of(httpx))
    monkeypatch.setattr(modelwire, "wire", lambda: echo.of(httpx2))
    monkeypatch.setattr("connectors.wire.addresses.checked_url", lambda url: None)
    found = Seen(echo)

    def ring(self: Task, args: Any = None, kwargs: Any = None, **options: Any) -> None:
        found.messages.append(f"{self.name} {args} {kwargs} {options}")

    monkeypatch.setattr(Task, "apply_async", ring)
    for name in ("SECRET_KEY", "CREDENTIAL_KEY"):
        found.words[name] = [getattr(settings, name)]
    credentials.forget_all()
    transport.close_all()
    modelwire.close_all()
    yield found
    credentials.forget_all()
    transport.close_all()
    modelwire.close_all()


def plant(seen: Seen, kind: type[Connector]) -> Connection:
    """A connection of a kind with a canary for each of its secrets and for its hook."""
    slug = f"a-{kind.slug.replace('_', '-')}"
    secrets = {}
    for name in sorted(kind.secrets):
        secrets[name], seen.words[f"{kind.slug} {name}"] = planted(kind, name)
    hook = HOOK.format(slug=slug)
    seen.words[f"{kind.slug} hook"] = [hook]
    config = example_config(kind)
    config |= {name: "hooks.canary.test" for name in kind.config.model_fields if f"{name[:-5]}_url" in kind.secrets}
    connection = actions.create_connection(
        slug, kind.slug, actor="system:test", secrets=secrets, hook_secret=hook, operations=["*"], poll=True,
        config=config,
    )  # fmt: skip
    seen.slugs.append(slug)
    return connection


def use(seen: Seen, connection: Connection) -> None:
    """Use every operation, test and poll while the system says back whatever it hears."""
    for number, (status, form) in enumerate(ANSWERS):
        seen.echo.status, seen.echo.form, seen.echo.signs_in = status, form, number % 3 != 2
        credentials.forget_all()
        for operation in registry.operations_of(connection):
            key = "k" * 40 if not isinstance(operation, Read) else ""
            Connection.objects.update(not_before=None)
            try:
                given = example_of(operation.arguments)
                gateway.call(connection, operation.name, given, actor="test", effect_key=key)
            except ConnectorError as error:
                seen.raised.append(f"{error!r} {error.__cause__!r} {error.__context__!r} {error.__dict__}")
        Connection.objects.update(not_before=None)
        health = actions.test_connection(Connection.objects.get(pk=connection.pk), actor="test")
        seen.raised.append(repr(health))
        with suppress(ConnectorError):
            polling.poll_one(Connection.objects.get(pk=connection.pk))


def deliver(client: Client, slug: str) -> None:
    """Send what is none of the system's and what is, with the right secret in each place that it may stand."""
    secret = HOOK.format(slug=slug)
    for path, headers in (
        (f"/api/v1/hooks/{slug}/", {"X-Goldseam-Secret": secret}),
        (f"/api/v1/hooks/{slug}/", {"Authorization": f"Bearer {secret}"}),
        (f"/api/v1/hooks/{slug}/{secret}/", {}),
        (f"/api/v1/hooks/none/{secret}/", {}),
    ):
        for body in (b"{", b'{"a": 1}', b"<a/>"):
            client.post(path, body, content_type="application/json", headers=headers)
        sample = sample_of(slug)
        if sample is not None:
            client.post(path, sample.body, content_type=sample.content_type, headers=headers)


def sample_of(slug: str) -> Sample | None:
    """A delivery that the system itself would send."""
    connection = Connection.objects.get(slug=slug)
    kind = registry.kind_of(connection)
    return kind.sample(kind.config.model_validate(connection.config))


def look_around(seen: Seen, person: User, caplog: pytest.LogCaptureFixture) -> Iterator[tuple[str, str]]:
    """Give the text of each place with its name."""
    browser = Client(raise_request_exception=False)
    assert browser.login(username=person.username, password=PASSWORD)
    assert not browser.login(username=person.username, password=PASSWORD + "x")
    assert browser.login(username=person.username, password=PASSWORD)
    seen.words["a session"] = [browser.cookies["sessionid"].value]
    token = make_token(person)
    seen.words["an API token"] = [token]
    program = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})
    statuses: dict[int, int] = {}
    for path in addresses(seen.slugs):
        for client in (browser, program) if path.startswith("/api/") else (browser,):
            answer: Any = client.get(path)
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            yield path, body.decode(errors="replace")
    assert statuses[200] > 150, statuses
    assert not [status for status in statuses if status >= 500], statuses
    yield "metrics", program.get("/metrics").content.decode()
    yield "the database", dump(SESSION_KEY)
    yield "task messages", "\n".join(seen.messages)
    yield "prompts", "\n".join(seen.echo.prompts)
    yield "errors", "\n".join(seen.raised)
    yield "logs", "\n".join([caplog.text, *(str(vars(record)) for record in caplog.records)])


def test_no_canary_is_found_anywhere(
    seen: Seen, client: Client, caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    person = make_user("chief", role="", superuser=True, password=PASSWORD)
    for _, kind in KINDS:
        connection = plant(seen, kind)
        with django_capture_on_commit_callbacks(execute=True):
            use(seen, connection)
            deliver(client, connection.slug)
    assert len(seen.words) >= 12 + len(KINDS)

    found = [f"{place} holds {one}" for place, text in look_around(seen, person, caplog) for one in seen.found_in(text)]

    assert found == []
    heard = "\n".join(seen.echo.heard)
    used = {kind for _, kind in KINDS if any(word in heard for name in kind.secrets for word in planted(kind, name)[1])}
    assert len(used) >= 6, "the canaries were really sent, and so could be said back"
    assert set(Call.objects.values_list("outcome", flat=True)) >= {"ok", "refused", "unauthorized", "unanswered"}
    assert Delivery.objects.exists()
    assert seen.messages, "bells were rung, and were looked through"
    assert seen.echo.prompts


@pytest.mark.parametrize("kind", [pytest.param(kind, id=slug) for slug, kind in KINDS])
def test_no_canary_comes_back_from_what_is_refused(
    kind: type[Connector], seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    person = make_user("chief", role="", superuser=True, password=PASSWORD)
    browser, program = Client(), Client(headers={"Authorization": f"Bearer {make_token(person)}"})
    browser.force_login(person)
    connection = plant(seen, kind)
    secrets = {name: planted(kind, name)[0] for name in sorted(kind.secrets)}
    hook = HOOK.format(slug=connection.slug)
    wrong: list[dict[str, Any]] = [
        {"config": {"nonsense": 1}}, {"operations": ["no.such"]}, {"slug": connection.slug}, {"kind": "nothing"},
        {"config": secrets}, {"secrets": {"nonsense": hook, **secrets}}, {"label": ["x"]}, {"hook_secret": [hook]},
        {"secrets": [*secrets.values(), hook]}, {"secrets": {name: [value] for name, value in secrets.items()}},
        {"rate_calls": "many"}, {"owner": "nobody"}, {"data_class": "secret"},
    ]  # fmt: skip
    body = {"slug": "b", "kind": kind.slug, "config": example_config(kind), "secrets": secrets, "hook_secret": hook}
    told = []
    for more in wrong:
        for answer in (
            program.post("/api/v1/connections/", {**body, **more}, content_type="application/json"),
            program.patch(
                f"/api/v1/connections/{connection.slug}/",
                {
                    name: value
                    for name, value in {**body, **more}.items()
                    if name not in ("slug", "kind") or name in more
                },
                content_type="application/json",
            ),
        ):
            told.append(answer.content.decode())
            assert answer.status_code in (200, 400, 404, 409, 422), answer.content
    page = f"/admin/connectors/connection/{connection.pk}/change/"
    form = {f"secret_{name}": value for name, value in secrets.items()} | {"hook_secret": hook, "slug": "no slug"}
    answers = [browser.post(page, form), browser.post(f"/admin/connectors/connection/add/?kind={kind.slug}", form)]
    assert {answer.status_code for answer in answers} == {200}, "both are shown again with what is wrong"

    places = {
        "bodies": "\n".join(told), "forms": "".join(answer.content.decode() for answer in answers),
        "the database": dump(SESSION_KEY),
        "logs": "\n".join([caplog.text, *(str(vars(record)) for record in caplog.records)]),
    }  # fmt: skip
    assert [f"{place} holds {one}" for place, text in places.items() for one in seen.found_in(text)] == []
    assert [text for text in told if '"errors"' in text]


def test_what_is_planted_would_be_found(seen: Seen) -> None:
    _, kind = KINDS[0]
    plant(seen, kind)
    name = min(kind.secrets)
    word = planted(kind, name)[1][0]
    Connection.objects.update(health_message=f"it said {word}")

    assert any(word in one for one in seen.found_in(dump(SESSION_KEY)))
    assert seen.found_in("all is well") == []


@pytest.mark.parametrize("logger", logpaths.LOGGERS)
def test_the_secret_in_a_hooks_address_is_in_no_line_of_the_web_servers(
    logger: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    log = logging.getLogger(logger)

    # As Django, its own server and gunicorn write it.
    log.info("%s: %s", "Not Found", "/api/v1/hooks/fo/canary-secret/", extra={"request": "canary-secret"})
    log.info('"%s" %s %s', "POST /api/v1/hooks/fo/canary-secret/?a=1 HTTP/1.1", "202", "25")
    log.info('%(h)s "%(r)s" %(s)s', {"h": "192.0.2.7", "r": "POST /api/v1/hooks/fo/canary-secret HTTP/1.1", "s": "202"})
    log.info("%s: %s", "Not Found", "/connections/fo/")

    assert "canary" not in f"{caplog.text} {[vars(record) for record in caplog.records]}"
    assert "Not Found: /api/v1/hooks/fo/•••/" in caplog.text
    assert "POST /api/v1/hooks/fo/•••/?a=1 HTTP/1.1" in caplog.text
    assert "Not Found: /connections/fo/" in caplog.text
