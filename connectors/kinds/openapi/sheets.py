"""The questions that a chosen operation is asked, with answers: as entered, else as declared, else as suggested."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors.kinds.openapi.declarations import EFFECT_KEY, NONE
from connectors.kinds.openapi.documents import Offered
from connectors.kinds.openapi.material import Material
from connectors.kit.declaring import Choice, Groups, Part, Sheet

CHANGES, CREATES, REMOVES, READS = "changes", "creates", "removes", "reads"
# Where a choice has more than this, what is chosen already stands first and the rest in a group of its own.
_ALSO = "Also offered; is then chosen too"
Told = Mapping[str, Any]  # one operation's declaration, as YAML has it
_RISKS = (("low", "Low"), ("medium", "Medium"), ("high", "High"))
_BACK = (
    ("exact", "The record is as it was"),
    ("net_zero", "The sum is zero again; both entries stay"),
    ("until_period_close", "As above, while the period is open"),
)


class Drawing:
    """Draws sheets for the operations that are chosen of one document."""

    def __init__(self, known: Material, chosen: Sequence[str], labels: Mapping[str, str]) -> None:
        self.known = known
        self.chosen = chosen
        self.labels = {name.lower(): label for name, label in labels.items()}

    # --- a write ----------------------------------------------------------------------------------
    def write(self, name: str, told: Told, *, state: str, reasons: Sequence[str] = ()) -> Sheet:
        """Return what is asked of a write. Raises ``Unusable``."""
        one = self.known.offered[name]
        parts = [self._what(one, told)]
        groups: list[tuple[str, list[Part]]] = [("Reading it back", parts)]
        if not told.get("reads"):
            parts += self._read_back(name, told)
            groups.append(("Taking it back", self._undo(name, told)))
            groups.append(("Never twice, never over somebody else", self._guards(name, told)))
            groups.append(("Money, risk and data", self._stakes(name, told)))
        if state == "suggested":
            confirm = [
                Part("confirmed", "This is right: use it", "flag", bool(told.get("confirmed"))),
                Part("allow", "Allow it, and what takes it back", "flag", bool(told.get("allow")),
                     help="Playbooks may then use it, under their policies and approvals."),
            ]  # fmt: skip
            groups.append((f"Is that right for {name}?", confirm))
        return Sheet(name, one.label, f"{one.method} {one.path}", state, groups, reasons)

    def _what(self, one: Offered, told: Told) -> Part:
        ways: list[Choice] = [
            (CHANGES, "changes a record"), (CREATES, "makes a record"), (REMOVES, "takes a record away")
        ]  # fmt: skip
        if one.method == "POST":
            ways.append((READS, "only searches, and changes nothing"))
        value = next((way for way in (READS, CREATES, REMOVES) if told.get(way)), CHANGES)
        return Part("what", "What it does", "choice", value, (("", ways),), redraws=True)

    def _read_back(self, name: str, told: Told) -> list[Part]:
        back = str(told.get("read_back") or "")
        reads = self._operations(reads=True)
        found = [
            Part("read_back", "Read that shows the record", "choice", back, reads, redraws=True,
                 help="It is called before the change, to foresee it, and afterwards, to prove it."),
        ]  # fmt: skip
        if back not in self.known.offered:
            return found
        own = self.known.endpoint(name)
        visible = [argument for argument in own.arguments.model_fields if argument not in own.secret]
        sources = self._sources(visible)
        for argument, source in self.asked(name, back, told).items():
            found.append(
                Part(f"with.{argument}@{back}", f"It is asked: {argument}", "choice", source,
                     _with_value((("", [("", "nothing"), *sources]),), source))
            )  # fmt: skip
        fields = self.known.fields(back)
        match = {argument: wire for argument, wire in own.body_names.items() if wire in fields}
        if match and not self.known.shape(back).single:
            boxes = [(argument, f"{argument} = {wire}") for argument, wire in match.items()]
            found.append(
                Part("match", "Rows of the list that are meant", "several", list(told.get("match") or ()),
                     (("", boxes),), "Those that say what was sent; tick what is always given.")
            )  # fmt: skip
        if not told.get("removes"):
            name_, value = next(iter((told.get("becomes") or {}).items()), ("", ""))
            found += [
                Part("becomes_field", "Field that it sets by itself", "text", name_,
                     (("", [(field, "") for field in fields]),), "Such as status, where paying makes it paid."),
                Part("becomes_value", "… and what it then says", "text", _said(value)),
            ]  # fmt: skip
        return found

    def asked(self, name: str, back: str, told: Told) -> dict[str, str]:
        """Return what the read-back's arguments are filled from, by argument; blank: not at all."""
        own = self.known.endpoint(name).arguments.model_fields
        theirs = self.known.endpoint(back).arguments.model_fields
        given = told.get("with")
        rows = {}
        for argument, info in theirs.items():
            usual = f"argument.{argument}" if argument in own else ""
            value = str((given or {}).get(argument, "")) if given is not None else usual
            if info.is_required() or usual or value:
                rows[argument] = value
        return rows

    # --- taking it back ---------------------------------------------------------------------------
    def _undo(self, name: str, told: Told) -> list[Part]:
        undo = str(told.get("undo") or "")
        itself = (("", [(NONE, "It cannot be taken back"), (name, "This operation, with the values from before")]),)
        others = self._operations(reads=False, without=name)
        found = [
            Part("undo", "What takes it back", "choice", undo, (*itself, *others), redraws=True,
                 help="It is worked out, held and shown before anything is sent."),
        ]  # fmt: skip
        if undo in ("", NONE):
            reason = str(told.get("undo_reason") or "")
            found.append(
                Part("undo_reason", "Why nothing takes it back", "text", reason,
                     help="It stands with the declaration, and in the ledger.")
            )  # fmt: skip
            return found
        sources = self._sources(self.known.endpoint(name).arguments.model_fields)
        back = str(told.get("read_back") or "")
        if back in self.known.offered:
            prefix, said = ("found", "made record") if told.get("marker") else ("before", "record before")
            sources += [(f"{prefix}.{field}", f"{field} of the {said}") for field in self.known.fields(back)]
        if undo in self.known.offered:
            for argument, source in self.handed(name, told).items():
                found.append(
                    Part(f"undo_with.{argument}@{undo}", f"It is given: {argument}", "choice", source,
                         _with_value((("", [("", "nothing"), *sources]),), source))
                )  # fmt: skip
        found.append(Part("reversible", "How completely", "choice", told.get("reversible") or "exact", (("", _BACK),)))
        return found

    def handed(self, name: str, told: Told) -> dict[str, str]:
        """Return what the inverse's arguments are filled from, those that it needs; of itself, only where declared."""
        undo = str(told.get("undo") or "")
        given = told.get("undo_with")
        if undo == name and given is None:
            return {}
        own = self.known.endpoint(name)
        sets = told.get("sets") if told.get("sets") is not None else own.body_names
        rows: dict[str, str] = {}
        for argument, info in self.known.endpoint(undo).arguments.model_fields.items():
            if given is not None:
                value = str(given.get(argument, ""))
            elif argument in (sets or {}):
                value = f"before.{(sets or {})[argument]}"
            else:
                value = f"argument.{argument}" if argument in own.arguments.model_fields else ""
            if info.is_required() or (given is not None and value):
                rows[argument] = value
        return rows

    # --- guards and stakes ------------------------------------------------------------------------
    def _guards(self, name: str, told: Told) -> list[Part]:
        one = self.known.offered[name]
        headers = [(header, "") for header in dict.fromkeys([*self.known.headers(one), "Idempotency-Key"])]
        found = [
            Part("if_match", "Send the version that was read as If-Match", "flag", told.get("if_match", True),
                 help="Where its read gives an ETag: a record that somebody changed meanwhile is not overwritten."),
            Part("idempotency_key", "Header that makes a repeat harmless", "text", told.get("idempotency_key") or "",
                 (("", headers),), "Only one that the API honours; blank: none."),
            Part("quoted", "Its value stands in quotation marks", "flag", bool(told.get("quoted"))),
        ]  # fmt: skip
        marks = [wire for wire, kinds in self.known.body_types(name).items() if kinds == {"string"}]
        if not marks or not (told.get("creates") or told.get("marker")):
            return found
        finder = told.get("found_by") or {}
        read = str(finder.get("read") or "")
        argument, text = _search(finder.get("with") or {})
        asked = self.known.endpoint(read).arguments.model_fields if read in self.known.offered else ()
        return [
            *found,
            Part("marker", "Field that carries our reference", "choice", told.get("marker") or "",
                 (("", [("", "none"), *((wire, wire) for wire in marks)]),), "Found by it when an answer is lost.",
                 redraws=True),
            Part("finder", "Read that finds it by the reference", "choice", read, self._operations(reads=True),
                 redraws=True),
            Part("finder_argument", "… asked in its argument", "choice", argument,
                 _with_value((("", [("", "choose"), *((part, part) for part in asked)]),), argument)),
            Part("finder_text", "… as", "text", text,
                 help="Blank: the reference alone. Or a search that holds {effect_key} in its place."),
        ]  # fmt: skip

    def _stakes(self, name: str, told: Told) -> list[Part]:
        own = self.known.endpoint(name)
        back = str(told.get("read_back") or "")
        fields = self.known.fields(back) if back in self.known.offered else {}
        sources = self._sources(part for part in own.arguments.model_fields if part not in own.secret)
        sums = [*sources, *((f"before.{field}", f"{field} of the record") for field in fields)]
        amount, currency = str(told.get("amount") or ""), str(told.get("currency") or "")
        labels = told.get("labels") or {}
        boxes = (("", [(argument, argument) for argument in own.arguments.model_fields]),)

        def labelled(label: str) -> list[str]:
            standing = {
                argument for argument in own.arguments.model_fields if self.labels.get(argument.lower()) == label
            }
            return sorted(standing | {argument for argument, one in labels.items() if one == label})

        return [
            Part("amount", "Field that holds the sum at stake", "choice", amount,
                 _with_value((("", [("", "it moves no money"), *sums]),), amount)),
            Part("currency", "Its currency", "text", currency.removeprefix("="),
                 (("", [("EUR", ""), ("USD", ""), *((source, said) for source, said in sums)]),),
                 "A code such as EUR, or where it stands, such as before.currency."),
            Part("risk", "Harm that it can do", "choice", told.get("risk") or "medium", (("", _RISKS),)),
            Part("personal", "Personal data", "several", labelled("personal"), boxes,
                 "Sent only where the connection is cleared for it."),
            Part("financial_data", "Financial data", "several", labelled("financial"), boxes),
        ]  # fmt: skip

    # --- a read -----------------------------------------------------------------------------------
    def read(self, name: str, told: Told) -> Sheet:
        """Return what is asked of a read that shows records. Raises ``Unusable``."""
        one, fields = self.known.offered[name], self.known.fields(name)
        usual = self.known.shape(name)
        plain = [(field, field) for field, kind in fields.items() if kind in ("", "string", "integer")]
        key = key_fields(told)
        said = ", ".join(usual.key) or "nothing: choose it"
        parts = [
            Part("key", "Field that names a record", "choice", key[0] if key else "",
                 _with_value((("", [("", f"as the document says ({said})"), *plain]),), key[0] if key else "")),
            Part("version", "Where its version stands", "choice", told.get("version") or "",
                 _with_value((("", [("", "in the ETag of the answer"), *plain]),), str(told.get("version") or ""))),
            Part("record", "Where the records stand in the answer", "text", told.get("record") or "",
                 help=f"In dots. Blank: as the document says ({usual.record or 'at the top'})."),
        ]  # fmt: skip
        return Sheet(name, one.label, f"{one.method} {one.path}", "read", [("Understanding its answers", parts)])

    # --- choices ----------------------------------------------------------------------------------
    def _operations(self, *, reads: bool, without: str = "") -> Groups:
        """Return the operations that may be meant, those that are chosen first."""
        fit = [one for one in self.known.offered.values() if one.reads == reads and one.name != without]
        here = [(one.name, _called(one)) for one in fit if one.name in self.chosen]
        also = [(one.name, _called(one)) for one in fit if one.name not in self.chosen]
        blank = [("", [("", "choose")])] if reads else []
        return (*blank, *([("Chosen", here)] if here else []), *([(_ALSO, also)] if also else []))

    def _sources(self, arguments: Iterable[str]) -> list[Choice]:
        return [(f"argument.{argument}", f"{argument}, as sent") for argument in arguments]


def _called(one: Offered) -> str:
    return f"{one.label} ({one.name})"[:160]


def _with_value(groups: Groups, value: str) -> Groups:
    """Let a value that stands be chosen again, whatever is offered beside it."""
    known = {choice for _, choices in groups for choice, _ in choices}
    return groups if not value or value in known else (*groups, ("As declared", [(value, value)]))


def _search(given: Mapping[str, Any]) -> tuple[str, str]:
    """Return the argument that a finder is asked in, and the text around the key; both blank for none."""
    argument, source = next(((name, source) for name, source in given.items() if "effect_key" in str(source)), ("", ""))
    return argument, "" if source == EFFECT_KEY else str(source).removeprefix("=")


def key_fields(told: Told) -> list[str]:
    """Return the fields that a declared key consists of."""
    key = told.get("key")
    return list(key) if isinstance(key, Mapping | list | tuple) else []


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
