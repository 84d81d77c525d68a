"""Who wrote a mail: a person or a machine, ourselves or another, and whether our own server vouches for them."""

from typing import Any

import pytest

from connectors.kinds.mail import judging, reading
from connectors.kinds.mail.settings import MailConfig
from tests.connectors.mail_world import OURS, letter

CONFIG = MailConfig(address=OURS, auth_server="mx.contoso.test")
PASS = "mx.contoso.test; dkim=pass header.d=partner.test"
REPORT = """From: MAILER-DAEMON@mx.test
Message-ID: <r@mx.test>
Subject: Undelivered
Content-Type: multipart/report; report-type="delivery-status"; boundary=b
MIME-Version: 1.0

--b
Content-Type: text/plain

It did not arrive.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test

Final-Recipient: rfc822; busy@contoso.test
Action: delayed
Status: 4.2.2
Diagnostic-Code: smtp; 452 mailbox full

Final-Recipient: rfc822; gone@contoso.test
Action: failed
Status: 5.1.1 (bad)
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b
{original}
--b--
"""
RETURNED = {
    "whole": "Content-Type: message/rfc822\n\nMessage-ID: <goldseam-tell-1-x@contoso.test>\nSubject: y\n\nz",
    "headers": "Content-Type: text/rfc822-headers\n\nSubject: y\nMessage-ID: <goldseam-tell-1-x@contoso.test>\n",
}


def read(raw: bytes, **changes: Any) -> reading.Read:
    return reading.read(raw, CONFIG.model_copy(update=changes))


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"auto_submitted": "auto-replied"}, "auto_reply"),
        ({"auto_submitted": "Auto-Generated; x=y"}, "auto_reply"),
        ({"auto_submitted": "auto-notified (by a rule)"}, "auto_reply"),
        ({"precedence": "bulk"}, "bulk"),
        ({"precedence": " List "}, "bulk"),
        ({"precedence": "junk"}, "bulk"),
        ({"list_id": "news <news.partner.test>"}, "list"),
        ({"return_path": "<>"}, "null_sender"),
        ({"x_goldseam": "io.goldseam.incident.opened"}, "own"),
        ({"message_id": "<goldseam-abc@contoso.test>"}, "own"),
        ({"from": f"Somebody <{OURS.upper()}>"}, "own"),
        ({"content_type": "multipart/report; report-type=disposition-notification; boundary=b"}, "report"),
        ({"content_type": "multipart/report; report-type=delivery-status; boundary=b"}, "bounce"),
        ({"auto_submitted": "no"}, ""),
        ({"auto_submitted": "No (a person)"}, ""),
        ({"precedence": "normal"}, ""),
        ({"return_path": "<anna@partner.test>"}, ""),
        ({"message_id": "<goldseam-abc@partner.test>"}, ""),
        ({}, ""),
    ],
)
def test_what_a_machine_wrote_is_kept_and_is_no_news(headers: dict[str, str], why: str) -> None:
    found = read(letter("hello", **headers))

    assert found.payload["automatic"] == why
    assert found.event == ("mail.automatic" if why else "mail.received")


@pytest.mark.parametrize("returned", RETURNED)
def test_a_report_says_whom_a_mail_of_ours_did_not_reach(returned: str) -> None:
    found = read(REPORT.format(original=RETURNED[returned]).replace("\n", "\r\n").encode())

    assert found.event == "mail.automatic"
    assert found.payload["bounce"] == {
        "status": "5.1.1",
        "permanent": True,
        "recipients": ["busy@contoso.test", "gone@contoso.test"],
        "reason": "550 5.1.1 no such user",
        "key": "tell-1-x",
    }


def test_a_delay_is_not_for_good() -> None:
    raw = REPORT.format(original=RETURNED["whole"]).partition("Final-Recipient: rfc822; gone")[0] + "\n--b--\n"

    bounce = read(raw.encode()).payload["bounce"]

    assert (bounce["status"], bounce["permanent"], bounce["key"]) == ("4.2.2", False, "")


