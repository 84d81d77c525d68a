"""What some systems ask of every change: a CSRF token with the cookies of the session that it belongs to."""

import re
from dataclasses import dataclass, field

from connectors.base import Blocked
from connectors.kit.credentials import Token
from connectors.transport import Reply

# Several Set-Cookie headers arrive as one text; a comma inside a date is not followed by a name and "=".
_BETWEEN = re.compile(r",\s*(?=[^;,=\s]+=)")
_COOKIE = re.compile(r"[\w!#$%&'*+.^`|~-]{1,100}=[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{0,4000}\Z", re.ASCII)
_TOKEN = re.compile(r"[\x21-\x7e]{1,500}\Z")
MOST_COOKIES = 20


@dataclass
class Session:
    """A session of one user in one system; never shared between connections."""

    token: str = field(default="", repr=False)
    cookies: dict[str, str] = field(default_factory=dict, repr=False)

    def headers(self) -> dict[str, str]:
        """Return what a request of this session carries."""
        found = {"X-CSRF-Token": self.token} if self.token else {}
        if self.cookies:
            found["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return found

    def keep(self, reply: Reply) -> None:
        """Take over what an answer sets."""
        self.cookies |= cookies_of(reply)
        if len(self.cookies) > MOST_COOKIES:
            raise Blocked("The system sets more cookies than a session has.", code="address")

    def sealed(self) -> Token:
        """Return it as a token to be kept in memory; a token holds no line break, and neither does a cookie."""
        return Token("\n".join((self.token, *(f"{name}={value}" for name, value in self.cookies.items()))))


def opened(token: Token) -> Session:
    """Return the session that was kept."""
    first, *cookies = token.value.split("\n")
    return Session(first, dict(_pair(cookie) for cookie in cookies))


def cookies_of(reply: Reply) -> dict[str, str]:
    """Return the cookies that an answer sets, without their paths and dates."""
    parts = _BETWEEN.split(reply.headers.get("set-cookie", "")[:20_000])
    named = (part.partition(";")[0].strip() for part in parts)
    return dict(_pair(cookie) for cookie in named if _COOKIE.match(cookie))


def _pair(cookie: str) -> tuple[str, str]:
    name, _, value = cookie.partition("=")
    return name, value


def token_of(reply: Reply) -> str:
    """Return the CSRF token that an answer hands out, blank where it hands out none."""
    token = reply.headers.get("x-csrf-token", "").strip()
    return token if _TOKEN.match(token) and token.lower() not in ("required", "fetch") else ""


def wants_token(reply: Reply) -> bool:
    """Tell whether a change was turned away for its token alone: nothing of it was done."""
    return reply.status == 403 and reply.headers.get("x-csrf-token", "").strip().lower() == "required"
