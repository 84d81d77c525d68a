"""The simulator's own mailbox: it outlives the process, its ledger is the simulator's, and it fails when asked to."""

import imaplib
import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.simulator.__main__ import arguments, hooks
from connectors.simulator.mail import desk as maildesk
from connectors.simulator.mail import letters
from connectors.simulator.server import RunningSimulator, serve
from connectors.simulator.store import Store
from tests.simulator.bench import Bench

MAIL = {"from": "a@b.test", "subject": "SO-1?", "text": "Where is it?\n", "id": "1@b.test"}
RAW = b"Message-ID: <out-1@contoso.test>\r\nSubject: hello\r\n\r\ntext\r\n"


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Bench]:
    """An empty simulator that serves mail."""
    with serve(tmp_path, business="empty", synchronous="OFF", mail=(0, 0)) as running:
        bench = Bench(running)
        yield bench
        bench.http.close()


def port(running: RunningSimulator, protocol: str) -> int:
    known = running.server.control.mail
    assert known is not None
    return int(known[protocol].rpartition(":")[2])


def inbox(running: RunningSimulator) -> imaplib.IMAP4:
    client = imaplib.IMAP4("127.0.0.1", port(running, "imap"))
    client.login("goldseam", "simulator")
    assert client.select('"INBOX"')[0] == "OK"
    return client


def sent(running: RunningSimulator, *recipients: str, raw: bytes = RAW) -> dict[str, Any]:
    with smtplib.SMTP("127.0.0.1", port(running, "smtp"), "test") as client:
        client.login("goldseam", "simulator")
        return client.sendmail("a@b.test", list(recipients), raw)


def write(post: Bench, **changes: Any) -> httpx.Response:
    return post.http.post("/control/mail", json={**MAIL, **changes})


def mails(post: Bench) -> list[dict[str, Any]]:
    return [row for row in post.effects() if row["system"] == "mail"]


def commands(post: Bench) -> list[dict[str, Any]]:
    return [row for row in post.requests() if row["system"] == "mail"]


def test_a_bare_simulator_serves_no_mail(sim: Bench):
    assert "mail" not in sim.http.get("/control/health").json()
    assert arguments(["--data", "x"]).mail is None


def test_where_mail_is_served_stands_in_its_health(post: Bench):
    known = post.http.get("/control/health").json()["mail"]

    assert known == {
        "imap": f"127.0.0.1:{port(post.simulator, 'imap')}", "smtp": f"127.0.0.1:{port(post.simulator, 'smtp')}"
    }  # fmt: skip


def test_a_port_that_is_taken_is_said_and_nothing_is_left_behind(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]

        with pytest.raises(OSError, match="in use"):
            serve(tmp_path, business="empty", synchronous="OFF", mail=(0, number))


def test_what_somebody_writes_lies_in_the_inbox_and_in_the_ledger(post: Bench):
    assert write(post, verified=True, in_reply_to="0@b.test").json() == {"folder": "INBOX", "uid": 1}

    with inbox(post.simulator) as client:
        raw = client.uid("FETCH", "1", "(BODY.PEEK[])")[1][0][1].decode()

    (effect,) = mails(post)
    assert (effect["entity"], effect["kind"], effect["before"]) == ("Letter", "person", None)
    assert {name: effect["after"][name] for name in ("message_id", "subject", "folder", "uid")} == {
        "message_id": "1@b.test", "subject": "SO-1?", "folder": "INBOX", "uid": 1
    }  # fmt: skip
    assert "Authentication-Results: mx.contoso.test; dmarc=pass header.from=b.test\r\n" in raw
    assert "In-Reply-To: <0@b.test>\r\n" in raw


@pytest.mark.parametrize(
    "wrong",
    [{"from": ""}, {"text": None}, {"id": 7}, {"id": "<1@b.test>"}, {"colour": "red"}, {"subject": "two\nlines"}],
)
def test_a_mail_that_makes_no_sense_is_refused(post: Bench, wrong: dict[str, Any]):
    assert write(post, **wrong).status_code == 400
    assert mails(post) == []


def test_a_mail_that_is_sent_is_one_effect_under_its_message_id(post: Bench):
    assert sent(post.simulator, "x@b.test") == {}

    (effect,) = mails(post)
    assert (effect["entity"], effect["kind"], effect["effect_key"]) == ("Sent", "create", "out-1@contoso.test")
    assert effect["after"]["recipients"] == ["x@b.test"]
    assert effect["after"]["raw"].encode("latin-1") == RAW


def test_a_mail_to_the_mailbox_itself_comes_into_it(post: Bench):
    sent(post.simulator, letters.ADDRESS)

    with inbox(post.simulator) as client:
        assert client.uid("SEARCH", "UID", "1:*") == ("OK", [b"1"])
    assert [row["kind"] for row in mails(post)] == ["create", "side_effect"]


def test_each_command_stands_in_the_ledger_without_its_secret(post: Bench):
    sent(post.simulator, "x@b.test")
    with inbox(post.simulator) as client:
        client.uid("FETCH", "1", "(BODY.PEEK[])")
        client.select('"Nowhere"')

    rows = {(row["method"], row["path"]): (row["status"], row["committed"]) for row in commands(post)}
    assert rows["SMTP", "/mail/DATA"] == (250, True)
    assert rows["SMTP", "/mail/AUTH"] == (235, False)
    assert rows["IMAP", "/mail/LOGIN"] == (200, False)
    assert rows["IMAP", '/mail/SELECT "Nowhere"'] == (409, False)
    assert not any("simulator" in row["path"] and "EHLO" not in row["path"] for row in commands(post))


