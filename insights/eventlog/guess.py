"""Guess which column is what, from names and from content, and say how sure that is."""

import re
from dataclasses import dataclass, field

from insights.eventlog.shapes import NEEDED, Mapping
from insights.eventlog.templates import column_names

SURE = 0.75
# Names that people and systems use, the best first; English, German, French, Spanish, Dutch.
_SPACE = r"[ _.:-]?"
_NUMBERED = rf"{_SPACE}(id|no|nr|number|nummer|key)"
_NAMES: dict[str, tuple[str, ...]] = {
    "case": (
        r"case:concept:name",
        rf"case({_NUMBERED})?",
        rf"(trace|process|instance){_SPACE}(id|instance)?",
        rf"(sales|purchase)?{_SPACE}(order|document|doc|po|so|ticket|claim|vorgang|fall|dossier|caso){_NUMBERED}",
        rf"(vorgang|fall|dossier|caso|zaak)({_NUMBERED})?",
        r"vbeln|ebeln|belnr|salesid|purchid|incidentid",
        r"order|invoice|ticket|request|incident",
    ),
    "activity": (
        r"concept:name",
        rf"activity({_SPACE}(name|en))?",
        rf"(event|task|step|action|operation)({_SPACE}(name|type|text))?",
        r"(aktivit(ä|ae)t|vorgangsschritt|schritt|activit(é|e)|actividad|activiteit|tätigkeit)(en)?",
        r"status",
    ),
    "timestamp": (
        r"time:timestamp",
        rf"(complete|end|event|finish)?{_SPACE}time{_SPACE}stamp",
        rf"(end|complete|event){_SPACE}(time|date)",
        r"(event)?[ _.:-]?(time|date|date[ _]?time)",
        r"zeit(punkt|stempel)?|datum|horodatage|fecha|tijdstip",
        rf"(created|changed|occurred|posted){_SPACE}(at|on|time|date)",
        r"ende|fin",
    ),
    "start": (rf"(start|begin){_SPACE}(time{_SPACE}stamp|time|date|ed[ _]?at)?", r"beginn|startzeit|d(é|e)but|inicio"),
    "resource": (
        r"org:resource",
        rf"(resource|user|agent|employee|performer|assignee|actor|operator|worker)({_SPACE}(id|name))?",
        r"bearbeiter|benutzer|utilisateur|usuario|gebruiker|ernam|usnam",
        rf"(created|changed){_SPACE}by",
    ),
    "amount": (
        rf"(net|gross|total|order|invoice)?{_SPACE}(amount|value|price|sum|total|worth)({_SPACE}(eur|usd|net|gross))?",
        r"betrag|wert|netto|brutto|montant|importe|bedrag|netwr|wrbtr|dmbtr",
        r"costs?",
    ),
}
_STAMP = re.compile(r"^\s*(\d{4}[-/.]?\d{2}[-/.]?\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{1,2}-[A-Za-z]{3}-\d{2,4})")
_CLOCK = re.compile(r"\d{1,2}:\d{2}")
_NUMBER = re.compile(r"^-?\d{1,15}([.,]\d+)?$")


@dataclass(frozen=True)
class Guess:
    """What the columns seem to be."""

    mapping: Mapping
    # For each role that was found, how sure that is, 0 to 1.
    confidence: dict[str, float] = field(default_factory=dict)

    @property
    def sure(self) -> bool:
        """Tell whether nobody needs to be asked."""
        return all(self.confidence.get(role, 0.0) >= SURE for role in NEEDED)


def guess(columns: list[str], rows: list[list[str]], roles: dict[str, str] | None = None) -> Guess:
    """Return what ``columns`` seem to be, by their names and by ``rows`` of texts; ``roles`` are known already."""
    found: dict[str, str] = dict(roles or {})
    confidence = dict.fromkeys(found, 1.0)
    values = {name: [row[at] for row in rows if at < len(row) and row[at]] for at, name in enumerate(columns)}
    for role in ("timestamp", "start", "case", "activity", "resource", "amount"):
        if role in found:
            continue
        free = [name for name in columns if name not in found.values()]
        ranked = sorted(((_score(role, name, values[name]), name) for name in free), key=lambda each: -each[0])
        if ranked and ranked[0][0] >= (0.3 if role in NEEDED else 0.6):
            best, name = ranked[0]
            # Two that fit alike are a question, not an answer.
            close = len(ranked) > 1 and best - ranked[1][0] < 0.05
            found[role], confidence[role] = name, round(min(best, 0.6) if close else best, 2)
    time_format, share = time_format_of(values.get(found.get("timestamp", ""), []))
    if "timestamp" in confidence:
        confidence["timestamp"] = round(confidence["timestamp"] * share, 2)
    return Guess(Mapping(**found, time_format=time_format), confidence)


