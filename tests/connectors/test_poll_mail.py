"""Mail is taken once, in order, without a trace in the mailbox; what is broken keeps nothing else waiting."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors import gateway
from connectors.base import Unanswered
from connectors.inbound import polling
from connectors.models import Connection, Delivery
from tests.connectors.mail_world import World

pytestmark = pytest.mark.django_db(transaction=True)


def poll(connection: Connection) -> None:
    connection.refresh_from_db()
    polling.poll_one(connection)


def ask(connection: Connection) -> Any:
    connection.refresh_from_db()
    return gateway.poll(connection, None, actor="test")


def subjects() -> list[str]:
    return [str(row.payload["subject"]) for row in Delivery.objects.order_by("pk")]


def place(connection: Connection) -> dict[str, Any]:
    connection.refresh_from_db()
    return dict(connection.bookmarks["mailbox"])


def test_a_mail_becomes_one_delivery_however_often_it_is_looked_for(post: World) -> None:
    connection = post.connect()
    arrived = datetime.now(UTC).replace(microsecond=0)
    post.mailbox.deliver(
        b"Message-ID: <a@b.test>\r\nFrom: a@b.test\r\nSubject: SO-000697\r\n\r\nhello\r\n", arrived=arrived
    )

    for _ in range(3):
        poll(connection)

    delivery = Delivery.objects.get()
    assert (delivery.event, delivery.occurred_at) == ("mail.received", arrived)
    assert delivery.external_id.startswith("a@b.test:")
    assert delivery.payload["mentions"] == {"order": ["SO-000697"]}
    assert (delivery.payload["uid"], delivery.payload["folder"], delivery.payload["text"]) == (1, "INBOX", "hello")


def test_the_mailbox_stays_as_it_was(post: World) -> None:
    connection = post.connect()
    post.deliver("hello")

    poll(connection)

    assert not post.mailbox.boxes["INBOX"].letters[1].flags
    assert any(asked.startswith("EXAMINE") for asked in post.mailbox.asked)
    assert not any(asked.startswith(("SELECT", "UID STORE", "UID MOVE")) for asked in post.mailbox.asked)
    assert not any("BODY[" in asked for asked in post.mailbox.asked)


def test_nothing_new_is_nothing_although_the_server_names_its_last_mail(post: World) -> None:
    connection = post.connect()
    post.deliver("hello")
    poll(connection)
    post.mailbox.asked.clear()

    told, _ = ask(connection)

    assert told == []
    assert "UID SEARCH UID 2:*" in post.mailbox.asked
    assert not any("FETCH" in asked for asked in post.mailbox.asked)


def test_one_poll_takes_so_many_and_is_asked_again_for_the_rest(post: World) -> None:
    connection = post.connect(config={"most_mails": 2})
    for number in range(5):
        post.deliver(message_id=f"<{number}@b.test>", subject=f"number {number}")

    first, places = ask(connection)
    poll(connection)

    assert [inbound.payload["subject"] for inbound in first] == ["number 0", "number 1"]
    assert places["left_off"] is True
    assert subjects() == [f"number {number}" for number in range(5)]
    assert place(connection)["last"] == 5
    assert "left_off" not in connection.bookmarks


def test_at_first_only_the_last_days_are_taken(post: World) -> None:
    connection = post.connect(config={"lookback_days": 3})
    old = datetime.now(UTC) - timedelta(days=10)
    post.mailbox.deliver(b"Message-ID: <old@b.test>\r\nSubject: old\r\n\r\nx", arrived=old)
    post.deliver(subject="new")

    poll(connection)

    assert subjects() == ["new"]


def test_in_an_empty_mailbox_it_waits_for_what_comes(post: World) -> None:
    connection = post.connect()
    post.mailbox.boxes["INBOX"].next_uid = 41

    poll(connection)
    post.deliver(subject="the first")
    poll(connection)

    assert subjects() == ["the first"]
    assert place(connection)["last"] == 41


def test_other_uids_for_the_same_mails_bring_no_doubles_and_lose_none(post: World) -> None:
    connection = post.connect()
    for number in range(3):
        post.deliver(message_id=f"<{number}@b.test>", subject=f"number {number}")
    poll(connection)
    del post.mailbox.boxes["INBOX"].letters[1]
    post.mailbox.renumber()
    post.deliver(message_id="<new@b.test>", subject="after that")

    poll(connection)

    assert subjects() == ["number 0", "number 1", "number 2", "after that"]
    assert place(connection) == {"folder": "INBOX", "validity": 2, "last": 3, "done": 0}


def test_another_folder_begins_anew(post: World) -> None:
    connection = post.connect()
    post.deliver(subject="in the inbox")
    poll(connection)
    post.mailbox.deliver(b"Message-ID: <x@b.test>\r\nSubject: elsewhere\r\n\r\nx", "Done")
    Connection.objects.filter(pk=connection.pk).update(config={**connection.config, "folder": "Done"})

    poll(connection)

    assert subjects() == ["in the inbox", "elsewhere"]


def test_two_mails_under_one_message_id_are_two(post: World) -> None:
    connection = post.connect()
    post.deliver("one", message_id="<same@b.test>", subject="one")
    post.deliver("two", message_id="<same@b.test>", subject="two")
    post.deliver("one", message_id="<same@b.test>", subject="one", received="by another way")

    poll(connection)

    assert subjects() == ["one", "two"]


def test_mails_without_a_message_id_are_told_apart_by_their_bytes(post: World) -> None:
    connection = post.connect()
    for text in ("one", "two", "one"):
        post.deliver(text, message_id="")

    poll(connection)

    assert [row.payload["text"] for row in Delivery.objects.order_by("pk")] == ["one", "two"]


# --- what was taken is put away, but never before it is kept -----------------------------------------


def test_what_was_taken_is_moved_by_the_next_poll(post: World) -> None:
    connection = post.connect(config={"done_folder": "Done", "mark_seen": True})
    post.deliver(subject="one")

    poll(connection)
    before = dict(post.mailbox.boxes["Done"].letters)
    post.deliver(subject="two", message_id="<2@b.test>")
    poll(connection)

    (moved,) = post.mailbox.boxes["Done"].letters.values()
    assert (before, list(post.mailbox.boxes["INBOX"].letters)) == ({}, [2])
    assert b"Subject: one" in moved.raw
    assert subjects() == ["one", "two"]
    assert (place(connection)["done"], place(connection)["last"]) == (1, 2)


def test_a_server_without_move_copies_and_expunges_these_alone(post: World) -> None:
    post.mailbox.capabilities = "IMAP4rev1 UIDPLUS"
    connection = post.connect(config={"done_folder": "Done"})
    post.deliver(subject="one")
    poll(connection)

    poll(connection)

    assert not post.mailbox.boxes["INBOX"].letters
    assert len(post.mailbox.boxes["Done"].letters) == 1
    assert "UID EXPUNGE 1:1" in post.mailbox.asked
    assert "EXPUNGE" not in post.mailbox.asked


@pytest.mark.parametrize("capabilities", ["IMAP4rev1", "IMAP4rev1 MOVE"])
def test_mails_that_cannot_be_put_away_are_taken_all_the_same(post: World, capabilities: str) -> None:
    post.mailbox.capabilities = capabilities
    connection = post.connect(config={"done_folder": "Elsewhere"})
    post.deliver(subject="one")
    poll(connection)
    post.deliver(subject="two", message_id="<2@b.test>")

    poll(connection)

    assert subjects() == ["one", "two"]
    assert (place(connection)["done"], len(post.mailbox.boxes["INBOX"].letters)) == (0, 2)


# --- bad mails ---------------------------------------------------------------------------------------


def three(post: World) -> Connection:
    for number in (1, 2, 3):
        post.deliver(f"text {number}", message_id=f"<{number}@b.test>", subject=f"number {number}")
    return post.connect()


def test_a_mail_that_is_too_large_is_taken_by_its_header(post: World) -> None:
    connection = post.connect(config={"most_bytes": 10_000})
    post.deliver("x" * 20_000, subject="a large one")

    poll(connection)

    payload = Delivery.objects.get().payload
    assert (payload["subject"], payload["text"]) == ("a large one", "")
    assert "20" in payload["notes"][0]
    assert any("BODY.PEEK[HEADER]" in asked for asked in post.mailbox.asked)
    assert not any("BODY.PEEK[]" in asked for asked in post.mailbox.asked)


@pytest.mark.parametrize("fault", ["cut_whole", "no"])
def test_a_mail_whose_body_does_not_come_is_told_by_what_does(post: World, fault: str) -> None:
    connection = three(post)
    post.mailbox.faults[2] = fault

    poll(connection)

    rows = list(Delivery.objects.order_by("pk"))
    assert len(rows) == 3
    assert rows[1].payload["notes"]
    assert [row.payload["text"] for row in rows] == ["text 1", "", "text 3"]
    assert rows[1].event == ("mail.unreadable" if fault == "no" else "mail.received")


@pytest.mark.parametrize("fault", ["cut", "endless"])
def test_a_mail_that_breaks_the_line_again_and_again_is_left_behind(post: World, fault: str) -> None:
    connection = three(post)
    post.mailbox.faults[2] = fault

    poll(connection)
    poll(connection)

    rows = list(Delivery.objects.order_by("pk"))
    assert [row.event for row in rows] == ["mail.received", "mail.unreadable", "mail.received"]
    assert rows[1].payload["uid"] == 2
    assert rows[1].payload["notes"]


def test_a_line_that_breaks_at_every_mail_loses_none(post: World) -> None:
    connection = three(post)
    post.mailbox.faults.update({2: "cut", 3: "cut"})
    poll(connection)

    with pytest.raises(Unanswered):
        ask(connection)
    post.mailbox.faults.clear()
    poll(connection)

    assert subjects() == ["number 1", "number 2", "number 3"]


def test_a_mail_that_is_gone_in_between_is_no_loss(post: World) -> None:
    connection = three(post)
    post.mailbox.faults[2] = "gone"

    poll(connection)

    assert subjects() == ["number 1", "number 3"]


def test_mails_that_are_gone_keep_nobody_waiting(post: World) -> None:
    connection = three(post)
    Connection.objects.filter(pk=connection.pk).update(config={**connection.config, "most_mails": 1})
    post.mailbox.faults.update({1: "unlisted", 2: "unlisted"})

    poll(connection)

    assert subjects() == ["number 3"]


def test_a_mail_whose_size_is_not_said_is_taken(post: World) -> None:
    connection = three(post)
    post.mailbox.faults[2] = "unsized"

    poll(connection)

    assert subjects() == ["number 1", "number 2", "number 3"]


def test_a_short_mail_may_come_between_quotes(post: World) -> None:
    connection = three(post)
    post.mailbox.faults[1] = "quoted"

    poll(connection)

    assert Delivery.objects.count() == 3


def test_a_size_that_is_not_the_true_one_is_found_out(post: World, settings: Any) -> None:
    settings.OUTBOUND_MAX_BYTES = 50_000
    connection = post.connect()
    post.deliver("x" * 60_000, subject="a liar")
    post.mailbox.size_said[1] = 10

    poll(connection)

    payload = Delivery.objects.get().payload
    assert (payload["subject"], payload["text"]) == ("a liar", "")
