"""REST APIs are called as their document says: who signs in, where to, how lists go on, what an answer is worth."""

from typing import Any

import httpx
import pytest

from audit.errors import Invalid
from connectors import gateway
from connectors.base import Blocked, ConnectorError, Locked, NotFound, RateLimited, Refused, Unanswered, Unauthorized
from connectors.kinds.openapi.answers import same_origin
from connectors.models import Call, Connection
from tests.connectors.factories import SECRET, Played
from tests.connectors.openapi_world import HOST, document, make_api, operation, parameter

ROW = {"type": "object", "properties": {"id": {"type": "string"}}}
LIST = operation(
    answer={"type": "object", "properties": {"items": {"type": "array", "items": ROW}}}, operationId="listRows"
)
ONE = operation(parameter("id", "path"), answer=ROW, operationId="getRow")
SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "other": {"type": "apiKey", "in": "header", "name": "X-App"},
    "asked": {"type": "apiKey", "in": "query", "name": "api_key"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
    "basic": {"type": "http", "scheme": "basic"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "digest": {"type": "http", "scheme": "digest"},
    "oauth": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://evil.test/token", "scopes": {}}}},
    "people": {"type": "oauth2", "flows": {"authorizationCode": {"scopes": {}}}},
    "discovered": {"type": "openIdConnect", "openIdConnectUrl": "https://evil.test/"},
}
SECRETS = {name: f"{SECRET}-{name}" for name in ("api_key", "second_api_key", "password", "token", "client_secret")}


def make(security: Any = None, one: Any = LIST, path: str = "/rows", **changes: Any) -> Connection:
    more = {"security": security} if security is not None else {}
    text = document({path: {"get": one}}, components={"securitySchemes": SCHEMES}, **more)
    name = "row.get" if one is ONE else "rows.list"
    config = {"chosen": [name], "user": "goldseam", **changes.pop("config", {})}
    return make_api(text, config=config, secrets=changes.pop("secrets", SECRETS), **changes)


def ask(connection: Connection, name: str = "rows.list", **arguments: Any) -> list[Any]:
    return gateway.call(connection, name, arguments, actor="test").records


# --- who signs in ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("security", "chosen", "shown"),
    [
        ([{"key": []}], "", {"x-key": SECRETS["api_key"]}),
        ([{"key": [], "other": []}], "", {"x-key": SECRETS["api_key"], "x-app": SECRETS["second_api_key"]}),
        ([{"key": [], "other": []}], "other, key", {"x-key": SECRETS["second_api_key"], "x-app": SECRETS["api_key"]}),
        ([{"basic": []}], "", {"authorization": "Basic Z29sZHNlYW06c2VzYW1lLW9wZW4tdXAtcGxlYXNlLXBhc3N3b3Jk"}),
        ([{"bearer": []}], "", {"authorization": f"Bearer {SECRETS['token']}"}),
        ([{"people": []}, {"bearer": []}], "", {"authorization": f"Bearer {SECRETS['token']}"}),
        ([{"key": []}, {"bearer": []}], "bearer", {"authorization": f"Bearer {SECRETS['token']}"}),
        ([{"key": []}, {"bearer": []}], "", {"x-key": SECRETS["api_key"]}),
        ([{"people": []}, {}], "", {}),
        ([], "", {}),
    ],
)
def test_one_alternative_is_shown_whole_and_nothing_of_the_others(
    db: None, played: Played, security: Any, chosen: str, shown: dict[str, str]
) -> None:
    played.on("GET", "/rows", httpx.Response(200, json={"items": [{"id": "1"}]}))

    ask(make(security, config={"sign_in": chosen}))

    sent = played.requests[0].headers
    assert {name: sent[name] for name in ("x-key", "x-app", "authorization") if name in sent} == shown


def test_a_key_in_the_query_is_sent_and_kept_out_of_the_log(db: None, played: Played) -> None:
    played.on("GET", "/rows", httpx.Response(400, json={"message": f"bad key {SECRETS['api_key']}"}))

    with pytest.raises(Refused) as refused:
        ask(make([{"asked": []}]))

    assert played.requests[0].url.params["api_key"] == SECRETS["api_key"]
    assert SECRET not in f"{refused.value} {[vars(row) for row in Call.objects.all()]}"