def _score(role: str, name: str, values: list[str]) -> float:
    named, content = _by_name(role, name), _CONTENT[role](values)
    if role in {"start", "resource", "amount"} and not named:
        return 0.0
    return 0.0 if not content else 0.6 * named + 0.4 * content


def _by_name(role: str, name: str) -> float:
    plain = name.strip().lower()
    # The last word tells, too: "order.created_at" of a joined table.
    for text, share in ((plain, 1.0), (re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower(), 0.98)):
        if text in column_names(role):
            return 0.97
        for rank, pattern in enumerate(_NAMES[role]):
            if re.fullmatch(pattern, text):
                return share * (1.0 - 0.04 * rank)
    return 0.0


def _stamps(values: list[str]) -> float:
    if not values:
        return 0.0
    fitting = sum(bool(_STAMP.match(value)) for value in values) / len(values)
    if fitting < 0.8:
        whole = sum(value.isdigit() and len(value) in {10, 13} for value in values) / len(values)
        return 0.7 if whole == 1.0 else 0.0
    clock = sum(bool(_CLOCK.search(value)) for value in values) / len(values)
    return fitting * (0.7 + 0.3 * clock)


def _cases(values: list[str]) -> float:
    if not values or _stamps(values):
        return 0.0
    distinct = len(set(values)) / len(values)
    # A sample shows cases that began; all different is a number of the line, all alike a constant.
    return 0.5 if distinct == 1.0 or len(set(values)) == 1 else 1.0


def _activities(values: list[str]) -> float:
    if not values or _stamps(values):
        return 0.0
    distinct, numbers = len(set(values)), sum(bool(_NUMBER.match(value)) for value in values)
    if numbers == len(values):
        return 0.3
    return 1.0 if 1 < distinct <= max(len(values) * 0.5, 3) else 0.5


def _people(values: list[str]) -> float:
    return 0.0 if not values or _stamps(values) else 1.0


def _amounts(values: list[str]) -> float:
    return 1.0 if values and all(_NUMBER.match(value.strip()) for value in values) else 0.0


_CONTENT = {
    "case": _cases,
    "activity": _activities,
    "timestamp": _stamps,
    "start": _stamps,
    "resource": _people,
    "amount": _amounts,
}


def time_format_of(values: list[str]) -> tuple[str, float]:
    """Return how the stamps are written (as ``Mapping.time_format``) and how sure that is."""
    texts = [value.strip() for value in values if value.strip()]
    if not texts or all(re.match(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}", text) for text in texts):
        return "", 1.0
    if all(text.isdigit() and len(text) in {10, 13} for text in texts):
        return ("epoch_ms" if len(texts[0]) == 13 else "epoch_s"), 1.0
    if all(re.match(r"\d{8}([T ]?\d{2})?", text) for text in texts):
        return ("%Y%m%d%H%M%S" if len(texts[0]) == 14 else "%Y%m%d"), 1.0
    return _with_separators(texts)


def _with_separators(texts: list[str]) -> tuple[str, float]:
    if all(re.match(r"\d{1,2}-[A-Za-z]{3}-\d{4}", text) for text in texts):
        return f"%d-%b-%Y{_clock(texts)}", 1.0
    parts = [re.match(r"(\d{1,2})([./-])(\d{1,2})[./-](\d{4}|\d{2})\b", text) for text in texts]
    known = [part for part in parts if part]
    if len(known) < len(parts) * 0.8 or not known:
        return "", 0.5
    first, second, dot = max(int(part[1]) for part in known), max(int(part[3]) for part in known), known[0][2]
    month_first = second > 12 or (first <= 12 and dot == "/" and "M" in texts[0].upper()[-2:])
    year = "%Y" if len(known[0][4]) == 4 else "%y"
    date = f"%m{dot}%d{dot}{year}" if month_first else f"%d{dot}%m{dot}{year}"
    # 03/04/2024 is March or April: unless a day beyond the twelfth or the dots of German dates tell, somebody must.
    sure = dot == "." or first > 12 or second > 12
    return date + _clock(texts), 1.0 if sure else 0.5


def _clock(texts: list[str]) -> str:
    if not _CLOCK.search(texts[0]):
        return ""
    if texts[0].upper().endswith(("AM", "PM")):
        return " %I:%M:%S %p" if texts[0].count(":") == 2 else " %I:%M %p"
    return " %H:%M:%S" if texts[0].count(":") == 2 else " %H:%M"