def test_a_report_that_says_nothing_is_one_all_the_same() -> None:
    found = read(
        letter("--b\n\nit failed\n--b--", content_type="multipart/report; report-type=delivery-status; boundary=b")
    )

    assert found.payload["bounce"] == {"status": "", "permanent": None, "recipients": [], "reason": "", "key": ""}


@pytest.mark.parametrize(
    ("results", "right"),
    [
        (PASS, True),
        ("MX.contoso.test 1; dmarc=pass header.from=partner.test", True),
        ("mx.contoso.test; spf=pass smtp.mailfrom=bounce@partner.test", True),
        ("mx.contoso.test; dkim=fail header.d=partner.test; dkim=pass header.d=partner.test", True),
        ("mx.contoso.test; dkim=pass (good) header.d=partner.test (really)", True),
        ("mx.contoso.test; dkim=fail header.d=partner.test", False),
        ("mx.contoso.test; dkim=pass header.d=evil.test", False),
        ("mx.contoso.test; dkim=pass header.d=test", False),
        ("mx.contoso.test; dkim=pass header.d=artner.test", False),
        ("mx.contoso.test; dkim=pass", False),
        ("mx.contoso.test; spf=pass smtp.mailfrom=evil.test", False),
        ("mx.contoso.test; spf=none (dmarc=pass header.from=partner.test)", False),
        ('mx.contoso.test; spf=none reason="; dmarc=pass header.from=partner.test"', False),
        ('mx.contoso.test; spf=none smtp.mailfrom="\\"; dmarc=pass header.from=partner.test; x=\\""@evil.test', False),
        ("mx.contoso.test; spf=none ((; dmarc=pass header.from=partner.test", False),
        ("mx.contoso.test; none", False),
        ("mx.evil.test; dkim=pass header.d=partner.test", False),
        ("xmx.contoso.test; dkim=pass header.d=partner.test", False),
        ("(mx.contoso.test); dkim=pass header.d=partner.test", False),
        ("", False),
    ],
)
def test_a_sender_is_verified_by_our_own_server_alone(results: str, right: bool) -> None:
    found = read(letter("hello", authentication_results=results)).payload

    assert found["verified"] is right


def test_only_the_topmost_word_of_our_server_counts() -> None:
    raw = letter("hello", authentication_results="mx.contoso.test; dkim=fail header.d=partner.test")
    forged = raw.replace(b"\r\n\r\n", f"\r\nAuthentication-Results: {PASS}\r\n\r\n".encode(), 1)

    assert not read(forged).payload["verified"]


def test_without_a_named_server_nobody_is_verified() -> None:
    assert not read(letter("hello", authentication_results=PASS), auth_server="").payload["verified"]


@pytest.mark.parametrize("senders", ["a@evil.test, anna@partner.test", "anna@partner.test, a@evil.test", "", "Anna"])
def test_several_senders_or_none_are_nobody_verified(senders: str) -> None:
    assert not read(letter("hello", authentication_results=PASS, **{"from": senders})).payload["verified"]


@pytest.mark.parametrize("key", ["tell-3-77-abc", "a" * 64, "with blanks", "ünïcode", "<>@", "a.b", "=41"])
def test_the_key_of_a_message_can_be_read_from_its_message_id(key: str) -> None:
    identifier = judging.message_id(key, "contoso.test")

    assert judging.identifiers(identifier) == [identifier.strip("<>")]
    assert judging.key_in(identifier, "CONTOSO.test") == key
    assert judging.key_in(identifier, "other.test") == ""
    assert judging.key_in(identifier, "") == ""


@pytest.mark.parametrize(
    "identifier", ["", "x", "@", "goldseam-@contoso.test", "goldseam-=zz@contoso.test", "goldseam-a b@contoso.test"]
)
def test_what_only_looks_like_ours_carries_no_key(identifier: str) -> None:
    assert judging.key_in(identifier, "contoso.test") == ""
