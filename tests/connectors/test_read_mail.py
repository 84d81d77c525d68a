"""What a mail says: found in whatever shape it has, bounded, decoded, and with nothing in it that deceives the eye."""

import email
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kinds.mail import reading
from connectors.kinds.mail.connector import Mail
from connectors.kinds.mail.settings import MailConfig
from connectors.wire import plaintext
from tests.connectors.hostile import MAILS
from tests.connectors.mail_world import NUMBERS, OURS, letter

CONFIG = MailConfig(address=OURS, numbers=NUMBERS, auth_server="mx.contoso.test")
ALTERNATIVE = """From: a@partner.test
Subject: two ways to say it
Message-ID: <alt@partner.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/html; charset=utf-8

<p>the <b>html</b> of SO-000111</p>
--inner
Content-Type: text/plain; charset=utf-8

the plain text
--inner--
--outer
Content-Type: application/pdf; name="bill.pdf"
Content-Disposition: attachment; filename="../../etc/bill.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjQ=
--outer
Content-Type: text/plain
Content-Disposition: attachment; filename*=utf-8''%E2%82%AC%20rates.txt

not to be read
--outer--
"""
SAMPLES = {
    "a multipart of inline texts": """Message-ID: <15261.36209@anthem.test>
From: b@python.test (Bea W.)
To: b@python.test
Subject: a simple multipart
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="h90VIIIKmx"

--h90VIIIKmx
Content-Type: text/plain
Content-Disposition: inline; filename="msg.txt"

a mirror
--h90VIIIKmx
Content-Type: text/plain
Content-Disposition: inline; filename="msg.txt"

of our own
--h90VIIIKmx--
""",
    "a digest": """From: aperson@dom.test
MIME-Version: 1.0
Content-Type: multipart/digest; boundary=BOUNDARY

--BOUNDARY

Content-Type: text/plain; charset=us-ascii
Subject: ee

message 1

--BOUNDARY

Content-Type: text/plain; charset=us-ascii
Subject: ff

message 2

--BOUNDARY--
""",
}


def read(raw: bytes | str, **changes: Any) -> dict[str, Any]:
    config = CONFIG.model_copy(update=changes)
    return reading.read(raw.replace("\n", "\r\n").encode() if isinstance(raw, str) else raw, config).payload


def test_plain_text_goes_before_html_and_attachments_stay_apart() -> None:
    payload = read(ALTERNATIVE)

    assert (payload["text"], payload["text_from"]) == ("the plain text", "plain")
    assert payload["attachments"] == [
        {"name": "bill.pdf", "type": "application/pdf", "size": 8},
        {"name": "€ rates.txt", "type": "text/plain", "size": 14},
    ]
    assert payload["mentions"] == {}


def test_html_alone_is_read_as_the_text_that_it_shows() -> None:
    html = (
        "<html><head><title>no</title><style>p{}</style></head><body><p>Order&nbsp;SO-000697 &amp; more</p>"
        "<script>alert('no')</script><!-- no --><img src='http://track.test/1.gif' alt='no'>"
        "<a href='http://elsewhere.test'>look</a><br>3 < 4<p>end</body>"
    )
    payload = read(letter(html, content_type="text/html; charset=utf-8"))

    assert payload["text"].split("\n") == ["Order SO-000697 & more", "look", "3 < 4", "end"]
    assert payload["text_from"] == "html"
    assert payload["mentions"] == {"order": ["SO-000697"]}


@pytest.mark.parametrize("html", ["<", "<p", "<!--", "<script>x", "&#", "</", "<>", "<a b='>'>x", "İ<b>x</b>"])
def test_html_that_never_ends_is_no_trouble(html: str) -> None:
    assert "<script" not in plaintext.shown(html + "<script>alert(1)</script>")


def test_a_mail_within_the_mail_is_read_where_there_is_nothing_else() -> None:
    payload = read(SAMPLES["a digest"])

    assert (payload["text"], payload["text_from"]) == ("message 1\n\n\nmessage 2", "nested")
    assert [one["type"] for one in payload["attachments"]] == ["message/rfc822", "message/rfc822"]


def test_inline_texts_are_text_although_they_have_names() -> None:
    payload = read(SAMPLES["a multipart of inline texts"])

    assert payload["text"] == "a mirror\n\nof our own"
    assert payload["attachments"] == []


def test_words_in_headers_are_decoded_and_people_named() -> None:
    payload = read(
        letter(
            subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?q?_f=FCr?= INV-12345",
            **{"from": "=?utf-8?b?w4RubmU=?= <Anne@Partner.test>", "cc": "x@a.test, Y <y@b.test>, broken"},
        )
    )

    assert payload["subject"] == "Grüße für INV-12345"
    assert (payload["from_name"], payload["from"]) == ("Änne", "Anne@Partner.test")
    assert payload["cc"][:2] == ["x@a.test", "y@b.test"]
    assert payload["mentions"] == {"invoice": ["INV-12345"]}


def test_letters_that_deceive_the_eye_are_taken_out() -> None:
    tricks = "pay \u202egnp.exe\u202c to SO-\u200b000697\x07\x1b[31m now\u2028then"
    payload = read(letter(tricks, subject="a\u202eb", content_type="text/plain; charset=utf-8"))

    assert payload["subject"] == "ab"
    assert payload["text"] == "pay gnp.exe to SO-000697[31m now\nthen"
    assert payload["mentions"] == {"order": ["SO-000697"]}


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("iso-8859-1", b"Gr\xfc\xdfe", "Grüße"),
        ("utf-8", "Grüße €".encode(), "Grüße €"),
        ("windows-1252", b"\x80 5", "€ 5"),
        ("shift_jis", "日本".encode("shift_jis"), "日本"),
        ("nobody-knows", "Grüße".encode(), "Grüße"),
        ("punycode", b"abc-", "abc-"),
        ("unicode_escape", rb"\u0041", r"\u0041"),
        ("hex", b"6161", "6161"),
        ("utf-8", b"a\xff\x00b", "a\ufffdb"),
        ("\x00", b"abc", "abc"),
    ],
)
def test_bytes_are_read_in_their_charset_and_never_run_as_code(charset: str, raw: bytes, text: str) -> None:
    assert plaintext.cleaned(plaintext.decoded(raw, charset)) == text


