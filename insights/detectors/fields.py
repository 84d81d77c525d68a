"""The questions of a detector's form: names are picked from the log's own activities and attributes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django import forms

from connectors.models import Connection
from incidents.models import Calendar, ExceptionKind
from insights.detectors.queries import entities_of, reads_of
from insights.mining.asking import NotReady, names
from insights.models import EventLog

Choices = list[tuple[str, str]]


@dataclass
class Known:
    """What can be chosen: of one log, or where there is none of the installation."""

    log: EventLog | None = None
    activities: list[str] = field(default_factory=list)
    attributes: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, log: EventLog | None) -> "Known":
        """Read what a log offers; one that is not ready yet offers nothing."""
        if log is None:
            return cls()
        try:
            found = sorted(names(log).numbers)
        except NotReady:
            found = []
        return cls(log, found, [dict(one) for one in log.attributes])

    def named(self, *, level: str = "", type: str = "") -> list[str]:
        """Return the attributes of a level and type."""
        fits = [one for one in self.attributes if level in ("", one["level"]) and type in ("", one["type"])]
        return [one["name"] for one in fits]


def _pairs(values: Iterable[str], blank: str | None = None) -> Choices:
    return [*([("", blank)] if blank is not None else []), *((one, one) for one in values)]


def choice(label: str, choices: Choices, help: str = "", *, needed: bool = False) -> forms.Field:
    """Return a question with one answer among ``choices``."""
    return forms.ChoiceField(label=label, choices=choices, help_text=help, required=needed)


def several(label: str, choices: Choices, help: str = "", *, needed: bool = False) -> forms.Field:
    """Return a question with several answers."""
    widget = forms.SelectMultiple(attrs={"size": min(8, max(3, len(choices)))})
    return forms.MultipleChoiceField(label=label, choices=choices, help_text=help, required=needed, widget=widget)


def number(label: str, initial: float, help: str = "", *, needed: bool = True) -> forms.Field:
    """Return a question whose answer is a number."""
    return forms.FloatField(label=label, initial=initial, help_text=help, required=needed,
                            widget=forms.NumberInput(attrs={"step": "any"}))  # fmt: skip


def whole(label: str, initial: int, help: str = "") -> forms.Field:
    """Return a question whose answer is a whole number."""
    return forms.IntegerField(label=label, initial=initial, help_text=help)


def line(label: str, help: str = "", *, needed: bool = False, most: int = 300) -> forms.Field:
    """Return a question whose answer is one line."""
    return forms.CharField(label=label, help_text=help, required=needed, max_length=most)


def text(label: str, help: str = "", *, rows: int = 4, needed: bool = True) -> forms.Field:
    """Return a question whose answer is a text of another language, kept letter by letter."""
    widget = forms.Textarea(attrs={"rows": rows, "class": "mono", "spellcheck": "false", "autocapitalize": "off"})
    return forms.CharField(label=label, help_text=help, required=needed, max_length=6000, widget=widget)


def lines(label: str, help: str = "", *, needed: bool = True) -> forms.Field:
    """Return a question whose answer is one value a line."""
    return forms.CharField(label=label, help_text=help, required=needed, max_length=20_000, widget=forms.Textarea(
        attrs={"rows": 5}))  # fmt: skip


def _activity(known: Known) -> forms.Field:
    return choice("Step", _pairs(known.activities, "choose one"), needed=True)


def _kinds() -> Choices:
    found = [(code, f"{label} ({code})") for code, label in ExceptionKind.objects.values_list("code", "label")]
    own = ("process_deviation", "Process deviation (process_deviation)")
    return found if any(code == own[0] for code, _ in found) else [own, *found]


def connections(language: str = "") -> Choices:
    """Return the connections with declared reads, or those that can be asked in ``language``."""
    return [(one.slug, one.label or one.slug) for one in Connection.objects.all() if reads_of(one, language)]


def _entities() -> Choices:
    known = {name for one in Connection.objects.all() if reads_of(one, "odata") for name in entities_of(one)}
    return _pairs(sorted(known))


def _operations() -> Choices:
    found = {name: label for one in Connection.objects.all() for name, label in reads_of(one)}
    return [(name, f"{label} ({name})") for name, label in sorted(found.items())]


_MEASURES = [
    ("events", "How often a step happens"), ("cases", "How many cases begin"),
    ("throughput", "How long cases take (median)"), ("rework", "Which share of steps is repeated"),
]  # fmt: skip
_METHODS = [("robust_z", "the median before it"), ("weekday", "the same weekday"), ("ewma", "a moving average")]
_WAYS = [("both", "more or less"), ("up", "more"), ("down", "less")]
_OWN = [("exceptions", "Exceptions"), ("calls", "Connector calls"), ("tokens", "Tokens")]

FIELDS: dict[str, Callable[[Known], forms.Field]] = {
    "activity": _activity,
    "times": lambda _: whole("How often is still right", 1, "More often than this is a finding."),
    "before": lambda known: choice(
        "Must come before", _pairs(known.activities, "choose one, or say below when it must follow"),
        "Found when this step is reached without it."
    ),
    "after": lambda known: choice(
        "Or must follow", _pairs(known.activities, "the start of the case"), "Only asked where nothing stands above."
    ),
    "hours": lambda _: number("Within how many hours", 24, needed=False),
    "then": lambda known: choice("Next step", _pairs(known.activities, "whatever follows")),
    "path": lambda _: lines("Steps", "One step a line, in their order."),
    "ends": lambda known: several("Steps that end a case", _pairs(known.activities), "The first of these ends it."),
    "target_hours": lambda _: number("Target in hours", 72, "From the first step of the case to its end."),
    "calendar": lambda _: choice(
        "Counted", [("", "by the clock"), *Calendar.objects.values_list("slug", "label")], "Or in open hours only."
    ),
    "quantile": lambda _: choice(
        "How sure", [("0.5", "as likely late as not"), ("0.25", "late in 3 of 4"), ("0.1", "late in 9 of 10")],
        needed=True,
    ),
    "min_cases": lambda _: whole("Cases to learn from", 20, "With fewer there is no forecast."),
    "stale_days": lambda _: number("Silent for so many days: not running", 60),
    "first": lambda known: choice("One step", _pairs(known.activities, "choose one"), needed=True),
    "second": lambda known: choice(
        "The other step", _pairs(known.activities, "choose one"), "The same step twice means four eyes.", needed=True
    ),
    "person": lambda known: choice("Who did it", _pairs(known.named(level="event", type="text"), "the person")),
    "field": lambda known: choice("Field", _pairs(known.named(), "choose one"), needed=True),
    "by": lambda known: choice("Must be filled once this is done", _pairs(known.activities, "at once")),
    "values": lambda _: lines("Values that must not occur", "One a line, as the log writes them."),
    "measure": lambda known: choice("Number", _MEASURES if known.log else _OWN, needed=True),
    "per": lambda _: choice("For each", [("day", "day"), ("hour", "hour"), ("week", "week")], needed=True),
    "method": lambda _: choice(
        "Compared with", _METHODS,
        needed=True,
    ),
    "direction": lambda _: choice("Which way", _WAYS, needed=True),
    "threshold": lambda _: number("Usual deviations that are too many", 4),
    "min_history": lambda _: whole("Values needed before it", 28),
    "window": lambda _: whole("Values looked back at", 90),
    "at_least": lambda _: number("Smallest difference that matters", 0),
    "code_watched": lambda _: choice("Kind of exception", [("", "every kind"), *_kinds()]),
    "connection": lambda known: choice("Connection", [("", "every one"), *connections()]),
    "operation": lambda _: choice("Question", _operations(), "A read that the connection declares.", needed=True),
    "arguments": lambda _: forms.JSONField(
        label="With", required=False, initial=dict, help_text='Such as {"customer": "C1"}; {watermark}: the last one.'
    ),
    "ask_entity": lambda _: choice("Entity", _entities(), "The connection says which may be read.", needed=True),
    "ask_filter": lambda _: text(
        "Filter", "Such as TotalInvoiceAmount gt 10000 and dataAreaId eq 'usmf'; empty: every record.", needed=False
    ),
    "ask_select": lambda _: text("Columns", "Separated by commas; empty: all of them.", rows=2, needed=False),
    "ask_orderby": lambda _: line("Order", "Such as InvoiceDate asc, InvoiceNumber asc.", most=500),
    "question": lambda _: text("Question", "Only reading can be said in it.", rows=8),
    "start": lambda _: line(
        "First {watermark}", "Empty: as far as it looks back. Needed where the column holds no times.", most=100
    ),
    "key": lambda _: line("Column that names a row", "Empty: the record's id.", most=100),
    "time": lambda _: line("Column with its time", "Empty: when it was read.", most=100),
    "watermark": lambda _: line("Column that only grows", "Rows up to the last one seen are left out.", most=100),
    "max_rows": lambda _: whole("Rows at most", 500),
    "party": lambda known: choice("Customer or vendor", _pairs(known.named(), "choose one"), needed=True),
    "amount_field": lambda known: choice("Amount", _pairs(known.named(type="number"), "choose one"), needed=True),
    "reference": lambda known: choice("Reference", _pairs(known.named(), "choose one"), needed=True),
    "date": lambda known: choice("Date", _pairs(known.named(), "when the case began")),
    "currency_field": lambda known: choice("Currency", _pairs(known.named(), "not told")),
    "apart": lambda known: several("Two where these differ", _pairs(known.named()), "Such as the delivery note."),
    "days": lambda _: number("At most so many days apart", 45),
    "score": lambda _: number("At least so sure", 0.8, "1: the very same reference only."),
    "label": lambda _: line("Name of the detector", needed=True, most=120),
    "code": lambda _: choice("Opens an incident of kind", _kinds(), needed=True),
    "severity": lambda _: choice(
        "Hint for its severity",
        [("", "leave it to triage"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("critical", "critical")],
    ),
    "amount": lambda known: choice("Amount at stake", _pairs(known.named(level="case", type="number"), "not told")),
    "entity": lambda known: choice("About", _pairs(known.named(level="case"), "the case itself")),
    "currency": lambda known: line("Currency", "Three capitals such as EUR, or an attribute."),
    "text": lambda _: line("First words of the incident", "May hold {case.customer} and the like.", most=1000),
    "when": lambda _: line("Only where", "An expression such as case.amount > 500.0; empty: always.", most=2000),
    "filter": lambda _: line("Only cases with", "As in the address of a filtered map: attribute.region=EU.", most=2000),
    "every_minutes": lambda _: whole("Looks every so many minutes", 60),
    "look_back_days": lambda _: number("Looks back so many days", 30, "Older findings are history and open nothing."),
    "cap": lambda _: whole("Incidents in one run at most", 25, "Above it, one incident says how many more."),
    "cool_down_hours": lambda _: number("Quiet after one, in hours", 24, "For the same record."),
}  # fmt: skip