@pytest.mark.parametrize(
    ("security", "said"),
    [
        ([{"cookie": []}], "key in a cookie is not sent"),
        ([{"digest": []}], "http digest is not supported"),
        ([{"people": []}], "signs people in"),
        ([{"discovered": []}], "openIdConnect is not supported"),
        ([{"basic": [], "bearer": []}], "two things in the header Authorization"),
        ([{"unknown": []}], "does not define"),
        ([{"oauth": []}], "The document names https://evil.test/token"),
        ("key", "is no list"),
    ],
)
def test_what_cannot_be_shown_is_refused_at_the_form_with_what_to_do(db: None, security: Any, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        make(security)

    assert said in refused.value.errors["declarations"][0]


def test_the_token_is_fetched_where_the_admin_said_and_renewed_once(db: None, played: Played) -> None:
    config = {"token_url": "https://login.contoso.test/token", "client_id": "goldseam", "scope": "rows"}
    connection = make([{"oauth": []}], config=config)
    answers = [httpx.Response(401), httpx.Response(200, json={"items": [{"id": "1"}]})]
    played.on("GET", "/rows", lambda request: answers.pop(0))

    records = ask(connection)

    hosts = [request.url.host for request in played.requests]
    assert hosts == ["login.contoso.test", "orders.contoso.test", "login.contoso.test", "orders.contoso.test"]
    assert [record.key for record in records] == ["1"]
    assert SECRETS["client_secret"] not in str([request.headers for request in played.requests])


def test_a_secret_that_is_not_set_is_asked_for_and_nothing_is_sent(db: None, played: Played) -> None:
    with pytest.raises(Blocked, match="secret api_key"):
        ask(make([{"key": []}], secrets={}))

    assert played.requests == []


# --- lists -----------------------------------------------------------------------------------------
def pages(played: Played, *answers: httpx.Response) -> None:
    left = list(answers)
    played.on("GET", "/rows", lambda request: left.pop(0))


def page(*keys: str, link: str = "", **more: Any) -> httpx.Response:
    body = {"items": [{"id": key} for key in keys], **more}
    return httpx.Response(200, json=body, headers={"Link": link} if link else {})


@pytest.mark.parametrize(
    ("first", "declared", "query"),
    [
        (page("1", link='<https://orders.contoso.test/rows?page=2>; rel="next"'), "", "page=2"),
        (page("1", link='</rows?page=2>; rel="prev next", </rows?page=9>; rel=last'), "", "page=2"),
        (page("1", next="/rows?after=1"), "", "after=1"),
        (page("1", **{"@odata.nextLink": "rows?$skip=1"}), "", "$skip=1"),
        (page("1", meta={"more": "abc"}), "{next: meta.more, cursor: cursor}", "cursor=abc"),
        (page("1"), "{page: page, size: per, rows: 1}", "page=2&per=1"),
        (page("1"), "{offset: skip, rows: 1}", "skip=1"),
    ],
)
def test_a_list_is_followed_to_its_end(
    db: None, played: Played, first: httpx.Response, declared: str, query: str
) -> None:
    connection = make(config={"declarations": f"rows.list: {{paging: {declared}}}"} if declared else {})
    pages(played, first, page("2"), page())

    assert [record.key for record in ask(connection)] == ["1", "2"]
    assert played.requests[1].url.query.decode() == query


@pytest.mark.parametrize(
    "link",
    ["https://evil.test/rows?page=2", "//evil.test/rows", "http://orders.contoso.test/rows?x", "https://a@orders.contoso.test/rows",
     "https://orders.contoso.test:444/rows?x", "https://orders.contoso.test.evil.test/rows?x"],
)  # fmt: skip
def test_a_list_that_goes_on_elsewhere_is_not_followed_and_no_secret_leaves(
    db: None, played: Played, link: str
) -> None:
    pages(played, page("1", next=link), page("2"))

    with pytest.raises(Unanswered, match="not followed"):
        ask(make([{"bearer": []}]))

    assert [request.url.host for request in played.requests] == ["orders.contoso.test"]


@pytest.mark.parametrize(
    "link", ["/other", "../../other", "/apis/rows", "/api/../other", "/api/a\\b", "https://h/api/" + "x" * 4000]
)
def test_a_list_stays_below_the_base_path_too(link: str) -> None:
    with pytest.raises(Unanswered, match="not followed"):
        same_origin("https://h/api", "https://h/api/rows", link, "It")

    assert same_origin("https://h/api", "https://h/api/rows", "?page=2#x", "It") == "https://h/api/rows?page=2"


def test_a_list_without_end_is_given_up(db: None, played: Played) -> None:
    count = iter(range(100))
    played.on("GET", "/rows", lambda request: page("x", next=f"/rows?n={next(count)}"))

    with pytest.raises(Unanswered, match="more than 20 pages"):
        ask(make())
    pages(played, page("1", next="/rows?a=1"), page("2", next="/rows?a=1"))
    with pytest.raises(Unanswered, match="same page"):
        ask(make(slug="again"))


# --- answers ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (httpx.Response(200, html="<html>login</html>"), Unanswered, "web page"),
        (httpx.Response(200, json={"items": 7}), Unanswered, "no records"),
        (httpx.Response(204), Unanswered, ""),
        (httpx.Response(400, json={"title": "Bad", "detail": "No such colour"}), Refused, "Bad; No such colour"),
        (httpx.Response(422, json={"errors": [{"message": "too long"}]}), Refused, "too long"),
        (httpx.Response(403, json={"error": {"message": {"value": "no right"}}}), Refused, "no right"),
        (httpx.Response(401), Unauthorized, ""),
        (httpx.Response(408), Unanswered, ""),
        (httpx.Response(423), Locked, ""),
        (httpx.Response(425), RateLimited, ""),
        (httpx.Response(429, headers={"Retry-After": "7"}), RateLimited, ""),
        (httpx.Response(503, headers={"Retry-After": "7"}), RateLimited, ""),
        (httpx.Response(500), Unanswered, ""),
        (httpx.Response(501), Refused, ""),
        (httpx.Response(302, headers={"Location": "https://evil.test"}), Refused, "redirects are not followed"),
    ],
)
def test_each_answer_becomes_an_exact_failure(
    db: None, played: Played, answer: httpx.Response, error: type[ConnectorError], said: str
) -> None:
    played.on("GET", "/rows", answer)

    with pytest.raises(error, match=said or ".") as raised:
        ask(make())

    assert type(raised.value) is error
    assert len(played.requests) == 1


