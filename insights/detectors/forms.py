"""A detector's form: only what its tile asks, filled in from a link, from the log and from a version that stands."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from insights.detectors.definitions import Definition, plain
from insights.detectors.fields import FIELDS, Known, choice, connections
from insights.detectors.queries import language_of, read_in
from insights.detectors.tiles import MORE, OPENS, Tile, tile_of
from insights.mining.asking import EVERYTHING, ask, names
from insights.models import EventLog

# Where an answer stands in the definition, if not as rule.<name>.
_SERIES = ("measure", "activity", "ends", "per", "code", "connection")
_QUERY = ("connection", "operation", "arguments", "key", "time", "watermark", "start", "max_rows")
# The parts of a question that is written freely, by the argument that each one fills.
_FREE = {"ask_entity": "entity", "ask_filter": "filter", "ask_select": "select", "ask_orderby": "orderby",
         "question": "query"}  # fmt: skip
_EXAMPLES = {
    "soql": "Such as SELECT Id, CaseNumber, CreatedDate FROM Case WHERE Status = 'New' ORDER BY CreatedDate.",
    "fetchxml": "Such as <fetch><entity name='account'><attribute name='name'/></entity></fetch>.",
}
_INVOICE = {"party": "party", "amount_field": "amount", "reference": "reference", "date": "date",
            "currency_field": "currency", "apart": "apart"}  # fmt: skip
_LIMITS = ("every_minutes", "look_back_days", "cap", "cool_down_hours")
_OPENS = ("code", "severity", "amount", "entity", "currency", "text")
_LISTS = ("path", "values")
USUAL_END_SHARE = 0.1


class DetectorForm(forms.Form):
    """The questions of one tile about one log."""

    def __init__(self, tile: Tile, known: Known, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.tile = tile
        for name in (*tile.fields, *OPENS, *tile.more, *MORE):
            if not (known.log is None and name in ("filter", "entity", "amount")):
                self.fields[name] = FIELDS[name](known)
        if tile.slug == "events":
            self.fields["activity"].required = False
        if tile.slug == "ends_with":
            self.fields["hours"].label = "Hours of silence after which a case counts as ended"
            self.fields["hours"].required = True
        if tile.kind == "query":
            self._of_rows()

    def _of_rows(self) -> None:
        """Ask what rows need: a connection that understands the question; of columns nobody knows the names here."""
        language = self.tile.language
        self.fields["connection"] = choice("Connection", connections(language), needed=True)
        for name in ("entity", "amount"):
            label = {"entity": "About", "amount": "Amount at stake"}[name]
            self.fields[name] = forms.CharField(label=label, required=False, max_length=300,
                                                help_text="A column of the rows.")  # fmt: skip
        if language:
            self.fields["key"].required = True
            self.fields["key"].help_text = "Such as its number: two rows of the same name are one finding."
        if "question" in self.fields:
            self.fields["question"].help_text = f"{_EXAMPLES[language]} Only reading can be said in it."

    @property
    def asked(self) -> list[forms.BoundField]:
        """The questions that everybody is asked."""
        return [self[name] for name in (*self.tile.fields, *OPENS) if name in self.fields]

    @property
    def more(self) -> list[forms.BoundField]:
        """The questions with defaults that mostly fit."""
        return [self[name] for name in (*self.tile.more, *MORE) if name in self.fields]

    @property
    def more_wrong(self) -> bool:
        """Tell whether something is wrong among the questions that are folded away."""
        return any(field.errors for field in self.more)

    def definition(self) -> dict[str, Any]:
        """Return what was answered, as a definition."""
        given: dict[str, Any] = {name: value for name, value in self.cleaned_data.items() if value or value == 0}
        for name in _LISTS:
            if name in given:
                given[name] = [line.strip() for line in str(given[name]).splitlines() if line.strip()]
        found: dict[str, Any] = {
            "rule": self._rule(given),
            "opens": {name: given[name] for name in _OPENS if name in given},
            "limits": {name: given[name] for name in _LIMITS if name in given},
            **{name: given[name] for name in ("when", "filter") if name in given},
        }
        return {name: part for name, part in found.items() if part}

    def _rule(self, given: dict[str, Any]) -> dict[str, Any]:
        names_ = (*self.tile.fields, *self.tile.more)
        told: dict[str, Any] = {**dict(self.tile.fixed), **{name: given[name] for name in names_ if name in given}}
        if "quantile" in told:
            told["quantile"] = float(told["quantile"])
        if self.tile.slug == "missing" and told.get("before"):
            # Missing before a step is a matter of order: the time that stands in the form is not meant then.
            told = {name: value for name, value in told.items() if name not in ("after", "hours")}
        if self.tile.kind == "anomaly":
            told["code"] = told.pop("code_watched", "")
            told["series"] = {name: told.pop(name) for name in _SERIES if told.get(name)}
            told.pop("code", None)
        elif self.tile.kind == "query":
            told = {"query": self._query(told)}
        elif self.tile.kind == "duplicate":
            told["fields"] = {path: told.pop(name) for name, path in _INVOICE.items() if name in told}
        return {"kind": self.tile.kind, **told}

    def _query(self, told: dict[str, Any]) -> dict[str, Any]:
        if self.tile.language:
            told = {
                **told,
                "operation": read_in(str(told.get("connection", "")), self.tile.language),
                "arguments": {path: told[name] for name, path in _FREE.items() if name in told},
            }
        return {name: told[name] for name in _QUERY if name in told}

    def blame(self, errors: Mapping[str, list[str]]) -> None:
        """Show what speaks against a definition at the question that it is about."""
        for path, messages in errors.items():
            steps = [step for step in path.split(".") if not step.isdigit()]
            name = steps[-1]
            if steps[:2] == ["rule", "fields"]:
                name = next((one for one, part in _INVOICE.items() if part == name), name)
            if self.tile.language and steps[:2] == ["rule", "query"]:
                free = next((one for one, part in _FREE.items() if part == name and one in self.fields), "")
                name = {"operation": "connection"}.get(name, name) if steps[2:3] != ["arguments"] else free or name
            self.add_error(name if name in self.fields else None, messages if name in self.fields else
                           [f"{path}: {message}" for message in messages])  # fmt: skip


def initial_of(definition: Definition) -> tuple[Tile | None, dict[str, Any]]:
    """Return the tile that asks for a definition, and its answers. No tile: it can only be written as a document."""
    text = plain(definition)
    rule = definition.rule.model_dump(mode="json")
    flat = {**rule, **rule.get("series", {}), **(rule.get("query") or {})}
    if definition.rule.kind == "anomaly":
        flat["code_watched"] = flat.pop("code", "")
    for name, path in _INVOICE.items():
        flat |= {name: rule["fields"][path]} if "fields" in rule else {}
    flat |= {name: "\n".join(flat[name]) for name in _LISTS if isinstance(flat.get(name), list)}
    flat |= definition.limits.model_dump() | definition.opens.model_dump(include=set(_OPENS))
    flat |= {"when": text.get("when", ""), "filter": definition.filter, "quantile": str(flat.get("quantile", ""))}
    if definition.saved is not None:
        flat["language"] = language_of(definition.saved)
        flat |= {name: definition.saved.arguments.get(path, "") for name, path in _FREE.items()}
    tile = tile_of(definition.rule.kind, {name: str(value) for name, value in flat.items()})
    # Neither drift nor duplicates of a saved query can be asked by tiles that look at a log.
    unaskable = definition.saved is not None and definition.rule.kind != "query"
    return (None if unaskable else tile), flat


def initial_from(query: QueryDict, tile: Tile, log: EventLog | None) -> dict[str, Any]:
    """Return the answers that a link brings, over what the log itself suggests."""
    found = suggested(tile, log)
    for name in (*tile.fields, *tile.more, *OPENS, *MORE):
        values = [one[:1000] for one in query.getlist(name) if one]
        if name in _LISTS and values:
            found[name] = "\n".join(values)
        elif values:
            found[name] = values if name in ("ends", "apart") else values[-1]
    found.setdefault("label", _label(tile, found, log))
    found.setdefault("code", "process_deviation")
    return found


def _label(tile: Tile, found: dict[str, Any], log: EventLog | None) -> str:
    what = found.get("activity") or found.get("field") or found.get("first") or ""
    return ": ".join(part for part in (str(log) if log else "", tile.title, str(what)) if part)[:120]


def suggested(tile: Tile, log: EventLog | None) -> dict[str, Any]:
    """Return sensible answers from the log: its usual ends, its usual time, its column of money."""
    if log is None:
        return {}
    found: dict[str, Any] = {}
    known = Known.of(log)
    if not known.activities:
        return {}
    if tile.slug == "ends_with":
        # So long a silence comes after one step in a hundred.
        silent = ask(log, EVERYTHING, "SELECT quantile_cont(e.gap, 0.99) FROM events e")[0][0]
        found["hours"] = max(24, round(float(str(silent or 0)) / 3600))
    if "ends" in tile.fields and tile.kind == "forecast":
        rows = ask(log, EVERYTHING, "SELECT c.last_activity, count(*) FROM cases c GROUP BY c.last_activity")
        least = USUAL_END_SHARE * sum(int(str(row[1])) for row in rows)
        found["ends"] = sorted(names(log)[row[0]] for row in rows if int(str(row[1])) >= least)
    if "target_hours" in tile.fields:
        p90 = ask(log, EVERYTHING, "SELECT quantile_cont(c.seconds, 0.9) FROM cases c")[0][0]
        found["target_hours"] = max(1, round(float(str(p90 or 0)) / 3600))
    money = str(log.mapping.get("amount") or "")
    numbers = known.named(level="case", type="number")
    if money in numbers:
        found["amount"] = money
    return found
