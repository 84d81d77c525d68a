"""What can be watched, as a newcomer chooses it: a sentence each, and the questions that it then asks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """One thing to watch. ``fields`` are asked at once, ``more`` only of whoever opens them."""

    slug: str
    kind: str
    title: str
    help: str
    fields: tuple[str, ...]
    fixed: tuple[tuple[str, str], ...] = ()
    more: tuple[str, ...] = ()
    needs_log: bool = True
    language: str = ""  # of a question that is written freely; offered where a connection understands it


_ODD = ("method", "direction", "threshold", "min_history", "window", "at_least")
TILES: tuple[Tile, ...] = (
    Tile("loop", "pattern", "A step is repeated", "A case does the same step more often than it should.",
         ("activity", "times"), (("pattern", "loop"),)),
    Tile("missing", "pattern", "A step is missing", "A case reaches a step without another that must come before it,"
         " or a step does not follow in time.", ("activity", "before", "after", "hours"), (("pattern", "missing"),)),
    Tile("slow", "pattern", "A step takes too long", "Between one step and the next more time passes than it may.",
         ("activity", "then", "hours"), (("pattern", "slow"),)),
    Tile("after_end", "pattern", "Something happens after the end", "A case goes on after the step that should end it.",
         ("activity",), (("pattern", "after_end"),)),
    Tile("starts_with", "pattern", "A case begins wrongly", "The first step of a case is one that should not be it.",
         ("activity",), (("pattern", "starts_with"),)),
    Tile("ends_with", "pattern", "A case ends wrongly", "The last step of a case is one that should not be it. A case"
         " counts as ended once nothing has followed for a time.", ("activity", "hours"), (("pattern", "ends_with"),)),
    Tile("variant", "pattern", "A case goes a certain way", "A case takes exactly these steps in this order.",
         ("path",), (("pattern", "variant"),)),
    Tile("forecast", "forecast", "A case will miss its target", "A running case will end too late, by what cases like"
         " it still took.", ("ends", "target_hours", "calendar", "quantile"), (), ("min_cases", "stale_days")),
    Tile("duty", "drift", "One person did both", "Two steps that need two people were done by one.",
         ("first", "second", "person"), (("check", "duty"),)),
    Tile("required", "drift", "A field is empty", "Something that must be filled in is not.",
         ("field", "by"), (("check", "required"),)),
    Tile("blocked", "drift", "A value must not occur", "Such as a blocked product in an order.",
         ("field", "values"), (("check", "blocked"),)),
    Tile("events", "anomaly", "A number stands out", "How often something happens, how long it takes or how much is"
         " repeated is far from usual.", ("measure", "activity", "ends", "per"), (), _ODD),
    Tile("duplicate", "duplicate", "An invoice comes twice", "Two invoices ask the same party for the same money, under"
         " references that say the same.", ("party", "amount_field", "reference", "date"), (),
         ("currency_field", "apart", "days", "score")),
    Tile("operations", "anomaly", "The loop's own numbers stand out", "Exceptions, connector calls or tokens are far"
         " from usual. Needs no log.", ("measure", "code_watched", "connection", "per"), (), _ODD, needs_log=False),
    Tile("query", "query", "Rows of a saved query", "Each row that a connected system returns for a question that its"
         " connector knows. Needs no log.", ("connection", "operation", "arguments", "key", "time", "watermark"), (),
         ("max_rows", "start"), needs_log=False),
    Tile("odata", "query", "Rows of an OData filter", "Each record of one entity that fits a filter which you write."
         " Needs no log.", ("connection", "ask_entity", "ask_filter", "ask_select", "key", "time"), (),
         ("ask_orderby", "watermark", "start", "max_rows"), needs_log=False, language="odata"),
    Tile("soql", "query", "Rows of a SOQL question", "Each row of one SELECT that you write. Needs no log.",
         ("connection", "question", "key", "time"), (), ("watermark", "start", "max_rows"), needs_log=False,
         language="soql"),
    Tile("fetchxml", "query", "Rows of a FetchXML question", "Each row of one FetchXML question that you write. Needs"
         " no log.", ("connection", "question", "key", "time"), (), ("watermark", "start", "max_rows"), needs_log=False,
         language="fetchxml"),
)  # fmt: skip
OPENS = ("label", "code", "severity", "amount")
MORE = (
    "entity", "currency", "text", "when", "filter", "every_minutes", "look_back_days", "cap", "cool_down_hours",
)  # fmt: skip


def tile(slug: str) -> Tile | None:
    """Return the tile of that name."""
    return next((one for one in TILES if one.slug == slug), None)


def tile_of(kind: str, words: dict[str, str]) -> Tile | None:
    """Return the tile that asks for such a rule, by its kind and what it says of itself."""
    if kind == "anomaly":
        return tile("operations" if words.get("measure") in ("exceptions", "calls", "tokens") else "events")
    if kind == "query":
        return tile(words.get("language") or "query")
    told = words.get("pattern") or words.get("check") or ""
    return next((one for one in TILES if one.kind == kind and (not told or dict(one.fixed) in (
        {"pattern": told}, {"check": told}))), None)  # fmt: skip
