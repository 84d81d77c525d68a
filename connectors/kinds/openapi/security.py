"""Who signs in, and how: the alternatives of ``security`` (or, and, anonymous) against what a connection can show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.kinds.openapi.documents import Document
from connectors.kinds.openapi.parameters import OWN_HEADERS, is_token
from connectors.kinds.openapi.reading import Unusable

KEYS = ("api_key", "second_api_key")
BASIC, BEARER, CLIENT = "basic", "bearer", "client_credentials"
PASSWORD, TOKEN, CLIENT_SECRET = "password", "token", "client_secret"


@dataclass(frozen=True)
class Proof:
    """One thing that a request shows: a key in a header or query, a password, a token."""

    scheme: str
    way: str  # header, query, basic, bearer or client_credentials
    name: str = ""  # of the header or query parameter
    secret: str = ""  # which of the connection's secrets
    scopes: tuple[str, ...] = ()


def proofs_of(document: Document, name: str, security: Any, wanted: tuple[str, ...]) -> tuple[Proof, ...]:
    """Return what an operation's requests show; none where it may be called by anybody.

    ``wanted``: the schemes that the admin chose; empty: the first alternative that can be shown is taken.
    Raises ``Unusable`` where no alternative is left, saying why each is not.
    """
    if not security:
        return ()
    if not isinstance(security, list):
        raise Unusable(f"{name}: “security” is no list: mend the document.")
    reasons: list[str] = []
    for alternative in security:
        names = tuple(alternative) if isinstance(alternative, dict) else ()
        if wanted and names and not set(names) <= set(wanted):
            reasons.append(f"{' and '.join(names)}: not among the schemes that were chosen")
            continue
        if wanted and not names and len(security) > 1:
            continue  # Who signs in is not anonymous where both are allowed.
        try:
            return _shown(document, dict.fromkeys(names) | dict(alternative), wanted)
        except Unusable as refused:
            reasons.append(f"{' and '.join(names)}: {refused}")
    if any(alternative == {} for alternative in security):
        return ()
    raise Unusable(f"{name} cannot be signed in to. {'; '.join(reasons)[:900]}.")


def _shown(document: Document, alternative: Mapping[str, Any], wanted: tuple[str, ...]) -> tuple[Proof, ...]:
    schemes = document.mapping(document.mapping(document.whole.get("components")).get("securitySchemes"))
    keys = [one for one in (wanted or schemes) if document.mapping(schemes.get(one)).get("type") == "apiKey"]
    if not wanted:
        # Of the keys of this alternative alone: the others are other ways in.
        keys = [one for one in keys if one in alternative]
    found = tuple(
        _proof(document.mapping(schemes.get(name)), name, keys, scopes) for name, scopes in alternative.items()
    )
    if sum(proof.way in (BASIC, BEARER, CLIENT) for proof in found) > 1:
        raise Unusable("it wants two things in the header Authorization at once, which HTTP does not know")
    return found


def _proof(scheme: Mapping[str, Any], name: str, keys: list[str], scopes: Any) -> Proof:
    kind = str(scheme.get("type") or "")
    if kind == "apiKey":
        place, header = scheme.get("in"), str(scheme.get("name") or "")
        if place not in ("header", "query") or not header:
            raise Unusable(f"a key in a {str(place)[:20]} is not sent; ask for one in a header or query")
        if place == "header" and (header.lower() in OWN_HEADERS or not is_token(header)):
            raise Unusable(f"the header {header[:40]} cannot be set from here")
        if keys.index(name) >= len(KEYS):
            raise Unusable("it wants more than two keys")
        return Proof(name, str(place), header, KEYS[keys.index(name)])
    if kind == "http" and str(scheme.get("scheme")).lower() == "basic":
        return Proof(name, BASIC, secret=PASSWORD)
    if kind == "http" and str(scheme.get("scheme")).lower() == "bearer":
        return Proof(name, BEARER, secret=TOKEN)
    flows = scheme.get("flows")
    if kind == "oauth2" and isinstance(flows, dict) and isinstance(flows.get("clientCredentials"), dict):
        wanted = tuple(str(one) for one in scopes) if isinstance(scopes, list) else ()
        return Proof(name, CLIENT, secret=CLIENT_SECRET, scopes=wanted)
    if kind == "oauth2":
        told = ", ".join(flows) if isinstance(flows, dict) else "nothing"
        raise Unusable(f"it signs people in ({told[:80]}); a service needs client credentials, a key or a token")
    said = f"{kind} {scheme.get('scheme') or ''}".strip()[:60] or "a scheme that the document does not define"
    raise Unusable(f"{said} is not supported; use a key, Basic, a bearer token or OAuth client credentials")


def token_urls(document: Document) -> list[str]:
    """Return the token addresses that the document names: to be shown, never to be used unasked."""
    schemes = document.mapping(document.mapping(document.whole.get("components")).get("securitySchemes"))
    found = []
    for scheme in schemes.values():
        flow = document.mapping(document.mapping(document.mapping(scheme).get("flows")).get("clientCredentials"))
        if isinstance(flow.get("tokenUrl"), str):
            found.append(flow["tokenUrl"][:300])
    return found
