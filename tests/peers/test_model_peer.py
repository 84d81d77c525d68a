"""Language models against aimock, a stand-in that nobody here wrote. Skipped where it is not installed."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from connectors import actions, gateway
from connectors.base import Blocked, RateLimited, Refused, Unanswered, Unauthorized
from connectors.models import Call, Connection
from connectors.wire import model as modelwire
from incidents.evidence import facts
from playbooks import chooser
from tests.connectors.factories import SECRET
from tests.peers.serving import PACKAGES, needs_node, node, serving
from tests.playbooks.cases import STEP, make_cause, make_freight
from tests.playbooks.world import make_playbook

pytestmark = [pytest.mark.peers, needs_node]
USAGE = {"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99}
LIMIT = {"message": "Rate limit reached.", "type": "tokens", "code": "rate_limit_exceeded"}
QUOTA = {"message": "Check your plan.", "type": "insufficient_quota", "code": "insufficient_quota"}
TOOL = {"type": "function", "function": {"name": "get_order", "parameters": {"type": "object"}, "strict": True}}
CALLED = {"id": "call_7", "type": "function", "function": {"name": "get_order", "arguments": '{"order":"1"}'}}


def on(text: str, response: dict[str, Any], **match: Any) -> dict[str, Any]:
    """What it answers where the last message of a person holds a text."""
    return {"match": {"userMessage": text, **match}, "response": response}


def calling(name: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"toolCalls": [{"id": "call_7", "name": name, "arguments": arguments}], "usage": USAGE, **more}


# The first that fits answers.
SCRIPT = [
    on("word: ready", {"content": "ready", "usage": USAGE}),
    on("order 1 is held", {"content": "It is on credit hold."}, toolCallId="call_7"),
    on("order 1 is held", calling("get_order", {"order": "1"}), toolName="get_order"),
    on("cut short", {"content": "It is", "finishReason": "length", "usage": USAGE}),
    on("too often", {"error": LIMIT, "status": 429}),
    on("too dear", {"error": QUOTA, "status": 429}),
    on("a good choice", calling("waive_freight", {"amount": "90.00"}), toolName="waive_freight"),
    on("a choice of its own", calling("refund_all", {"amount": "1000000.00"}), toolName="waive_freight"),
    on("a value of its own", calling("waive_freight", {"amount": "1000000.00"}), toolName="waive_freight"),
    on("more than was asked", calling("waive_freight", {"approve": True}), toolName="waive_freight"),
    on("half an answer", calling("waive_freight", '{"amount": "90.'), toolName="waive_freight"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The stand-in, until the last test."""
    folder = tmp_path_factory.mktemp("aimock")
    (folder / "script").mkdir()
    (folder / "script" / "answers.json").write_text(json.dumps({"fixtures": SCRIPT}))
    config = {
        "llm": {"fixtures": str(folder / "script"), "logLevel": "silent"},
        "auth": {"apiKeys": [SECRET]},
        "host": "127.0.0.1", "port": 0, "strict": True,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    program = PACKAGES / "@copilotkit" / "aimock" / "dist" / "aimock-cli.js"
    with serving(node(program, "--config", str(folder / "config.json"))) as found:
        yield found


@pytest.fixture
def peer(db: None, address: str, settings: Any) -> Iterator["Peer"]:
    settings.OUTBOUND_ALLOW = [address.removeprefix("http://")]
    peer = Peer(address)
    peer.control("POST", "reset/journal")
    yield peer
    peer.control("DELETE", "chaos")
    modelwire.close_all()


class Peer:
    """The stand-in: connections to it, and what it was asked."""

    def __init__(self, address: str) -> None:
        self.address = address

    def control(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {SECRET}"}
        reply = httpx.request(method, f"{self.address}/__aimock/{path}", headers=headers, **options)
        return reply.raise_for_status().json() if reply.content else None

    def connection(self, service: str = "openai", *, key: str = SECRET, **more: str) -> Connection:
        root = f"{self.address}/v1" if service == "openai" else self.address
        config = {"service": service, "base_url": root, "model": "small", **more}
        return actions.create_connection("ai", "openai", actor="test", secrets={"api_key": key}, config=config)

    @property
    def asked(self) -> list[dict[str, Any]]:
        return list(self.control("GET", "journal"))


def ask(connection: Connection, text: str, *more: dict[str, Any], **changes: Any) -> gateway.Answer:
    arguments = {"messages": [{"role": "user", "content": text}, *more], **changes}
    return gateway.call(connection, "chat.complete", arguments, actor="system:loop")


@pytest.mark.parametrize(
    ("service", "path", "header"),
    [
        ("openai", "/v1/chat/completions", "authorization"),
        ("azure", "/openai/deployments/small/chat/completions?api-version=2024-10-21", "api-key"),
        ("azure_v1", "/openai/v1/chat/completions", "api-key"),
    ],
)
def test_each_way_of_addressing_a_model_is_understood(peer: Peer, service: str, path: str, header: str) -> None:
    health = gateway.check(peer.connection(service), actor="test")

    assert health.ok
    assert "small answered" in health.message
    (entry,) = peer.asked
    assert (entry["path"], entry["response"]["status"]) == (path, 200)
    assert header in entry["headers"]
    assert entry["body"]["store"] is False


@pytest.mark.parametrize("service", ["openai", "azure", "azure_v1"])
def test_a_function_is_asked_for_and_its_result_taken_back(peer: Peer, service: str) -> None:
    connection = peer.connection(service)

    first = ask(connection, "Why: order 1 is held", tools=[TOOL], tool_choice="required").records[0].fields
    result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": '{"hold": "credit"}'}
    assistant = {"role": "assistant", "content": None, "tool_calls": [CALLED]}
    second = ask(connection, "Why: order 1 is held", assistant, result, tools=[TOOL]).records[0].fields

    assert first["tool_calls"] == [{"id": "call_7", "name": "get_order", "arguments": '{"order":"1"}'}]
    assert (first["finish_reason"], first["content"]) == ("tool_calls", None)
    assert (second["finish_reason"], second["content"]) == ("stop", "It is on credit hold.")
    assert [message["role"] for message in peer.asked[-1]["body"]["messages"]] == ["user", "assistant", "tool"]


def test_what_was_used_is_counted_and_the_request_can_be_named(peer: Peer) -> None:
    connection = peer.connection()

    answer = ask(connection, "Why: order 1 is held", tools=[TOOL])

    call = Call.objects.get(pk=answer.call.pk)
    (entry,) = peer.asked
    assert (call.tokens, call.status, answer.records[0].fields["usage"]) == (99, 200, USAGE)
    assert call.request_id == entry["headers"]["x-request-id"]
    assert "order 1" not in str(call.__dict__)


def test_an_answer_that_was_cut_short_says_so(peer: Peer) -> None:
    fields = ask(peer.connection(), "Say it cut short").records[0].fields

    assert (fields["finish_reason"], fields["content"]) == ("length", "It is")


def test_too_many_requests_are_waited_for_and_nothing_is_sent_meanwhile(peer: Peer) -> None:
    connection = peer.connection()

    with pytest.raises(RateLimited) as limited:
        ask(connection, "I ask too often")
    with pytest.raises(Blocked) as held:
        ask(connection, "word: ready")

    assert (limited.value.status, limited.value.code, limited.value.retry_after) == (429, "rate_limit_exceeded", 1.0)
    assert held.value.code == "not_before"
    assert [entry["response"]["status"] for entry in peer.asked] == [429]


def test_a_spent_quota_is_final(peer: Peer) -> None:
    with pytest.raises(Refused, match="spending limit") as refused:
        ask(peer.connection(), "This is too dear")

    assert (refused.value.code, len(peer.asked)) == ("insufficient_quota", 1)


@pytest.mark.parametrize("service", ["openai", "azure", "azure_v1"])
def test_a_wrong_key_is_told(peer: Peer, service: str) -> None:
    wrong = peer.connection(service, key="not-the-key")

    with pytest.raises(Unauthorized) as refused:
        ask(wrong, "word: ready")

    assert refused.value.status == 401
    assert "not-the-key" not in str(refused.value)


@pytest.mark.parametrize("trouble", ["dropRate", "malformedRate", "disconnectRate"])
def test_its_bad_days_become_an_unknown_outcome_after_one_request(peer: Peer, trouble: str) -> None:
    connection = peer.connection()
    peer.control("POST", "chaos", json={trouble: 1})

    with pytest.raises(Unanswered):
        ask(connection, "word: ready")

    assert len(peer.asked) == 1


def test_what_it_has_no_answer_for_is_an_unknown_outcome(peer: Peer) -> None:
    with pytest.raises(Unanswered) as unanswered:
        ask(peer.connection(), "Nobody wrote an answer to this")

    assert (unanswered.value.status, len(peer.asked)) == (503, 1)


# --- what a playbook is chosen by ------------------------------------------------------------------


def chosen(statement: str) -> chooser.Choice:
    """Choose between two playbooks, where the evidence holds a statement."""
    incident = make_freight()
    cause = make_cause(incident)
    cause.statements.create(number=1, text=statement, grade="observed", verdict="holds")
    slots = {"amount": {"values": ["84.00", "90.00"], "default": "'84.00'"}}
    versions = [make_playbook([STEP], slug=slug, slots=slots) for slug in ("correct-freight", "waive-freight")]
    return chooser.choose(incident, cause, versions, facts(incident))


@pytest.mark.parametrize("service", ["openai", "azure", "azure_v1"])
def test_a_choice_among_what_was_offered_is_taken(peer: Peer, service: str) -> None:
    peer.connection(service)

    choice = chosen("This asks for a good choice.")

    assert (choice.playbook, choice.slots, choice.author) == ("waive-freight", {"amount": "90.00"}, "model small")
    (entry,) = peer.asked
    functions = [tool["function"] for tool in entry["body"]["tools"]]
    assert [function["name"] for function in functions] == ["correct_freight", "waive_freight"]
    assert all(function["strict"] for function in functions)
    assert Call.objects.get(operation="chat.complete").tokens == 99


@pytest.mark.parametrize(
    "statement",
    [
        "This asks for a choice of its own.",
        "This asks for a value of its own.",
        "This asks for more than was asked.",
        "This asks for half an answer.",
        "This is too dear.",
        "I ask too often.",
    ],
)
def test_whatever_else_it_answers_the_built_in_choice_stands(peer: Peer, statement: str) -> None:
    peer.connection()

    choice = chosen(statement)

    assert (choice.playbook, choice.slots, choice.author) == ("correct-freight", {"amount": "84.00"}, chooser.BUILT_IN)
    assert choice.proposal["refused"]
    assert len(peer.asked) == 1


@pytest.mark.parametrize(("service", "path"), [("openai", "/v1/responses"), ("azure_v1", "/openai/v1/responses")])
def test_responses_ask_for_a_function_and_take_its_result_back(peer: Peer, service: str, path: str) -> None:
    connection = peer.connection(service, interface="responses")

    first = ask(connection, "Why: order 1 is held", tools=[TOOL], tool_choice="required").records[0].fields
    assert first["tool_calls"] == [{"id": "call_7", "name": "get_order", "arguments": '{"order":"1"}'}]
    assert (first["finish_reason"], first["usage"]["total_tokens"]) == ("tool_calls", 99)
    result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": '{"hold": "credit"}'}
    again = ask(connection, "Why: order 1 is held", {"role": "assistant", "tool_calls": [CALLED]}, result, tools=[TOOL])

    assert again.records[0].fields["content"] == "It is on credit hold."
    assert [entry["path"] for entry in peer.asked] == [path, path]
