"""One text from an address that a person typed: asked for once, signed in as nobody, followed nowhere."""

from urllib.parse import urljoin, urlsplit

from connectors.base import Refused, Unanswered
from connectors.transport import Http, Reply

ACCEPT = "application/json, application/yaml, text/yaml, text/plain;q=0.8, */*;q=0.5"
_INSTEAD = "Download it and choose its file instead."
_USUAL = "Documents often lie at /openapi.json, /openapi.yaml or /v3/api-docs."


def fetched(http: Http, url: str) -> str:
    """Return the text that lies at ``url``. Raises ``ConnectorError`` saying what to do; no body is quoted."""
    host = host_of(url)
    try:
        reply = http.send("GET", url, headers={"Accept": ACCEPT})
    except Unanswered as lost:
        raise Refused(f"{lost} {_INSTEAD}", status=lost.status, code=lost.code) from None
    if said := _wrong(reply, url, host):
        raise Refused(said, status=reply.status, code="document")
    try:
        return reply.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(f"What lies at {host} is no text in UTF-8. {_INSTEAD}", status=200, code="document") from None


def _wrong(reply: Reply, url: str, host: str) -> str:
    """Say why an answer holds no document, and what to do; blank where it may."""
    status = reply.status
    if 300 <= status < 400:
        there = _elsewhere(url, reply.headers.get("location", ""))
        return f"{host} sends on to {there}, which is not followed. If that is right, enter that address."
    if status in (401, 403, 407):
        return f"{host} wants somebody to sign in ({status}), and no secret is sent for a document. {_INSTEAD}"
    if status in (404, 410):
        return f"{host} has nothing at this address ({status}). {_USUAL}"
    if status != 200:
        return f"{host} answered with {status}. Try again later, or download it and choose its file."
    if reply.is_page:
        return f"{host} answered with a web page. Enter the address of the document itself. {_USUAL}"
    return "" if reply.body.strip() else f"{host} answered with nothing. Check the address."


def _elsewhere(url: str, location: str) -> str:
    """Return where an answer sends on to, without what may be a secret in its query."""
    try:
        parts = urlsplit(urljoin(url, location[:2000]))
        there = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:200]
    except ValueError:
        there = ""
    return there if location and there.isprintable() else "another address"


def host_of(url: str) -> str:
    """Return the host that an address names, with its port."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()
