"""What a document suggests of a write: how it is read back and taken back. To be read by a person before it counts."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.kinds.openapi.declarations import EFFECT_KEY, KEY_PLACE, NONE
from connectors.kinds.openapi.documents import Offered, words_of
from connectors.kinds.openapi.material import Material
from connectors.kinds.openapi.reading import Unusable

_IDEMPOTENT = re.compile(r"(?i)(x-)?(idempotency-?key|request-?id|client-?request-?id|idempotence-?key)")
_REFERENCE = re.compile(
    r"(?i)((external|client|customer|your|own|third_?party)_?)?(reference|ref|correlation)(_?(id|key|no|number))?"
    r"|(external|client|correlation)_?(id|key)"
)
_AMOUNT = re.compile(r"(?i)(.*_)?(amount|total|sum)(_.*)?")
_CURRENCY = re.compile(r"(?i)(.*[a-z_])?currency(_?code)?|.*transactioncurrency")
_MONEY = frozenset(["pay", "payment", "refund", "credit", "charge", "transfer", "payout", "invoice", "debit"])
_SEARCHES = frozenset(["search", "query", "find", "lookup", "filter"])
_OPPOSITES = (
    ("hold", "release"), ("block", "unblock"), ("lock", "unlock"), ("open", "close"), ("close", "reopen"),
    ("activate", "deactivate"), ("enable", "disable"), ("cancel", "reopen"), ("cancel", "uncancel"),
    ("approve", "unapprove"), ("archive", "unarchive"), ("archive", "restore"), ("suspend", "resume"),
    ("assign", "unassign"), ("start", "stop"), ("publish", "unpublish"), ("pay", "unpay"), ("post", "reverse"),
    ("add", "remove"), ("attach", "detach"), ("subscribe", "unsubscribe"), ("confirm", "unconfirm"),
)  # fmt: skip
_PERSONAL = re.compile(
    r"(?i)(.*[_ ])?(e_?mail|phone|mobile|fax|first_name|last_name|full_name|surname|given_name|birth\w*|street|ssn"
    r"|passport|national_id|contact_name)([_ ].*)?"
)
_FINANCIAL = re.compile(
    r"(?i)(.*_)?(iban|bic|bank_account|account_number|card_number|salary|credit_limit|tax_id)(_.*)?"
)
LONGEST_KEY = 40


@dataclass
class Suggestion:
    """A declaration as the document suggests it, and why."""

    parts: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    def because(self, reason: str, **parts: Any) -> None:
        """Say one thing, and why."""
        self.parts |= {("with" if name == "given" else name): part for name, part in parts.items()}
        self.reasons.append(reason)


def suggested(known: Material, name: str) -> Suggestion:
    """Return what the document suggests of a write. Raises ``Unusable`` where the operation cannot be used at all."""
    one, found = known.offered[name], Suggestion()
    known.endpoint(name)
    if one.method == "POST" and _searches(one):
        found.because("Its name says that it searches: a POST that changes nothing.", reads=True)
        return found
    if one.method == "DELETE":
        _removal(known, one, found)
    elif one.method in ("PATCH", "PUT"):
        _change(known, one, found)
    elif list(known.below(one.path)):
        _creation(known, one, found)
    else:
        _act(known, one, found)
    _guarded(known, one, found)
    _money(known, one, found)
    found.labels = labels_of(known, name)
    return found


def labels_of(known: Material, name: str) -> dict[str, str]:
    """Return the arguments whose names sound personal or financial, with that label."""
    found = {}
    for argument in known.endpoint(name).arguments.model_fields:
        words = words_of(argument)
        if _PERSONAL.fullmatch(words):
            found[argument] = "personal"
        elif _FINANCIAL.fullmatch(words):
            found[argument] = "financial"
    return found


def _searches(one: Offered) -> bool:
    last = words_of(one.path.rstrip("/").rpartition("/")[2]).split("_")
    return bool(_SEARCHES & {*last[-1:], one.name.rpartition(".")[2]})


def _read_at(known: Material, path: str) -> Offered | None:
    return next((other for other in known.at(path) if other.reads), None)


def _change(known: Material, one: Offered, found: Suggestion) -> None:
    read = _read_at(known, one.path)
    if read is None:
        found.reasons.append(f"No GET stands at {one.path}: choose the read that shows what was changed.")
    else:
        found.because(f"GET {read.path} shows the same record, before and after.", read_back=read.name)
    found.because(f"The old values are put back by another {one.method}.", undo=one.name)


def _removal(known: Material, one: Offered, found: Suggestion) -> None:
    read = _read_at(known, one.path)
    if read is not None:
        found.because(f"GET {read.path} no longer finds the record once it is gone.", read_back=read.name)
    found.because("DELETE takes a record away, and doing it twice changes nothing more.", removes=True, risk="high")
    found.because(
        "The document offers nothing that makes the same record again.",
        undo=NONE, undo_reason="A deleted record cannot be made again with its own id.",
    )  # fmt: skip


def _creation(known: Material, one: Offered, found: Suggestion) -> None:
    found.because(f"POST {one.path} makes a record: others below it have an address of their own.", creates=True)
    listed = _read_at(known, one.path)
    fields: Mapping[str, str] = {}
    if listed is not None:
        fields = known.fields(listed.name)
        names = known.endpoint(one.name).body_names
        match = {argument: wire for argument, wire in names.items() if fields.get(wire) in _PLAIN}
        # What may be left out may come back as the API's own default, and then match nothing.
        match = {argument: match[argument] for argument in known.required(one.name) if argument in match} or match
        found.because(
            f"GET {listed.path} lists the records; the new one is a row that says what was sent.",
            read_back=listed.name, given={}, **({"match": match} if match else {}),
        )  # fmt: skip
    if not _marked(known, one, listed, found):
        found.because(
            "No field carries a reference of ours, so the made record's id cannot be found for certain.",
            undo=NONE, undo_reason="The id of the made record is not known beforehand.",
        )  # fmt: skip
        return
    gone = next((other for other in known.below(one.path) if other.method == "DELETE"), None)
    if gone is None:
        found.because("The document offers no DELETE for it.", undo=NONE, undo_reason="The API deletes no such record.")
        return
    # One argument names the record: its id, which the marked record holds.
    needs = known.required(gone.name)
    key = next((name for name in (*(words for words in needs), "id") if _field(fields, name)), "")
    if len(needs) == 1 and key:
        found.because(
            f"DELETE {gone.path} takes the made record away, found by its reference.",
            undo=gone.name, undo_with={needs[0]: f"found.{_field(fields, key)}"},
        )  # fmt: skip
    else:
        found.because(
            "Its id cannot be told from its fields.", undo=NONE, undo_reason="The made record's id cannot be told."
        )


_PLAIN = frozenset(("string", "integer", "number", "boolean"))


def _field(fields: Mapping[str, str], name: str) -> str:
    return next((field for field in fields if words_of(field) == words_of(name)), "")


def _marked(known: Material, one: Offered, listed: Offered | None, found: Suggestion) -> bool:
    """Suggest which body field carries our reference, where a list can be asked for it."""
    if listed is None:
        return False
    asked = known.endpoint(listed.name).arguments.model_fields
    fields = known.fields(listed.name)
    for wire, kinds in known.body_types(one.name).items():
        if not _REFERENCE.fullmatch(wire) or kinds != {"string"} or wire not in fields:
            continue
        same = next((name for name in asked if words_of(name) == words_of(wire)), "")
        search: dict[str, Any] = {same: EFFECT_KEY} if same else {}
        if not search and "filter" in asked:
            search = {"filter": f"={wire} eq '{KEY_PLACE}'"}
        if search:
            found.because(
                f"“{wire}” can carry a reference of ours, and GET {listed.path} can be asked for it.",
                marker=wire, found_by={"read": listed.name, "with": search},
            )  # fmt: skip
            # Goldseam fills it itself, so nobody gives it as an argument.
            match = {name: field for name, field in found.parts.pop("match", {}).items() if field != wire}
            found.parts |= {"match": match} if match else {}
            return True
    return False


def _act(known: Material, one: Offered, found: Suggestion) -> None:
    """Suggest of a POST that does something with a record, such as POST /bills/{id}/pay."""
    above = one.path.rstrip("/").rpartition("/")[0]
    read = _read_at(known, one.path) or _read_at(known, above)
    if read is not None:
        found.because(f"GET {read.path} shows the record that it is about.", read_back=read.name)
    else:
        found.reasons.append("No GET shows what it is about: choose the read that does.")
    back = next(
        (other for path in _opposites(one.path) for other in known.at(path) if other.method == one.method), None
    )
    if back is not None:
        found.because(f"{back.method} {back.path} sounds like its opposite.", undo=back.name)
    else:
        found.because(
            "The document offers no opposite.", undo=NONE, undo_reason="The API has no operation that takes it back."
        )
    found.reasons.append("The document does not say what the record shows afterwards: name a field and its value.")


def _opposites(path: str) -> Iterator[str]:
    above, _, last = path.rstrip("/").rpartition("/")
    for one, other in _OPPOSITES:
        for said, back in ((one, other), (other, one)):
            if last.lower() == said:
                yield f"{above}/{back}"


def _guarded(known: Material, one: Offered, found: Suggestion) -> None:
    """Suggest what keeps a write from being done twice, or over somebody else's change."""
    headers = known.headers(one)
    key = next((name for name in headers if _IDEMPOTENT.fullmatch(name)), "")
    if key:
        found.because(
            f"The document names the header {key}: the same key again does nothing more.", idempotency_key=key
        )
    read = known.offered.get(str(found.parts.get("read_back")))
    etag = read is not None and known.answers_with(read, "ETag")
    if "if-match" in {name.lower() for name in headers}:
        found.reasons.append("It takes If-Match: a record that was changed meanwhile is not overwritten.")
    elif etag:
        found.reasons.append("Its read gives an ETag, which is sent back as If-Match.")
    elif not found.parts.get("creates"):
        found.reasons.append(
            "The document names no ETag; where the API gives one all the same, it is sent as If-Match."
        )
    if found.parts.get("creates") and not key and not found.parts.get("marker"):
        found.reasons.append(
            "The document names nothing that makes a second POST harmless. Ask the API's owner for a header such as"
            " Idempotency-Key, or a field for a reference of ours."
        )


def _money(known: Material, one: Offered, found: Suggestion) -> None:
    """Suggest the sum that is at stake, where name and fields say that money moves."""
    words = set(words_of(f"{one.name} {one.path}").split("_"))
    if not words & _MONEY:
        return
    own = known.endpoint(one.name).body_names
    read = str(found.parts.get("read_back") or "")
    fields = known.fields(read) if read else {}
    amount, currency = _source(_AMOUNT, own, fields), _source(_CURRENCY, own, fields)
    if amount and currency:
        found.because(
            "Its name speaks of money; an approver sees this sum.",
            financial=True, amount=amount, currency=currency, risk="high",
        )  # fmt: skip
    else:
        found.reasons.append("Its name speaks of money: if it moves any, say which field holds the sum.")


def _source(wanted: re.Pattern[str], own: Mapping[str, str], fields: Mapping[str, str]) -> str:
    for argument in own:
        if wanted.fullmatch(argument):
            return f"argument.{argument}"
    return next((f"before.{field}" for field in fields if wanted.fullmatch(words_of(field))), "")


def usable(known: Material, name: str) -> str:
    """Say why an operation cannot be used; blank where it can."""
    try:
        known.endpoint(name)
    except Unusable as refused:
        return str(refused)
    return ""
