"""What is told goes out as one mail, the same again under the same key, and who was refused is known by name."""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import pytest

from connectors import gateway
from connectors.base import Blocked, ConnectorError, Locked, RateLimited, Refused, Unanswered, Unauthorized, Unreachable
from connectors.inbound.polling import poll_one
from connectors.models import Call, Connection, Delivery
from connectors.simulator.mail.postoffice import CUT
from tests.connectors.mail_world import OURS, World, letter, message

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "tell-3-77-abcdef"
THREAD = f"goldseam-{KEY}@contoso.test"


def send(connection: Connection, key: str = KEY, **changes: Any) -> dict[str, Any]:
    answer = gateway.call(connection, "mail.send", message(**changes), actor="test", effect_key=key)
    assert answer.written is not None
    return answer.written.result


def sent(post: World, number: int = 0) -> EmailMessage:
    found = email.message_from_bytes(post.mailbox.sent[number].raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def text_of(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_a_message_becomes_a_mail_that_no_machine_answers(post: World) -> None:
    result = send(post.connect())

    mail = sent(post)
    assert (post.mailbox.sent[0].sender, post.mailbox.sent[0].recipients) == (OURS, ("bo@contoso.test",))
    assert (mail["From"], mail["To"]) == (f"Goldseam <{OURS}>", "bo@contoso.test")
    assert mail["Subject"] == "Order SO-000697 is released"
    assert mail["Message-ID"] == f"<{THREAD}>"
    assert (mail["Auto-Submitted"], mail["X-Auto-Response-Suppress"]) == ("auto-generated", "All")
    assert mail["In-Reply-To"] is None
    assert result == {"message_id": THREAD, "thread": THREAD, "accepted": 1, "refused": {}}


def test_both_forms_say_the_same_and_fetch_nothing(post: World) -> None:
    send(post.connect())

    plain, html = (text_of(sent(post), kind) for kind in ("plain", "html"))

    for said in (
        "The credit hold is gone.",
        "SO-000697",
        "1,200.00 EUR",
        "https://goldseam.contoso.test/incidents/4711/",
    ):
        assert said in plain
        assert said in html
    assert html.count("http") == 1
    assert "<img" not in html
    assert "<script" not in html
    assert "style" not in html


def test_what_a_message_says_is_text_and_no_markup(post: World) -> None:
    hostile = "<script>alert(1)</script><img src=x> & \u202eevil"
    send(
        post.connect(),
        title=f"A {hostile}",
        text=hostile,
        facts=[[hostile, hostile]],
        link="javascript:alert(1)",
        link_label=hostile,
    )

    html = text_of(sent(post), "html")

    assert "<script" not in html
    assert "<img" not in html
    assert "javascript:" not in html
    assert "\u202e" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    "link",
    ['https://a.test/" onclick="x', "https://a.test/<b>", "ftp://a.test/", "https:///x", "http://[", "//a.test/x"],
)
def test_a_link_that_is_no_plain_web_address_is_left_out(post: World, link: str) -> None:
    send(post.connect(), link=link)

    assert "href" not in text_of(sent(post), "html")
    assert link not in text_of(sent(post), "plain")


def test_no_text_becomes_a_header(post: World) -> None:
    break_out = "x\r\nBcc: victim@partner.test\r\n\r\nbody"
    send(post.connect(config={"sender_name": 'Ops, "the" <team>'}), title=break_out, type=break_out, thread=break_out)

    mail = sent(post)
    assert mail["Bcc"] is None
    assert post.mailbox.sent[0].recipients == ("bo@contoso.test",)
    assert mail["Subject"] == "x Bcc: victim@partner.test body"
    assert mail["From"].addresses[0].addr_spec == OURS
    assert mail["In-Reply-To"] is None


def test_the_same_again_is_the_same_mail(post: World) -> None:
    connection = post.connect()

    send(connection)
    send(connection)
    send(connection, key="tell-3-78-other")

    first, again, other = post.mailbox.sent
    assert first == again
    assert sent(post, 2)["Message-ID"] != sent(post)["Message-ID"]
    assert other.raw != first.raw


def test_what_follows_stands_in_the_thread_that_was_begun(post: World) -> None:
    connection = post.connect()
    begun = send(connection)

    result = send(connection, key="tell-3-78-other", thread=begun["thread"])

    assert sent(post, 1)["In-Reply-To"] == sent(post, 1)["References"] == f"<{THREAD}>"
    assert result["thread"] == THREAD
    assert result["message_id"] != THREAD


def test_letters_of_any_language_arrive_and_lines_that_begin_with_a_dot_too(post: World) -> None:
    text = ".hidden\n..two\nÜber 日本 €\n" + "long " * 700
    send(post.connect(), title="Größe 日本 " * 20, text=text)

    mail = sent(post)
    assert all(len(line) <= 998 for line in post.mailbox.sent[0].raw.split(b"\r\n"))
    assert post.mailbox.sent[0].raw.isascii()
    assert ".hidden\n..two\nÜber 日本 €\n" in text_of(mail, "plain")
    assert str(mail["Subject"]).startswith("Größe 日本 Größe")


# --- who gets it ---------------------------------------------------------------------------------------


def test_without_recipients_it_goes_to_those_by_default(post: World) -> None:
    result = send(post.connect(config={"recipients": "ops@contoso.test, lead@partner.test"}), recipients=[])

    assert post.mailbox.sent[0].recipients == ("ops@contoso.test", "lead@partner.test")
    assert result["accepted"] == 2


def test_other_domains_are_not_written_to(post: World) -> None:
    connection = post.connect()

    result = send(connection, recipients=["bo@contoso.test", "x@evil.test", "y@sub.contoso.test", "no address"])

    assert post.mailbox.sent[0].recipients == ("bo@contoso.test",)
    assert "evil.test" not in sent(post)["To"]
    assert set(result["refused"]) == {"x@evil.test", "y@sub.contoso.test", "no address"}


@pytest.mark.parametrize(
    "recipient",
    ["x@evil.test", "x", "@contoso.test", "a b@contoso.test", "<a@contoso.test>", "a@contoso.test>,<b@evil.test",
     "a@contoso.test\r\nRCPT TO:<b@evil.test>", "a@contoso.test b@evil.test", '"a"@contoso.test', "ü@contoso.test",
     "a@contoso.test@evil.test", "a@evil.test,b@contoso.test", "x" * 300 + "@contoso.test"],
)  # fmt: skip
def test_nobody_is_left_where_no_recipient_may_be_written_to(post: World, recipient: str) -> None:
    with pytest.raises(Blocked):
        send(post.connect(), recipients=[recipient])

    assert not post.mailbox.sent
    assert not any("RCPT" in asked for asked in post.mailbox.asked)


def test_by_default_only_the_own_domain_is_written_to(post: World) -> None:
    result = send(post.connect(config={"recipient_domains": ""}), recipients=["bo@contoso.test", "anna@partner.test"])

    assert list(result["refused"]) == ["anna@partner.test"]


def test_a_recipient_who_is_refused_is_named_and_the_others_get_it(post: World) -> None:
    post.mailbox.refused["gone@contoso.test"] = "550 5.1.1 no such user"
    connection = post.connect()

    result = send(connection, recipients=["gone@contoso.test", "bo@contoso.test"])

    assert post.mailbox.sent[0].recipients == ("bo@contoso.test",)
    assert (result["accepted"], result["refused"]) == (1, {"gone@contoso.test": "550 5.1.1 no such user"})
    assert Call.objects.get().answer["result"]["refused"]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (("550 5.1.1 no such user", "550 5.1.1 no such user"), Refused),
        (("450 4.2.1 busy", "550 5.1.1 no such user"), Locked),
        (("550 5.1.1 no such user", "451 4.7.1 greylisted, come again"), Locked),
        (("421 4.3.0 going down", ""), Unreachable),
    ],
)
def test_where_nobody_takes_it_the_mildest_reason_counts(
    post: World, said: tuple[str, str], error: type[ConnectorError]
) -> None:
    post.mailbox.refused.update({"a@contoso.test": said[0], "b@contoso.test": said[1]})

    with pytest.raises(error):
        send(post.connect(), recipients=["a@contoso.test", "b@contoso.test"])

    assert not post.mailbox.sent