def test_a_charset_may_be_spelled_in_the_long_way() -> None:
    assert read(letter("Some message.", content_type="text/plain; charset*=ansi-x3.4-1968''us-ascii"))["text"] == (
        "Some message."
    )


def test_a_long_text_is_cut_and_says_so() -> None:
    payload = read(letter("x" * 50_000))

    assert len(payload["text"]) == 20_000
    assert "longer" in payload["notes"][0]


def test_only_so_many_attachments_are_named() -> None:
    part = b"--b\r\nContent-Type: image/png; name=x.png\r\n\r\nx\r\n"
    raw = letter(mime_version="1.0", content_type="multipart/mixed; boundary=b") + part * 80 + b"--b--\r\n"

    payload = read(raw)

    assert len(payload["attachments"]) == 50
    assert "80" in payload["notes"][0]


# --- threads ------------------------------------------------------------------------------------------


def test_an_answer_to_what_we_told_carries_its_thread() -> None:
    ours = "<goldseam-tell-3-77-abcdef@contoso.test>"
    payload = read(letter("thanks", references=f"<0@x.test> {ours} <1@x.test>", in_reply_to="<1@x.test>"))

    assert payload["thread"] == ours.strip("<>")
    assert payload["conversation"] == payload["thread"]


def test_an_answer_to_somebody_else_belongs_to_their_conversation() -> None:
    payload = read(letter("thanks", references="<0@x.test> <1@x.test>"))

    assert (payload["thread"], payload["conversation"]) == ("", "0@x.test")
    assert read(letter("new"))["conversation"] == "1@partner.test"


def test_a_message_id_of_ours_in_another_domain_is_none_of_ours() -> None:
    assert read(letter("x", in_reply_to="<goldseam-a@evil.test>"))["thread"] == ""


def test_a_mail_that_answers_and_names_nothing_is_to_be_completed() -> None:
    assert Mail.lacks(read(letter("any news?", in_reply_to="<0@x.test>")))
    assert not Mail.lacks(read(letter("SO-000697?", in_reply_to="<0@x.test>")))
    assert not Mail.lacks(read(letter("any news?")))
    assert not Mail.lacks(read(letter("away", in_reply_to="<0@x.test>", auto_submitted="auto-replied")))


# --- what takes long, and what is broken ---------------------------------------------------------------


@pytest.mark.parametrize("raw", MAILS, ids=range(len(MAILS)))
def test_of_a_hostile_mail_a_bounded_part_is_kept(raw: bytes) -> None:
    payload = read(raw)

    assert len(json.dumps(payload)) < 150_000


@pytest.mark.parametrize(
    "raw", [b"", b"\0" * 100, b"\xff\xfe", b":\r\n\r\n", b"From:\r\n\r\n", b"\r\n\r\nbody", b"no header"]
)
def test_what_is_hardly_a_mail_is_kept_all_the_same(raw: bytes) -> None:
    found = reading.read(raw, CONFIG)

    assert found.external_id.startswith("sha256:")
    assert found.event in ("mail.received", "mail.unreadable")


PIECES = st.sampled_from(
    [b"From: ", b"To: ", b"Subject: ", b"Content-Type: ", b"multipart/mixed; boundary=b", b"multipart/report", b"--b",
     b"message/rfc822", b"text/plain; charset=", b"Content-Transfer-Encoding: ", b"base64", b"quoted-printable", b"?=",
     b"=?utf-8?q?", b"<a@b.test>", b"Message-ID: ", b"References: ", b"\r\n", b"\r\n\r\n", b"\n", b" ", b";", b'"',
     b"(", b"\xff", b"\x00", b"Content-Disposition: attachment; filename*0*=", b"utf-8''%ff", b"Status: 5.1.1",
     b"Final-Recipient: rfc822;x", b"message/delivery-status", b"Received: ",
     b"Authentication-Results: mx.contoso.test; dkim=pass header.d="]
)  # fmt: skip


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(PIECES | st.binary(max_size=20), max_size=60))
def test_no_bytes_whatever_are_more_than_a_mail(pieces: list[bytes]) -> None:
    found = reading.read(b"".join(pieces), CONFIG)

    kept = json.dumps(found.payload, ensure_ascii=False)
    assert "\\u0000" not in kept
    kept.encode()  # no half of a letter, which a database would refuse
    assert 0 < len(found.external_id) <= 200
    assert found.external_id.isprintable()


def test_a_mail_made_by_python_is_read_as_it_was_made() -> None:
    made = email.message.EmailMessage()
    made["From"], made["To"], made["Subject"] = "a@b.test", OURS, "SO-000697 über alles"
    made["Date"] = email.utils.format_datetime(datetime(2026, 1, 1, tzinfo=UTC))
    made.set_content("Grüße\n")
    made.add_alternative("<p>Grüße</p>", subtype="html")
    made.add_attachment(b"\x00" * 1000, maintype="image", subtype="png", filename="ü.png")

    payload = read(made.as_bytes())

    assert (payload["subject"], payload["text"]) == ("SO-000697 über alles", "Grüße")
    assert payload["attachments"] == [{"name": "ü.png", "type": "image/png", "size": 1000}]
