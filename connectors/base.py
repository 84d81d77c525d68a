"""What a kind of connector is: declared operations, four verbs, exact errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, field_validator

from connectors.redaction import Redactor

if TYPE_CHECKING:
    from connectors.freely import QueryLanguage
    from connectors.transport import Http


class Arguments(BaseModel):
    """Typed parameters of an operation. Unknown names are refused, never dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        # PostgreSQL stores no NUL and no half of a surrogate pair; refused here, both databases agree.
        if isinstance(value, str) and ("\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
            raise ValueError("holds a character that cannot be stored")
        return value


class Risk(StrEnum):
    """How much harm an operation can do when it is wrong, before amounts and policies are looked at."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Reversible(StrEnum):
    """How completely an effect can be taken back."""

    EXACT = "exact"  # the record is as it was
    NET_ZERO = "net_zero"  # a counter-document makes the sum zero; both stay
    UNTIL_PERIOD_CLOSE = "until_period_close"  # net zero, while the fiscal period is open
    NO = "no"


@dataclass(frozen=True)
class Record:
    """One record of another system as it was read: business fields, key, version and where it lives."""

    system: str  # the connection's slug
    entity: str  # the target's own name of the kind of record, such as SalesOrderHeadersV2
    key: str  # one text that finds it again, such as demf/SO-000697
    version: str  # the target's row version or change stamp; "" where it has none
    fields: Mapping[str, Any]
    url: str = ""


@dataclass(frozen=True)
class Change:
    """One field of one record, before and after."""

    entity: str
    key: str
    field: str
    before: Any
    after: Any
    # A side effect is what the target does by itself; it is predicted and compared, but it is not what was asked for.
    side_effect: bool = False


@dataclass(frozen=True)
class Undo:
    """The operation that takes an effect back, complete before the effect is sent."""

    operation: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Written:
    """What a target said about a write. Not proof: only a fresh read is."""

    version: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    request_id: str = ""


Observed = Sequence[Record]


@dataclass(frozen=True)
class Read:
    """An operation that changes nothing."""

    name: str
    arguments: type[Arguments]
    label: str = ""
    # Its arguments are a FreeQuery in this language; None: they only fill in what the kind asks.
    query_language: QueryLanguage | None = None


@dataclass(frozen=True)
class Write:
    """An operation that changes a record, with everything needed to foresee, find, check and undo it."""

    name: str
    arguments: type[Arguments]
    label: str
    # Names of the reads that show the touched records, the primary one first; they take the same-named arguments.
    observe: Callable[[Connector, Any], list[Record]]
    predict: Callable[[Any, Observed], list[Change]]
    undo: Callable[[Any, Observed, str], Undo | None]
    risk: Risk = Risk.LOW
    financial: bool = False  # posts money: its undo needs an approval of its own
    reversible: Reversible = Reversible.EXACT
    # Looks for the trace that effect_key left. None: the predicted values themselves are the trace.
    find: Callable[[Connector, Any, str], Written | None] | None = None
    # How long the target may take to show a committed write, in seconds, before "not found" may be believed.
    settle_seconds: float = 2.0
    # The record whose lane the step holds; default: the first observed record.
    amount: Callable[[Any, Observed], tuple[str, str] | None] | None = None  # (amount, currency) at stake


@dataclass(frozen=True)
class Tell:
    """An operation that tells people or a subscriber something. It changes no business record.

    There is nothing to foresee, to read back or to undo, so no plan can hold it. Its arguments are a ``Message``. Where
    the answer was lost the same may be told twice, under the same id.
    """

    name: str
    arguments: type[Arguments]
    label: str
    addressed: bool = False  # to the message's recipients, or those that the connection's settings name


Operation = Read | Write | Tell


@dataclass(frozen=True)
class HookAnswer:
    """What a sender wants to hear of its delivery, where that is more than that it is kept."""

    body: bytes
    content_type: str
    status: int = 200


@dataclass(frozen=True)
class Sample:
    """A delivery as the system would send it, for people to try a hook with. No secret stands in it."""

    body: str
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()  # beside the content type; a value may be a placeholder
    in_path: bool = False  # the system can send no header, so the secret stands in the address


@dataclass(frozen=True)
class Inbound:
    """One thing that a system told us, cut out of its wire format, not yet judged."""

    external_id: str  # unique within the connection: the same again adds nothing
    event: str  # the system's own name of the event, such as SalesInvoicePostedBusinessEvent
    payload: dict[str, Any]
    occurred_at: datetime | None = None


@dataclass
class Trace:
    """What one use of a connector cost: kept while it runs, written to its ``Call`` row afterwards."""

    requests: int = 0
    status: int | None = None
    request_id: str = ""
    tokens: int = 0
    secrets: set[str] = field(default_factory=set)  # which of the connection's secrets it took


@dataclass(frozen=True)
class Health:
    """What a connection test tried and what came back."""

    ok: bool
    tried: tuple[str, ...]
    message: str


class ConnectorError(Exception):
    """A call did not succeed. ``effect_possible`` tells whether the target may have carried it out."""

    effect_possible = False
    retryable = False

    def __init__(self, message: str, *, status: int | None = None, code: str = "", retry_after: float | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class Refused(ConnectorError):
    """The target understood and said no (400, 403, 404, 409, 422, a business rule). Asking again is pointless."""


class NotFound(Refused):
    """The record is not there, or not for us."""


class VersionConflict(ConnectorError):
    """The record has changed since it was read (412): nothing was written; plan again."""


class Unauthorized(ConnectorError):
    """The credentials are not accepted (401), a fresh token included."""


class Locked(ConnectorError):
    """Somebody is editing the record; short waits help."""

    retryable = True


class RateLimited(ConnectorError):
    """The target asks to wait ``retry_after`` seconds (429, 503 with Retry-After)."""

    retryable = True


class Unreachable(ConnectorError):
    """Nothing was sent: refused, DNS, TLS, closed by our own rules. Trying again later is safe."""

    retryable = True


class Blocked(Unreachable):
    """Our own rules let nothing out: emergency stop, disabled, not allowed, waiting, or an address that is not named.

    ``code`` says which: ``stopped``, ``disabled``, ``operation``, ``arguments``, ``entity``, ``effect_key``,
    ``class`` (its data class or a label), ``address``, ``credentials``; and those that end by themselves, where
    ``retry_after`` holds: ``not_before``, ``budget``, ``rate``, ``breaker``.
    """

    PASSING = frozenset({"not_before", "budget", "rate", "breaker"})
    # What is refused where it is not the connection's operation: whose budget, and which unit of it.
    scope = ""
    about = ""

    def __init__(self, message: str, *, status: int | None = None, code: str = "", retry_after: float | None = None):
        super().__init__(message, status=status, code=code, retry_after=retry_after)
        # What passes is tried again; everything else needs a person.
        self.retryable = code in self.PASSING


class Unanswered(ConnectorError):
    """Sent, but the outcome is unknown (timeout, reset, 5xx): for a write, read back before sending again."""

    retryable = True
    effect_possible = True


class Connector(ABC):
    """One kind of system. Four verbs, and operations declared as data; nothing else is called from outside."""

    slug: ClassVar[str]
    label: ClassVar[str]
    secrets: ClassVar[frozenset[str]] = frozenset()
    operations: ClassVar[tuple[Operation, ...]] = ()
    config: ClassVar[type[Arguments]]  # validates Connection.config
    signed_with: ClassVar[str] = ""  # the secret that a delivery is signed with; blank: the sender shows the hook's own
    channel: ClassVar[str] = ""  # by which way its signals come, where that is neither a hook nor a poll: "chat"
    # How its reads are called in the log: "read", or "model" where a read costs tokens.
    reads_as: ClassVar[str] = "read"

    def __init__(self, *, name: str, settings: Any, secrets: Mapping[str, str], http: Http) -> None:
        """Take one connection's slug, validated config, opened secrets and line to the network."""
        self.name = name
        self.settings = settings
        self.http = http
        self._secrets = dict(secrets)
        # Where its polls ended, in the system's own words. ``poll`` changes it; it is kept once the news are kept.
        self.bookmarks: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def trace(self) -> Trace:
        """What this use has cost so far."""
        return self.http.trace

    def secret(self, name: str) -> str:
        """Return an opened secret. Raises ``Blocked`` where it was never set."""
        if not (value := self._secrets.get(name, "")):
            raise Blocked(f"The secret {name} of connection {self.name} is not set.", code="credentials")
        self.trace.secrets.add(name)
        return value

    @classmethod
    def operations_of(cls, settings: Any) -> tuple[Operation, ...]:
        """Return the operations under these settings: what the kind declares, where it does not depend on them."""
        return cls.operations

    @classmethod
    def queryable(cls, settings: Any) -> frozenset[str]:
        """Return the entities that a free query may read under these settings. The gateway lets no other through."""
        return frozenset()

    def redactor(self) -> Redactor:
        """Return what takes this connection's secrets out of texts and data."""
        return Redactor(self._secrets.values())

    def credential(self) -> tuple[str, ...]:
        """Return who signs in where. Equal for connections that share an account of one system, and so its limits."""
        if not self._secrets:
            return ("connection", self.name)
        values = self.settings.model_dump(mode="json").values()
        hosts = {urlsplit(value).netloc for value in values if isinstance(value, str) and value.startswith("http")}
        return (self.slug, *sorted(hosts), "", *sorted(self._secrets.values()))

    def tokens_expected(self, operation: Operation, arguments: Any) -> int:
        """Return how many tokens a use may cost at most, as near as can be told before; 0: it costs none."""
        return 0

    def logged(self, operation: Operation, arguments: Any) -> dict[str, Any]:
        """Return what the call log keeps of the arguments."""
        return arguments.model_dump(mode="json")  # type: ignore[no-any-return]

    @abstractmethod
    def check(self) -> Health:
        """Try the connection without changing anything and say what was tried."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Hold the raw body against its signature (``signed_with``), parsing nothing. Raises ``Unauthorized``."""
        raise Unauthorized(f"{self.label} signs nothing.")

    def receive(self, body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
        """Cut a webhook's body into what it tells. Raises ``Refused`` where it is not this system's format."""
        raise Refused(f"{self.label} does not send events here.", status=404)

    def answer(self, body: bytes, headers: Mapping[str, str]) -> HookAnswer | None:
        """Return what the sender wants to hear once everything is kept; ``None``: how many things were new."""
        return None

    @classmethod
    def sample(cls, settings: Any) -> Sample | None:
        """Return what the system would send under these settings; ``None`` where there is nothing to show."""
        return None

    @classmethod
    def listens(cls) -> bool:
        """Tell whether the system can deliver anything to a hook."""
        return cls.receive is not Connector.receive

    @classmethod
    def identity(cls, payload: Mapping[str, Any]) -> str:
        """Return what names a complete payload's content however it was told; blank: the delivery's own id does."""
        return ""

    @classmethod
    def polled(cls, event: str, payload: Mapping[str, Any]) -> bool:
        """Tell what a poll found from what was delivered."""
        return event.startswith("record:")

    @classmethod
    def lacks(cls, payload: Mapping[str, Any]) -> bool:
        """Tell whether the system left something out of what it told, which has to be read before it is judged."""
        return False

    def complete(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was told with what was left out of it."""
        return dict(payload)

    def poll(self, since: datetime | None) -> list[Inbound]:
        """Ask for what is new since ``since`` (overlap is wanted: the same again adds nothing)."""
        return []

    @abstractmethod
    def read(self, operation: Read, arguments: Any) -> list[Record]:
        """Fetch records; an empty list where there are none."""

    @abstractmethod
    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        """Change a record, sending ``effect_key`` in the target's own way, if its version is still ``version``."""

    def tell(self, operation: Tell, arguments: Any, *, key: str) -> Written:
        """Tell something under ``key``: the same key again is the same message."""
        raise Blocked(f"{self.label} tells nobody anything.", code="operation")

    def operation(self, name: str) -> Operation | None:
        """Return the declared operation of that name, or ``None``."""
        return next((operation for operation in self.operations_of(self.settings) if operation.name == name), None)
