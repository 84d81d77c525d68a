"""From what was answered on sheets to declarations, and back: the same text that files hold."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from connectors.kinds.openapi.declarations import EFFECT_KEY, KEY_PLACE, NONE, Declaration, written
from connectors.kinds.openapi.material import Material, material
from connectors.kinds.openapi.reading import Unusable, read
from connectors.kinds.openapi.sheets import CREATES, READS, REMOVES, Drawing, key_fields
from connectors.kinds.openapi.suggesting import suggested
from connectors.kinds.openapi.writes import by_found
from connectors.kit.declaring import Answers
from connectors.kit.declaring import Told as Result

_ORDER = [info.alias or name for name, info in Declaration.model_fields.items()]
_EXTRAS = ("confirmed", "allow", "labels")
_CODE = re.compile(r"[A-Z]{3}")
_PLACES = {
    "read_back": "read_back", "with": "read_back", "match": "match", "undo": "undo", "undo_with": "undo",
    "found_by": "finder", "marker": "marker", "key": "key", "idempotency_key": "idempotency_key",
    "amount": "amount", "currency": "currency",
}  # fmt: skip
Told = dict[str, Any]


def raw(text: str) -> dict[str, Told]:
    """Return declarations as their text has them. Raises ``Unusable`` where it cannot be read."""
    told = read(text) if text.strip() else {}
    if not isinstance(told, dict) or not all(isinstance(part, dict | None) for part in told.values()):
        raise Unusable("The declarations are names of operations, each with what is declared of it below.")
    return {str(name): dict(part or {}) for name, part in told.items()}


# --- reading answers -------------------------------------------------------------------------------
def write_told(known: Material, name: str, base: Mapping[str, Any], given: Mapping[str, Any]) -> Told:
    """Return a write's declaration as answered over what stood there; what no question is about stays."""
    told = dict(base)
    for way in (CREATES, REMOVES, READS):
        _put(told, way, given.get("what") == way)
    extras: Told = {"confirmed": bool(given.get("confirmed")), "allow": bool(given.get("allow"))}
    if told.get(READS):
        return {READS: True, **extras, "labels": {}}
    back = str(given.get("read_back", told.get("read_back") or ""))
    if back != told.get("read_back"):
        told.pop("with", None)
    _put(told, "read_back", back)
    _asked(known, name, told, given)
    _matched(known, name, told, given)
    _becoming(known, told, given)
    _taken_back(known, name, told, given)
    _guarded(told, given)
    _staked(told, given)
    labels = dict.fromkeys(given.get("personal") or (), "personal")
    labels |= dict.fromkeys(given.get("financial_data") or (), "financial")
    return {**told, **extras, "labels": labels}


def read_told(known: Material, name: str, base: Mapping[str, Any], given: Mapping[str, Any] | None) -> Told:
    """Return a read's declaration as answered over what stood there."""
    told = dict(base)
    if not given:
        return told
    key, standing = str(given.get("key") or ""), key_fields(told)
    if key != (standing[0] if standing else ""):
        needed = known.required(name)
        alone = known.shape(name).single and len(needed) == 1
        _put(told, "key", ({key: needed[0]} if alone else [key]) if key else None)
    for part in ("version", "record"):
        _put(told, part, str(given.get(part) or "").strip())
    return told


def _put(told: Told, name: str, value: Any) -> None:
    """Say something, or leave it out where nothing is said."""
    if value in (None, "", False):
        told.pop(name, None)
    else:
        told[name] = value


def _rows(given: Mapping[str, Any], part: str, operation: str) -> dict[str, str]:
    """Return the answers that were given for the arguments of one other operation; those for another are void."""
    mark = f"@{operation}"
    found = {name: value for name, value in given.items() if name.startswith(f"{part}.") and name.endswith(mark)}
    return {name.removeprefix(f"{part}.").removesuffix(mark): str(value) for name, value in found.items()}


def _kept(standing: Mapping[str, Any], rows: Mapping[str, str]) -> Told:
    """Return rows that say something; a value that stood there keeps its type."""
    return {
        name: standing[name] if name in standing and str(standing[name]) == value else value
        for name, value in rows.items()
        if value
    }


def _asked(known: Material, name: str, told: Told, given: Mapping[str, Any]) -> None:
    rows = _rows(given, "with", str(told.get("read_back") or ""))
    if not rows:
        return
    own = known.endpoint(name).arguments.model_fields
    usual = {argument: f"argument.{argument}" if argument in own else "" for argument in rows}
    if told.get("with") is None and rows == usual:
        return
    told["with"] = _kept(told.get("with") or {}, rows)


def _matched(known: Material, name: str, told: Told, given: Mapping[str, Any]) -> None:
    back = str(told.get("read_back") or "")
    if back not in known.offered or known.shape(back).single:
        return
    names, fields, standing = known.endpoint(name).body_names, known.fields(back), told.get("match") or {}
    ticked = given.get("match") or ()
    kept = {argument: wire for argument, wire in standing.items() if names.get(argument) not in fields}
    _put(told, "match", {**kept, **{one: standing.get(one) or names[one] for one in ticked if one in names}} or None)