def test_a_flag_and_a_move_are_effects_too(post: Bench):
    write(post)
    with inbox(post.simulator) as client:
        client.uid("STORE", "1", "+FLAGS", r"(\Seen)")
        client.uid("MOVE", "1", '"Done"')

    assert [(row["kind"], (row["after"] or {}).get("folder")) for row in mails(post)] == [
        ("person", "INBOX"), ("update", "INBOX"), ("create", "Done"), ("delete", None)
    ]  # fmt: skip
    moved = [row["path"] for row in commands(post) if row["committed"]]
    assert moved == [r"/mail/UID STORE 1 +FLAGS (\Seen)", '/mail/UID MOVE 1 "Done"']


def test_it_goes_on_from_what_it_held(tmp_path: Path):
    found = []
    for _ in range(2):
        with serve(tmp_path, business="empty", synchronous="OFF", mail=(0, 0)) as running:
            httpx.post(f"{running.url}/control/mail", json=MAIL, trust_env=False).raise_for_status()
            with inbox(running) as client:
                found.append((client.untagged_responses["UIDVALIDITY"], client.uid("SEARCH", "UID", "1:*")[1]))

    assert found[0][0] == found[1][0]
    assert [uids for _, uids in found] == [[b"1"], [b"1 2"]]


def test_a_reset_empties_it_under_another_uidvalidity(post: Bench):
    write(post)
    with inbox(post.simulator) as client:
        before = client.untagged_responses["UIDVALIDITY"]
    post.http.post("/control/reset", json={"business": "empty"}).raise_for_status()

    with inbox(post.simulator) as client:
        assert client.untagged_responses["UIDVALIDITY"] > before
        assert client.uid("SEARCH", "UID", "1:*") == ("OK", [b""])


def test_what_is_delivered_meanwhile_is_seen_by_who_is_signed_in(post: Bench):
    with inbox(post.simulator) as client:
        write(post)

        assert client.uid("SEARCH", "UID", "1:*") == ("OK", [b"1"])


def test_what_was_not_seen_is_not_taken_away(tmp_path: Path):
    store = Store(tmp_path / "store.sqlite3", synchronous="OFF")
    mailbox = maildesk.KeptMailbox(store, "simulator")
    with store.write() as session:
        letters.deliver(session, RAW)

    mailbox.boxes["INBOX"].next_uid = 2  # as if the counter had been read after the mail came, and the list before
    assert mailbox.keep() is False
    mailbox.refresh()
    del mailbox.boxes["INBOX"].letters[1]
    assert mailbox.keep() is True
    with store.read() as session:
        assert session.records("mail", "Letter") == []
    store.close()


@pytest.mark.parametrize(("fault", "code"), [("503", 451), ("403", 550), ("404", 550), ("fail_before", 451)])
def test_a_recipient_is_turned_away_on_demand(post: Bench, fault: str, code: int):
    post.fault(fault, system="mail", match="RCPT TO:<x@", count=1)

    refused = sent(post.simulator, "x@b.test", "y@b.test")

    assert refused["x@b.test"][0] == code
    assert mails(post)[0]["after"]["recipients"] == ["y@b.test"]


def test_a_sign_in_is_refused_on_demand(post: Bench):
    post.fault("401", system="mail", match="IMAP .*LOGIN")
    client = imaplib.IMAP4("127.0.0.1", port(post.simulator, "imap"))
    with client, pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login("goldseam", "simulator")


@pytest.mark.parametrize(("fault", "kept"), [("reset_before", 0), ("commit_then_reset", 1)])
def test_a_line_breaks_before_or_after_the_mail_was_taken(post: Bench, fault: str, kept: int):
    post.fault(fault, system="mail", match="DATA", count=1)

    with pytest.raises(smtplib.SMTPServerDisconnected):
        sent(post.simulator, "x@b.test")

    assert len(mails(post)) == kept
    (row,) = [row for row in commands(post) if row["path"] == "/mail/DATA"]
    assert (row["fault"], row["committed"], row["status"]) == (fault, bool(kept), None)


def test_an_answer_of_imap_is_lost_on_demand(post: Bench):
    write(post)
    post.fault("commit_then_reset", system="mail", match="MOVE", count=1)
    client = inbox(post.simulator)
    with pytest.raises(imaplib.IMAP4.abort):
        client.uid("MOVE", "1", '"Done"')
    client.shutdown()

    assert [row["kind"] for row in mails(post)] == ["person", "create", "delete"]


def test_ports_stay_the_same_while_they_are_free():
    known = maildesk.free_ports([])

    assert maildesk.free_ports(list(known)) == known
    assert known[0] != known[1]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", known[1]))
        taken.listen()
        assert known[1] not in maildesk.free_ports(list(known))


def test_who_tells_whom_and_where_mail_is_served_is_said_on_the_command_line(capsys: pytest.CaptureFixture[str]):
    given = arguments(["--data", "x", "--tell", "dv", "idoc=sap", "sf=crm", "--mail", "0", "2525"])

    assert hooks(given.tell) == {"dv": "dv", "idoc": "sap", "sf": "crm"}
    assert given.mail == [0, 2525]
    with pytest.raises(SystemExit):
        arguments(["--data", "x", "--tell", "oracle"])
    assert "nothing tells of oracle" in capsys.readouterr().err
