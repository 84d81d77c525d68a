"""API tokens: how one is made, recognised, and held to its scopes."""

import hashlib
import re
import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.db.models.functions import Now
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from audit import bearers, context
from audit.models import ApiToken

PREFIX = "gs_"
_USED_EVERY = timedelta(minutes=1)
_SCOPE = re.compile(r"read|write|[a-z][a-z-]*:(read|write)")
SCOPES_EXPLAINED = "A scope is read, write, or one part of the API: signals:write, incidents:read, approvals:write …"


def fresh() -> str:
    """Return the text of a new token: 256 random bits behind a prefix that secret scanners can know."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(text: str) -> str:
    """Return what is kept of a token. It is random enough that a plain SHA-256 cannot be turned back."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_scope(text: str) -> bool:
    """Tell whether ``text`` is written like a scope."""
    return bool(_SCOPE.fullmatch(text))


def scope_needed(method: str, path: str) -> str:
    """Return the scope that a call needs: the part of the API it names, and whether it reads or writes."""
    parts = [part for part in path.split("/") if part]
    area = parts[2] if parts[:2] == ["api", "v1"] and len(parts) > 2 else parts[0] if parts else "api"
    return f"{area}:{'read' if method in SAFE_METHODS else 'write'}"


def covers(scopes: list[str], needed: str) -> bool:
    """Tell whether ``scopes`` include ``needed``; no scopes at all mean no narrowing, write includes read."""
    area, _, act = needed.partition(":")
    enough = {needed, act, "write", f"{area}:write"} if act == "read" else {needed, act}
    return not scopes or bool(enough & set(scopes))


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer gs_…``: who the token stands for, and that it may do this."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """Return the user and the token, or ``None`` where no bearer token was sent."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"bearer":
            return None
        if len(words) != 2:
            raise AuthenticationFailed("The header must read: Authorization: Bearer TOKEN.")
        token = self.find(words[1])
        view = request.parser_context.get("view") if request.parser_context else None
        needed = _declared_scope(view, request.method or "GET") or scope_needed(request.method or "GET", request.path)
        if not covers(token.scopes, needed):
            raise PermissionDenied(f"This token lacks the scope {needed}.")
        self.note_use(token)
        context.with_token(token.prefix)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge that turns a missing token into 401 rather than 403."""
        return 'Bearer realm="goldseam"'

    def find(self, raw: bytes) -> ApiToken:
        """Return the standing token with this text. Raises ``AuthenticationFailed`` where there is none."""
        try:
            digest = digest_of(raw.decode("ascii"))
        except UnicodeDecodeError as error:
            raise AuthenticationFailed("This is not a token.") from error
        found = bearers.find(digest)
        if found is None or not found[0].user.is_active:
            raise AuthenticationFailed("Unknown token.")
        token: Any = found[0]
        token.read_at = found[1]
        if token.revoked_at is not None:
            raise AuthenticationFailed("This token was revoked.")
        if token.expires_at is not None and token.expires_at <= token.read_at:
            raise AuthenticationFailed("This token has expired.")
        return token  # type: ignore[no-any-return]

    def note_use(self, token: Any) -> None:
        """Remember that the token is in use, at most once a minute: a write per call would cost more than the call."""
        if token.last_used_at is not None and token.read_at - token.last_used_at < _USED_EVERY:
            return
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=Now() - _USED_EVERY)
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=Now())


def _declared_scope(view: object, method: str) -> str:
    """Return the scope that the view names itself: ``token_scope = "signals:write"`` or ``{"POST": …}``."""
    declared = getattr(view, "token_scope", "")
    return declared.get(method, "") if isinstance(declared, dict) else declared
