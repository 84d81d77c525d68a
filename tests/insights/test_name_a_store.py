"""Where the object store is comes from the settings alone, is never in the clear by accident, and stays unsaid."""

import logging
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import ClassVar

import pytest

from insights.objectstore import bucket as door
from insights.objectstore.address import address, faults
from insights.objectstore.bucket import bucket
from insights.objectstore.faults import StoreUnavailable
from tests.insights.storing import NOWHERE

SOUND = {
    "INSIGHTS_STORE": "s3://logs/goldseam", "INSIGHTS_S3_ENDPOINT": "https://s3.example:9000", "INSIGHTS_S3_REGION": "",
    "INSIGHTS_S3_KEY": "", "INSIGHTS_S3_SECRET": "", "INSIGHTS_S3_CA_FILE": "", "INSIGHTS_S3_ALLOW_HTTP": False,
    "OUTBOUND_TIMEOUT_SECONDS": 5.0,
}  # fmt: skip


def given(**changes):
    return SimpleNamespace(**{**SOUND, **changes})


def ids(**changes):
    return [id_ for id_, _, _ in faults(given(**changes))]


def test_the_default_is_no_store():
    assert address(given(INSIGHTS_STORE="", INSIGHTS_S3_ENDPOINT="nonsense")) is None


def test_bucket_and_folder_are_told_apart():
    where = address(given(INSIGHTS_STORE="s3://logs/a/b/"))

    assert (where.bucket, where.prefix, where.endpoint, where.plain) == (
        "logs", "a/b", "https://s3.example:9000", False,
    )  # fmt: skip


def test_without_an_endpoint_it_is_that_of_the_region():
    where = address(given(INSIGHTS_S3_ENDPOINT="", INSIGHTS_S3_REGION="eu-central-1"))

    assert where.endpoint == "https://s3.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    "store",
    ["logs", "http://logs", "file:///tmp", "s3://", "s3:///a", "s3://user:word@logs", "s3://logs?x=1", "s3://logs#x",
     "s3://logs/../other", "s3://logs/a//b", "s3://logs/a b", "s3://[logs"],
)  # fmt: skip
def test_what_names_no_bucket_is_refused_without_being_shown(store):
    assert ids(INSIGHTS_STORE=store) == ["goldseam.E012"]
    with pytest.raises(ValueError, match="INSIGHTS_STORE") as told:
        address(given(INSIGHTS_STORE=store))
    assert "word" not in str(told.value)


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://s3.example", []),
        ("http://127.0.0.1:9000", []),
        ("http://[::1]:9000", []),
        ("http://localhost:9000", []),
        ("http://s3.example", ["goldseam.E013"]),
        ("http://10.0.0.7:9000", ["goldseam.E013"]),
        ("http://2130706433", ["goldseam.E013"]),
        ("http://localhost.example", ["goldseam.E013"]),
        ("https://user:word@s3.example", ["goldseam.E016"]),
        ("https://s3.example/path", ["goldseam.E016"]),
        ("https://s3.example:0", ["goldseam.E016"]),
        ("https://s3.example:x", ["goldseam.E016"]),
        ("ftp://s3.example", ["goldseam.E016"]),
        ("s3.example", ["goldseam.E016"]),
    ],
)
def test_an_endpoint_is_a_server_over_tls_or_this_machine(endpoint, expected):
    assert ids(INSIGHTS_S3_ENDPOINT=endpoint) == expected


def test_the_clear_has_to_be_asked_for_by_name():
    assert ids(INSIGHTS_S3_ENDPOINT="http://10.0.0.7:9000", INSIGHTS_S3_ALLOW_HTTP=True) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"INSIGHTS_S3_ENDPOINT": ""}, "goldseam.E014"),
        ({"INSIGHTS_S3_KEY": "k"}, "goldseam.E015"),
        ({"INSIGHTS_S3_SECRET": "s"}, "goldseam.E015"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, expected):
    assert ids(**changes) == [expected]


def test_key_and_secret_are_in_no_text_of_the_address():
    where = address(given(INSIGHTS_S3_KEY="AKIAKEY", INSIGHTS_S3_SECRET="very-secret"))

    assert "AKIAKEY" not in repr(where)
    assert "very-secret" not in repr(where)


def test_settings_that_are_wrong_are_refused_where_they_are_used_too(store, settings):
    settings.INSIGHTS_S3_ENDPOINT = "http://s3.example"

    with pytest.raises(StoreUnavailable, match="settings of the object store are wrong") as told:
        bucket()
    assert told.value.reason == "settings"


def test_variables_of_the_environment_send_nothing_elsewhere(store, refusing, settings, monkeypatch):
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_BUCKET", "another")

    bucket().probe()
    settings.INSIGHTS_S3_ENDPOINT = refusing
    with pytest.raises(StoreUnavailable):
        bucket().probe()
    assert [sent.partition(" ")[0] for sent in _Echo.shown] == ["AWS4-HMAC-SHA256"]


def test_a_process_that_was_forked_from_one_with_an_open_store_says_so(store, monkeypatch):
    monkeypatch.setattr(door, "_OPENED_BY", [1])

    with pytest.raises(StoreUnavailable) as told:
        bucket()
    assert told.value.reason == "fork"


def test_a_store_that_did_not_answer_is_left_alone_for_a_moment(store, unreachable, monkeypatch):
    unreachable()
    now, asked = [100.0], []

    def head(*_):
        asked.append(1)
        return {"size": 0}

    monkeypatch.setattr("insights.objectstore.bucket.time.monotonic", lambda: now[0])
    with pytest.raises(StoreUnavailable):
        list(bucket().read("a", 1))

    monkeypatch.setattr("insights.objectstore.bucket.obstore.head", head)
    with pytest.raises(StoreUnavailable):
        list(bucket().read("a", 0))
    now[0] += 6

    assert asked == []
    assert list(bucket().read("a", 0)) == []
    assert asked == [1]


class _Echo(BaseHTTPRequestHandler):
    """Refuses, and repeats in its refusal all that it was shown, as stores do with a signature that does not fit."""

    shown: ClassVar[list[str]] = []

    def do_GET(self):
        self.shown.append(self.headers.get("Authorization", ""))
        body = f"<Error><Code>SignatureDoesNotMatch</Code><Message>{self.headers}</Message></Error>".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def refusing():
    _Echo.shown.clear()
    server = HTTPServer(("127.0.0.1", 0), _Echo)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_refused_credentials_are_told_and_shown_nowhere(store, refusing, settings, caplog):
    caplog.set_level(logging.DEBUG)
    settings.INSIGHTS_S3_ENDPOINT = refusing
    settings.INSIGHTS_S3_KEY, settings.INSIGHTS_S3_SECRET = "AKIAKEY", "very-secret"

    with pytest.raises(StoreUnavailable, match="refuses Goldseam's credentials") as told:
        bucket().probe()

    shown = f"{told.value!r} {told.value.__cause__!r} {told.value.__suppress_context__} {caplog.text}"
    assert told.value.reason == "credentials"
    assert told.value.__suppress_context__
    for word in ("AKIAKEY", "very-secret", "Signature", refusing):
        assert word not in shown
