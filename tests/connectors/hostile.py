"""What hostile senders send: the tests hold that it is refused or cut down, the benchmarks what it costs."""

import gzip
import zlib
from typing import Any

from django.test import Client

from connectors.kinds.openapi.documents import Document
from connectors.kinds.openapi.endpoints import Endpoint, endpoint
from connectors.kinds.openapi.reading import MOST_VALUES
from tests.connectors.factories import HOOK_SECRET
from tests.connectors.mail_world import letter
from tests.connectors.openapi_world import document, operation

# --- bodies at hooks: of one, and which system's hook it is thrown at ------------------------------
LIMIT = 5 * 1024 * 1024
LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))
BOMBS = {
    "entities": f"<!DOCTYPE a [<!ENTITY l0 'ha'>{LAUGHS}]><a>&l11;</a>".encode(),
    "outside": b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><a>&x;</a>",
    "parameters": b"<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://elsewhere.test/x'> %x;]><a/>",
    "flat xml": b"<a>" + b"<b/>" * ((LIMIT - 10) // 4) + b"</a>",
    "deep xml": b"<a>" * (LIMIT // 3),
    "attributes": b"<a " + b" ".join(b'b%d="1"' % number for number in range(300_000)) + b"/>",
    "deep lists": b"[" * LIMIT,
    "closed lists": b"[" * (LIMIT // 2) + b"]" * (LIMIT // 2),
    "deep objects": b'{"a":' * (LIMIT // 5),
    "flat lists": b"[" + b"[]," * ((LIMIT - 10) // 3) + b"[]]",
    "a long number": b"[" + b"9" * (LIMIT - 10) + b"]",
    "gzip": gzip.compress(b"0" * 10_000_000),
    "zlib": zlib.compress(b"0" * 10_000_000),
    "nothing": b"\x00" * LIMIT,
}


HIT = [("crm", bomb) for bomb in BOMBS]
HIT += [("fo", bomb) for bomb in ("closed lists", "flat lists", "gzip", "flat xml")]
HIT += [("sap", bomb) for bomb in ("entities", "flat xml", "deep xml", "flat lists")]


def thrown(slug: str, bomb: str) -> int:
    """Throw a bomb at a connection's hook, with the right secret, and return the status."""
    path = f"/api/v1/hooks/{slug}/{HOOK_SECRET}/"
    return int(Client().post(path, BOMBS[bomb], content_type="application/octet-stream").status_code)


# --- mails -----------------------------------------------------------------------------------------
MANY = 1_000_000
MAILS = [
    letter(to="a@b.test," * (MANY // 9)),
    letter(to="(" * MANY),
    letter(to='"' * MANY),
    letter(to="a:" * (MANY // 2)),
    letter(subject="=?utf-8?q?a?= " * (MANY // 14)),
    letter(references="<a@b>" * (MANY // 5)),
    letter(authentication_results="a;" * (MANY // 2)),
    letter(content_type="text/plain; " + "a=b;" * (MANY // 4)),
    letter(content_type="(" * MANY),
    letter(content_disposition='attachment; filename="' + "\\" * MANY),
    letter("<" * MANY, content_type="text/html"),
    letter("<!--" * (MANY // 4), content_type="text/html"),
    letter("&#" * (MANY // 2), content_type="text/html"),
    letter("a-b" * (MANY // 3), content_type="text/plain; charset=punycode"),
    letter("====\n" * (MANY // 5), content_transfer_encoding="base64"),
    letter("begin 644 x\n" + "M\n" * (MANY // 2), content_transfer_encoding="x-uuencode"),
    letter("--b\n\nx\n" * (MANY // 7), content_type="multipart/mixed; boundary=b"),
    b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(190))
    + b"\r\nx" * (MANY // 3),
    b"Content-Type: message/rfc822\r\n\r\n" * 20_000,
    b"X: y\r\n" * (MANY // 6),
    b"\r\n" * (MANY // 2),
]

# --- texts in which records are looked for ---------------------------------------------------------
PATTERNS = "order: SO-######\ninvoice: INV-#+\ncase: CAS-@+-#####\nmaterial: @@####"
SHAPES = "\n".join([*PATTERNS.splitlines(), *(f"type{n}: @+-#+/@+-#+.@+:#+" for n in range(16))])
TEXTS = {
    "one long word": "a" * 20_000,
    "one long number": "1" * 20_000,
    "beginnings": "SO-" * 7_000,
    "almost numbers": "SO-00069 " * 2_500,
    "dashes": "-" * 20_000,
    "letters and dashes": "a-" * 10_000,
    "runs that end wrongly": "INV-11111111111111111111x " * 800,
    "wide letters": "\uff33\uff2f\uff0d" * 6_000,
    "invisible letters": "S\u200bO\u200b-\u200b" * 3_000,
}


# --- documents of REST APIs ------------------------------------------------------------------------
def nested(depth: int) -> str:
    """JSON of so many objects in each other."""
    return '{"a":' * depth + "1" + "}" * depth


def _laughs() -> str:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for one, other in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{other}: &{other} [{','.join([f'*{one}'] * 9)}]")
    return "\n".join(lines)


LAUGHS = _laughs()
# A text, and what its refusal says.
DOCUMENTS = [
    ("", "empty"),
    ("{", "not JSON"),
    ('{"a": 1, "a": 2}', "twice"),
    ("a: 1\na: 2", "twice"),
    ("a: &a [*a]", "alias"),
    ("<<: {a: 1}", "merges"),
    ("a: !!python/object/apply:os.system [ls]", "tag"),
    ("!!python/object:x {}", "tag"),
    ("a: b: c", "neither JSON nor YAML"),
    ("--- 1\n--- 2", "several"),
    ('{"a": NaN}', "no JSON number"),
    ('{"a": ' + "9" * 50 + "}", "digits"),
    ('{"a": "\x00"}', "NUL"),
    (nested(70), "nested"),
    (nested(9999), "nested"),
    ("- " * 100 + "x", "nested"),
    (LAUGHS, "60,000"),
    ("\n".join(f"k{number}: 1" for number in range(61_000)), "60,000"),
    ("[" + "1," * (MOST_VALUES + 1) + "1]", "1,000,000"),
    ('"' + "x" * 16_100_000 + '"', "bytes"),
]


def _many(name: str) -> dict[str, Any]:
    """A schema put together of fifty times another."""
    return {"allOf": [{"$ref": f"#/components/schemas/{name}"}] * 50}


SCHEMAS: list[dict[str, Any]] = [
    {"Node": {"allOf": [{"$ref": "#/components/schemas/Node"}]}},
    {"Node": {"$ref": "#/components/schemas/Other"}, "Other": {"$ref": "#/components/schemas/Node"}},
    {"Node": {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(301)}}},
    {"Node": {"$ref": "https://evil.test/schema.json"}},
    {"Node": _many("B"), "B": _many("C"), "C": _many("D"), "D": {"allOf": [{"type": "object"}] * 50}},
    {"Node": {"type": "object", "properties": {f"p{number}": {"type": "object", "properties": {
        f"q{other}": {"$ref": "#/components/schemas/Node"} for other in range(20)}} for number in range(20)}}},
]  # fmt: skip


def built(schemas: dict[str, Any]) -> Endpoint:
    """Return the one operation of a document with these schemas, whose body is a ``Node``. Raises ``Unusable``."""
    body = operation(body={"$ref": "#/components/schemas/Node"})
    paths = {"/a": {"post": {"operationId": "doThing", **body}}}
    found = Document(document(paths, components={"schemas": schemas}))
    return endpoint(found, found.offered["thing.do"], "api.contoso.test")


# --- answers of systems that are called ------------------------------------------------------------
ANSWERS = {
    piece: f"[{','.join([piece] * (8_000_000 // (len(piece) + 1)))}]".encode()
    for piece in ("{}", "[]", '{"a":[]}', "1.5")
}
