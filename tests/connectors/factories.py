"""Connections for tests: to the simulator, and to systems that a test plays itself."""

from collections.abc import Callable, Mapping
from typing import Any

import httpx

from connectors import actions
from connectors.kinds.dynamics_fo.writes import WRITES as FO_WRITES
from connectors.kinds.salesforce.operations import WRITES as SF_WRITES
from connectors.models import Connection

ROOT = "https://contoso.operations.dynamics.test"
CRM = "https://contoso.crm4.dynamics.test"
ORG = "https://contoso.my.salesforce.test"
SECRET = "sesame-open-up-please"
HOOK_SECRET = "a-hook-secret-of-some-length"
TENANT = "contoso.test"


def make_fo(root: str = ROOT, *, authority: str = "", secret: str = SECRET, **changes: Any) -> Connection:
    """A connection to F&O that may do every write."""
    config = {"environment_url": root, "tenant": TENANT, "client_id": "goldseam", "authority": authority or root}
    return actions.create_connection(
        changes.pop("slug", "fo"),
        "dynamics_fo",
        actor="system:test",
        secrets={"client_secret": secret} if secret else {},
        hook_secret=changes.pop("hook_secret", HOOK_SECRET),
        config={**config, **changes.pop("config", {})},
        operations=changes.pop("operations", [write.name for write in FO_WRITES]),
        **changes,
    )


def make_crm(root: str = ORG, *, secret: str = SECRET, **changes: Any) -> Connection:
    """A connection to Salesforce that may do every write."""
    return actions.create_connection(
        changes.pop("slug", "crm"),
        "salesforce",
        actor="system:test",
        secrets={"client_secret": secret},
        config={"login_url": root, "client_id": "goldseam", **changes.pop("config", {})},
        operations=changes.pop("operations", [write.name for write in SF_WRITES]),
        **changes,
    )


def make_dv(root: str = CRM, *, authority: str = "", secret: str = SECRET, **changes: Any) -> Connection:
    """A connection to Dataverse that may do every write."""
    config = {"environment_url": root, "tenant": TENANT, "client_id": "goldseam", "authority": authority or root}
    return actions.create_connection(
        changes.pop("slug", "dv"),
        "dataverse",
        actor="system:test",
        secrets={"client_secret": secret},
        hook_secret=changes.pop("hook_secret", HOOK_SECRET),
        config={**config, **changes.pop("config", {})},
        operations=changes.pop("operations", ["*"]),
        **changes,
    )


def make_model(**changes: Any) -> Connection:
    """A connection to a language model."""
    return actions.create_connection(
        changes.pop("slug", "ai"),
        "openai",
        actor="system:test",
        secrets={"api_key": SECRET},
        config={"base_url": "https://models.test/v1", "model": "small", **changes.pop("config", {})},
        **changes,
    )


class Played:
    """A system that a test plays: answers by (method, path), and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: dict[tuple[str, str], Callable[[httpx.Request], httpx.Response]] = {}
        self.tokens = 0

    def on(self, method: str, path: str, answer: httpx.Response | Exception | Callable[..., Any]) -> "Played":
        """Answer ``method path`` with a response, an error, or what a function makes of the request."""

        def give(request: httpx.Request) -> httpx.Response:
            found = answer(request) if callable(answer) else answer
            if isinstance(found, Exception):
                raise found
            return found

        self.answers[method, path] = give
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        found = self._found(request)
        # Unread, as it comes from a socket; and the next caller gets one of its own.
        return httpx.Response(
            found.status_code, headers=found.headers.multi_items(), stream=httpx.ByteStream(found.content)
        )

    def _found(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path.endswith("/token"):
            given = self.answers.get(("POST", "token"))
            if given:
                return given(request)
            self.tokens += 1
            body: Mapping[str, Any] = {
                "access_token": f"token-{self.tokens}",
                "token_type": "Bearer",
                "expires_in": 3599,
            }
            return httpx.Response(200, json=body)
        answer = self.answers.get((request.method, request.url.path))
        if answer is None:
            return httpx.Response(404, json={"error": {"message": f"nobody plays {request.method} {request.url.path}"}})
        return answer(request)

    @property
    def calls(self) -> list[httpx.Request]:
        """What was asked beside tokens."""
        return [request for request in self.requests if not request.url.path.endswith("/token")]