def test_a_pause_as_a_date_is_kept(db: None, played: Played) -> None:
    connection = make()
    played.on("GET", "/rows", httpx.Response(429, headers={"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"}))

    with pytest.raises(RateLimited) as raised:
        ask(connection)
    with pytest.raises(Blocked):
        ask(connection)

    assert raised.value.retry_after == 86_400
    assert len(played.requests) == 1


def test_a_list_at_a_wrong_path_is_not_an_empty_list(db: None, played: Played) -> None:
    with pytest.raises(NotFound):
        ask(make(config={"base_url": f"{HOST}/wrong/"}))


def test_another_record_than_the_one_asked_for_is_not_believed(db: None, played: Played) -> None:
    connection = make(one=ONE, path="/rows/{id}")
    played.on("GET", "/rows/1", httpx.Response(200, json={"id": "2"}))

    with pytest.raises(Unanswered, match="another"):
        ask(connection, "row.get", id="1")


def test_a_record_has_its_etag_its_key_and_what_stands_inside_it(db: None, played: Played) -> None:
    connection = make(one=ONE, path="/rows/{id}")
    body = {"id": "1", "address": {"city": "Bonn"}}
    played.on("GET", "/rows/1", httpx.Response(200, json=body, headers={"ETag": 'W/"7"'}))

    record = ask(connection, "row.get", id="1")[0]

    assert (record.key, record.version, record.entity) == ("1", 'W/"7"', "rows")
    assert record.fields["address.city"] == "Bonn"
    assert ask(connection, "row.get", id="9") == []


def test_the_connection_test_says_what_it_called(db: None, played: Played) -> None:
    played.on("GET", "/rows", page("1"))
    connection = make([{"key": []}])

    health = gateway.check(connection, actor="test")

    assert (health.ok, health.tried) == (True, (f"GET {HOST}/rows",))
    played.on("GET", "/rows", httpx.Response(401))
    assert not gateway.check(connection, actor="test").ok