def _becoming(known: Material, told: Told, given: Mapping[str, Any]) -> None:
    if "becomes_field" not in given or told.get(REMOVES):
        return
    standing = list((told.get("becomes") or {}).items())
    field, value = str(given["becomes_field"]).strip(), str(given.get("becomes_value") or "").strip()
    back = str(told.get("read_back") or "")
    kind = known.fields(back).get(field, "") if back in known.offered else ""
    first = [(field, _typed(kind, value))] if field else []
    _put(told, "becomes", dict([*first, *standing[1:]]) or None)


def _typed(kind: str, value: str) -> Any:
    """Return a value of a field's own type; one that is none of it stays a text, which the validator refuses."""
    if kind == "boolean" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind == "integer" and re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    if kind == "number" and re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", value):
        return float(value)
    return value


def _taken_back(known: Material, name: str, told: Told, given: Mapping[str, Any]) -> None:
    undo = str(given.get("undo", told.get("undo") or ""))
    if undo != told.get("undo"):
        told.pop("undo_with", None)
    _put(told, "undo", undo)
    if undo in ("", NONE):
        for part in ("undo_with", "reversible"):
            told.pop(part, None)
        _put(told, "undo_reason", str(given.get("undo_reason", told.get("undo_reason") or "")).strip()[:300])
        return
    told.pop("undo_reason", None)
    way = str(given.get("reversible") or told.get("reversible") or "")
    _put(told, "reversible", way if way != "exact" else "")
    rows = _rows(given, "undo_with", undo)
    if not rows or undo not in known.offered:
        return
    usual = Drawing(known, (), {}).handed(name, {part: value for part, value in told.items() if part != "undo_with"})
    if told.get("undo_with") is None and rows == usual:
        return
    told["undo_with"] = _kept(told.get("undo_with") or {}, rows)


def _guarded(told: Told, given: Mapping[str, Any]) -> None:
    told.pop("if_match", None)
    if not given.get("if_match"):
        told["if_match"] = False
    _put(told, "idempotency_key", str(given.get("idempotency_key") or "").strip())
    _put(told, "quoted", bool(given.get("quoted")))
    if "marker" not in given:
        return
    _put(told, "marker", str(given["marker"]))
    finder, argument = str(given.get("finder") or ""), str(given.get("finder_argument") or "")
    if not told.get("marker"):
        told.pop("found_by", None)
        return
    text = str(given.get("finder_text") or "").strip()
    standing = told.get("found_by") or {}
    kept = {name: part for name, part in standing.items() if standing.get("read") == finder and name == "field"}
    search = {argument: f"={text}" if text else EFFECT_KEY} if argument else {}
    told["found_by"] = {"read": finder, "with": search, **kept}


def _staked(told: Told, given: Mapping[str, Any]) -> None:
    amount, currency = str(given.get("amount") or ""), str(given.get("currency") or "").strip()
    _put(told, "financial", bool(amount))
    _put(told, "amount", amount)
    _put(told, "currency", (f"={currency}" if _CODE.fullmatch(currency) else currency) if amount else "")
    _put(told, "risk", str(given.get("risk") or "") if given.get("risk") != "medium" else "")


# --- what it comes to ------------------------------------------------------------------------------
def result(before: Mapping[str, Any], entered: Mapping[str, Any], answers: Answers) -> Result:
    """Return what the choice, the sheets and the text come to together; the one who changed something is heard."""
    chosen = list(dict.fromkeys(entered.get("chosen") or ()))
    found = Result(text=str(entered.get("declarations") or ""), chosen=chosen)
    known = material(entered)
    try:
        stood, text, offered = raw(str(before.get("declarations") or "")), raw(found.text), known.offered
    except Unusable:
        return found  # the validators say so beside their fields
    told = {name: part for name, part in text.items() if name in chosen or part != stood.get(name)}
    for name, given in answers.items():
        if name in offered and (name in chosen or given.get("state") == "read"):
            _heard(_Hearing(known, stood, told, found), name, given)
    _completed(known, told, found)
    clean = {name: _ordered(part) for name, part in told.items()}
    if clean != text:
        found.text = written(clean)
    found.chosen = [name for name in found.chosen if name not in found.waiting]
    return found


@dataclass(frozen=True)
class _Hearing:
    """What is being worked out: the declarations as they stood, as they become, and what else comes of the answers."""

    known: Material
    stood: Mapping[str, Told]
    told: dict[str, Told]
    found: Result