# --- what goes wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said", "error"),
    [
        ("GREETING", "421 too many", Unreachable),
        ("GREETING", "554 you are not welcome", Refused),
        ("GREETING", CUT, Unreachable),
        ("GREETING", "hello", Unreachable),
        ("EHLO", CUT, Unreachable),
        ("AUTH", "535 5.7.8 no", Unauthorized),
        ("AUTH", "454 4.7.0 later", Unreachable),
        ("AUTH", CUT, Unreachable),
        ("MAIL", "451 4.3.2 later", RateLimited),
        ("MAIL", "421 4.3.2 closing", Unreachable),
        ("MAIL", "552 5.3.4 too large", Refused),
        ("MAIL", "530 5.7.0 sign in first", Unauthorized),
        ("MAIL", CUT, Unreachable),
        ("RCPT", CUT, Unreachable),
        ("DATA", "451 4.3.0 later", RateLimited),
        ("DATA", "554 5.6.0 no", Refused),
        ("DATA", CUT, Unreachable),
        ("BODY", "451 4.3.0 later", RateLimited),
        ("BODY", "550 5.7.1 spam", Refused),
        ("BODY", CUT, Unanswered),
        ("BODY", "what", Unanswered),
    ],
)
def test_what_a_server_says_or_does_not_say_has_its_own_error(
    post: World, command: str, said: str, error: type[ConnectorError]
) -> None:
    post.mailbox.answers[command] = said

    with pytest.raises(error) as raised:
        send(post.connect())

    assert type(raised.value) is error
    assert len(post.mailbox.sent) == (1 if error is Unanswered else 0)
    assert "simulator" not in str(raised.value).replace("goldseam simulator", "")


