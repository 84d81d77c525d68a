"""The simulated mailbox behaves as mail servers do, seen by Python's own clients."""

import imaplib
import smtplib
from collections.abc import Iterator

import pytest

from connectors.simulator.mail.mailbox import Mailbox, imap_server, words
from connectors.simulator.mail.postoffice import smtp_server

RAW = b"Message-ID: <1@partner.test>\r\nSubject: hello\r\n\r\n.text\r\n"


@pytest.fixture
def mailbox() -> Mailbox:
    mailbox = Mailbox()
    mailbox.deliver(RAW)
    mailbox.deliver(RAW.replace(b"<1", b"<2"))
    return mailbox


@pytest.fixture
def client(mailbox: Mailbox) -> Iterator[imaplib.IMAP4]:
    with imap_server(mailbox) as server, imaplib.IMAP4("127.0.0.1", server.port) as client:
        yield client


@pytest.fixture
def inbox(client: imaplib.IMAP4) -> imaplib.IMAP4:
    client.login("goldseam", "simulator")
    assert client.select('"INBOX"')[0] == "OK"
    return client


def test_only_who_signs_in_sees_anything(client: imaplib.IMAP4) -> None:
    with pytest.raises(imaplib.IMAP4.error):
        client.login("goldseam", "wrong")

    assert client.login("goldseam", "simulator")[0] == "OK"


def test_a_folder_says_its_uidvalidity_and_the_next_uid(inbox: imaplib.IMAP4) -> None:
    assert inbox.untagged_responses["UIDVALIDITY"] == [b"1"]
    assert inbox.untagged_responses["UIDNEXT"] == [b"3"]
    assert inbox.select('"Nowhere"')[0] == "NO"


def test_a_search_from_beyond_the_end_names_the_last_mail(inbox: imaplib.IMAP4) -> None:
    assert inbox.uid("SEARCH", "UID", "3:*") == ("OK", [b"2"])
    assert inbox.uid("SEARCH", "SINCE", "1-Jan-2020") == ("OK", [b"1 2"])
    assert inbox.uid("SEARCH", "SINCE", "1-Jan-2999") == ("OK", [b""])


@pytest.mark.parametrize(("part", "seen"), [("BODY[]", True), ("BODY.PEEK[]", False), ("BODY.PEEK[HEADER]", False)])
def test_a_mail_is_seen_where_nobody_only_peeks(inbox: imaplib.IMAP4, mailbox: Mailbox, part: str, seen: bool) -> None:
    _, data = inbox.uid("FETCH", "1", f"({part})")

    assert data[0][1].startswith(b"Message-ID: <1@partner.test>")
    assert data[0][1].endswith(b"\r\n\r\n" if "HEADER" in part else b".text\r\n")
    assert bool(mailbox.boxes["INBOX"].letters[1].flags) is seen


def test_a_part_of_a_mail_can_be_asked_for(inbox: imaplib.IMAP4) -> None:
    assert inbox.uid("FETCH", "1", "(BODY.PEEK[HEADER]<0.10>)")[1][0][1] == RAW[:10]


def test_a_move_says_where_the_mail_went(inbox: imaplib.IMAP4, mailbox: Mailbox) -> None:
    inbox.uid("MOVE", "1:1", '"Done"')

    assert list(mailbox.boxes["INBOX"].letters) == [2]
    assert list(mailbox.boxes["Done"].letters) == [1]


def test_who_only_looks_changes_nothing(inbox: imaplib.IMAP4, mailbox: Mailbox) -> None:
    inbox.select('"INBOX"', readonly=True)

    assert inbox.uid("MOVE", "1", '"Done"')[0] == "NO"
    assert inbox.uid("STORE", "1", "+FLAGS", r"(\Seen)")[0] == "NO"
    assert not mailbox.boxes["INBOX"].letters[1].flags


def test_restored_from_a_backup_every_mail_has_another_uid(mailbox: Mailbox) -> None:
    del mailbox.boxes["INBOX"].letters[1]

    mailbox.renumber()

    box = mailbox.boxes["INBOX"]
    assert (box.validity, list(box.letters), box.next_uid) == (2, [1], 2)


def test_what_is_sent_arrives_as_it_was_and_comes_into_the_mailbox(mailbox: Mailbox) -> None:
    mailbox.refused["gone@contoso.test"] = "550 5.1.1 no such user"
    with smtp_server(mailbox) as server, smtplib.SMTP("127.0.0.1", server.port, "test") as client:
        client.login("goldseam", "simulator")

        refused = client.sendmail("a@b.test", [mailbox.address, "gone@contoso.test"], RAW)

    assert refused == {"gone@contoso.test": (550, b"5.1.1 no such user")}
    assert mailbox.sent[0].raw == RAW
    assert mailbox.boxes["INBOX"].letters[3].raw == b"Return-Path: <a@b.test>\r\n" + RAW


def test_arguments_are_split_as_imap_writes_them() -> None:
    assert words(r'"a \"b\"" (\Seen x) 1:* ""') == ['a "b"', r"\Seen x", "1:*", ""]