def _heard(hearing: _Hearing, name: str, given: Mapping[str, Any]) -> None:
    """Take one sheet's answers into the declarations."""
    known, stood, told, found = hearing.known, hearing.stood, hearing.told, hearing.found
    base, is_read = stood.get(name), given.get("state") == "read"
    try:
        if is_read:
            parts: Told = read_told(known, name, base or {}, given)
        else:
            parts = write_told(known, name, base if base is not None else suggested(known, name).parts, given)
    except Unusable:
        return  # its sheet says why; it waits
    if given.get("state") == "suggested" and not parts["confirmed"]:
        return
    clean = {part: value for part, value in parts.items() if part not in _EXTRAS}
    if not is_read:
        _labelled(known, name, parts, found)
    if (base is not None and _same(clean, base)) or (is_read and not clean and base is None):
        return  # the sheet says what stood there: the text is heard
    if not is_read:
        found.errors |= {(name, part): said for part, said in _wrong(clean).items()}
    here = told.get(name)
    if here is not None and here != base and not _same(here, clean):
        found.clashes.append(name)
        return
    told[name] = clean
    if parts.get("allow"):
        found.allow += _allowed(name, clean)


def _labelled(known: Material, name: str, parts: Told, found: Result) -> None:
    for argument in known.endpoint(name).arguments.model_fields:
        found.labels.setdefault(argument, []).append(parts["labels"].get(argument, ""))


def _allowed(name: str, told: Told) -> list[str]:
    """Return the operations that go together: a write, and what takes it back."""
    undo = str(told.get("undo") or NONE)
    if undo in (NONE, name) or told.get(READS):
        return [] if told.get(READS) else [name]
    try:
        marked = by_found(Declaration.model_validate(told))
    except ValidationError:
        marked = False
    return [name, f"{undo}_marked" if marked else undo]


def _completed(known: Material, told: Mapping[str, Told], found: Result) -> None:
    """Choose what declarations name, and let wait what is chosen and not declared."""
    for part in told.values():
        named = [part.get("read_back"), part.get("undo"), (part.get("found_by") or {}).get("read")]
        found.chosen += [str(one) for one in named if one in known.offered and one not in found.chosen]
    writes = [name for name in found.chosen if name in known.offered and not known.offered[name].reads]
    found.waiting = [name for name in writes if name not in told]
    for name, part in told.items():
        if part.get("undo") in found.waiting and (name, "undo") not in found.errors:
            found.errors[name, "undo"] = (
                f"{part['undo']} is not declared yet: confirm it as well, it stands among these."
            )


def _wrong(told: Told) -> dict[str, str]:
    """Say what is missing or cannot be meant, by question."""
    if told.get(READS):
        return {}
    finder = told.get("found_by") or {}
    search = next(iter((finder.get("with") or {}).values()), None)
    asks: Sequence[tuple[bool, str, str]] = (
        (not told.get("read_back"), "read_back", "Choose the read that shows the record."),
        (not told.get("undo"), "undo", "Choose what takes it back, or say that it cannot be taken back."),
        (told.get("undo") == NONE and not told.get("undo_reason"), "undo_reason",
         "Say why nothing takes it back: it stands with the declaration."),
        (bool(told.get("marker")) and not finder.get("read"), "finder", "Choose the read that finds the reference."),
        (bool(finder.get("read")) and not search, "finder_argument", "Choose the argument that takes the reference."),
        (isinstance(search, str) and search != EFFECT_KEY and KEY_PLACE not in search, "finder_text",
         f"Write {KEY_PLACE} where the reference belongs, or leave it blank."),
        (bool(told.get("amount")) and not told.get("currency"), "currency", "Say in which currency the sum is."),
    )  # fmt: skip
    return {part: said for is_wrong, part, said in asks if is_wrong} or _invalid(told)


def _invalid(told: Told) -> dict[str, str]:
    try:
        Declaration.model_validate(told)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_input=False)
        places = ((_PLACES.get(str(error["loc"][0]), "") if error["loc"] else "", error["msg"]) for error in errors)
        return {place: str(said).removeprefix("Value error, ") for place, said in places}
    return {}


def _same(one: Told, other: Told) -> bool:
    try:
        return Declaration.model_validate(one) == Declaration.model_validate(other)
    except ValidationError:
        return one == other


def _ordered(told: Told) -> Told:
    return dict(sorted(told.items(), key=lambda pair: _ORDER.index(pair[0]) if pair[0] in _ORDER else len(_ORDER)))


def placed(message: str, names: Iterable[str]) -> tuple[str, str]:
    """Return the operation and question that a refusal is about; two blanks where it is about neither."""
    for name in sorted(names, key=len, reverse=True):
        if not message.startswith(name):
            continue
        rest = message[len(name) :]
        if rest.startswith("."):
            return name, _PLACES.get(re.split(r"[.:]", rest[1:])[0], "")
        if rest.startswith(":"):
            lost = "the answer is lost" in rest
            return name, "idempotency_key" if lost else "becomes_field" if "shows afterwards" in rest else ""
    return "", ""
