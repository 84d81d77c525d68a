"""Bodies that come in chunks, as gunicorn hands them over, arrive whole, and no larger than others may be."""

import json
from io import BytesIO
from typing import Any

import pytest
from django.test import RequestFactory
from django.test.client import ClientHandler

from config import wsgi
from connectors import actions
from connectors.models import Connection, Delivery

SECRET = "a-hook-secret-of-some-length"
EVENT = {"specversion": "1.0", "id": "1", "source": "/billing", "type": "com.example.doubtful"}
BODY = json.dumps(EVENT).encode()


@pytest.fixture
def hook(db: None) -> Connection:
    return actions.create_connection("ce", "cloudevents", actor="test", hook_secret=SECRET, config={})


class Broken(BytesIO):
    """What a server hands over where the chunks are none."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError("no chunk")


def deliver(body: Any, **environ: Any) -> tuple[int, bytes]:
    """Post a body whose length nobody knows, as a server of WSGI hands it to the application."""
    told: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        told.append(ClientHandler()(environ))
        return [told[0].content]

    request = RequestFactory().post("/api/v1/hooks/ce/")
    given = {
        **request.environ, "CONTENT_TYPE": "application/cloudevents+json",
        "HTTP_X_GOLDSEAM_SECRET": SECRET, "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": BytesIO(body) if isinstance(body, bytes) else body, "wsgi.input_terminated": True, **environ,
    }  # fmt: skip
    given.pop("CONTENT_LENGTH", None)
    body = b"".join(wsgi.measured(application)(given, None))
    return told[0].status_code, body


def test_a_delivery_in_chunks_is_kept(hook: Connection) -> None:
    status, told = deliver(BODY, HTTP_TRANSFER_ENCODING="Chunked")

    assert (status, json.loads(told)) == (202, {"accepted": 1, "repeated": 0})
    assert Delivery.objects.get().event == "com.example.doubtful"


def test_one_that_is_too_large_is_refused_and_not_read_to_its_end(hook: Connection, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    endless = BytesIO(b" " * 10_000)

    status, _ = deliver(endless)

    assert status == 413
    assert endless.tell() == 101
    assert not Delivery.objects.exists()


def test_one_that_breaks_off_is_refused(hook: Connection) -> None:
    assert deliver(Broken())[0] == 400


def test_a_server_that_cannot_tell_where_a_body_ends_is_not_read_from(hook: Connection) -> None:
    # It would be waited for what never comes.
    assert deliver(Broken(), **{"wsgi.input_terminated": False})[0] == 400


def test_a_wrong_secret_is_told_before_what_the_body_is(hook: Connection) -> None:
    assert deliver(b"{", HTTP_X_GOLDSEAM_SECRET="x")[0] == 401
