"""Who asks: the API's tokens, also as the password of HTTP Basic, which is what Power BI and Excel can send."""

import base64
import binascii

from django.contrib.auth.models import User
from rest_framework.authentication import get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from audit import context
from audit.models import ApiToken
from audit.tokens import TokenAuthentication, covers

SCOPE = "odata:read"


class FeedAuthentication(TokenAuthentication):
    """``Authorization: Bearer gs_…``, or Basic with the username and the token as password."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """Return the user and the token; ``None`` where neither way was taken."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"basic":
            return super().authenticate(request)
        name, token = _credentials(words[1] if len(words) == 2 else b"")
        found = self.find(token.encode())
        # A token that was typed beside another name is more likely a mistake than meant.
        if name not in ("", found.user.get_username()):
            raise AuthenticationFailed("This token belongs to another user name.")
        if not covers(found.scopes, SCOPE):
            raise PermissionDenied(f"This token lacks the scope {SCOPE}.")
        self.note_use(found)
        context.with_token(found.prefix)
        return found.user, found

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge that makes Excel and Power BI ask for a user name and a password."""
        return 'Basic realm="goldseam", charset="UTF-8"'


def _credentials(text: bytes) -> tuple[str, str]:
    try:
        name, colon, token = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name = colon = token = ""
    if not colon or not token or any(letter.isspace() for letter in token):
        raise AuthenticationFailed("Give your user name, and as password an API token (gs_…).")
    return name, token