def test_after_a_lost_answer_the_same_mail_may_go_twice_under_one_message_id(post: World) -> None:
    connection = post.connect()
    post.mailbox.answers["BODY"] = CUT
    with pytest.raises(Unanswered) as lost:
        send(connection)
    del post.mailbox.answers["BODY"]

    send(connection)

    assert lost.value.effect_possible
    assert post.mailbox.sent[0] == post.mailbox.sent[1]


def test_a_server_that_falls_silent_is_not_waited_for_without_end(post: World, settings: Any) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 0.3
    post.mailbox.answers["BODY"] = "250-and"

    with pytest.raises(Unanswered):
        send(post.connect())


def test_a_server_that_never_stops_talking_is_cut_off(post: World) -> None:
    post.mailbox.answers["EHLO"] = "\r\n".join(["250-" + "x" * 900] * 1000)

    with pytest.raises(Unreachable):
        send(post.connect())


def test_how_the_line_ends_says_nothing_about_the_mail(post: World) -> None:
    post.mailbox.answers["QUIT"] = CUT

    assert send(post.connect())["accepted"] == 1


def test_a_wrong_password_is_shown_nowhere(post: World) -> None:
    with pytest.raises(Unauthorized) as refused:
        send(post.connect(secrets={"password": "a-wrong-password"}))

    assert "a-wrong-password" not in f"{refused.value}{[vars(call) for call in Call.objects.all()]}"


def test_a_relay_may_be_used_without_signing_in(post: World) -> None:
    send(post.connect(config={"sign_in": "none"}, secrets={}))

    assert len(post.mailbox.sent) == 1
    assert "SMTP AUTH" not in post.mailbox.asked


def test_the_log_of_calls_holds_no_text_of_a_mail(post: World) -> None:
    send(post.connect(), title="a confidential title", text="a confidential text")

    call = Call.objects.get()
    assert "confidential" not in f"{vars(call)}"
    assert (call.direction, call.arguments["subject"], call.arguments["recipients"]) == ("tell", "incident/4711", 1)


def test_a_mailbox_that_only_reads_sends_nothing(post: World) -> None:
    with pytest.raises(Blocked):
        send(post.connect(config={"smtp_host": ""}))


# --- there and back --------------------------------------------------------------------------------------


def test_our_own_mail_that_comes_back_is_no_news(post: World) -> None:
    connection = post.connect()

    send(connection, recipients=[OURS])
    poll_one(connection)

    delivery = Delivery.objects.get()
    assert (delivery.event, delivery.payload["automatic"]) == ("mail.automatic", "own")


def test_an_answer_to_a_message_carries_the_thread_that_the_message_began(post: World) -> None:
    connection = post.connect()
    result = send(connection)

    post.mailbox.deliver(letter("It is not, though.", in_reply_to=str(sent(post)["Message-ID"])))
    poll_one(connection)

    payload = Delivery.objects.get().payload
    assert (payload["thread"], payload["automatic"]) == (result["thread"], "")
