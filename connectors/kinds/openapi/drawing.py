"""The sheets of everything that is chosen; beyond the first few one is a heading until it is opened."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from connectors.kinds.openapi.answering import Told, raw, read_told, write_told
from connectors.kinds.openapi.material import Material, material
from connectors.kinds.openapi.reading import Unusable
from connectors.kinds.openapi.sheets import Drawing
from connectors.kinds.openapi.suggesting import suggested
from connectors.kit.declaring import Answers, Sheet

# Each sheet lists most operations of its document, so a page with all of them would be megabytes long.
MOST_DRAWN = 25


def drawn(config: Mapping[str, Any], labels: Mapping[str, str], answers: Answers) -> list[Sheet]:
    """Return the sheets of the chosen operations: what waits for an answer first, then the reads that show records.

    A sheet that was answered or opened (it stands in ``answers``) is drawn whole, and so are the first ones.
    """
    known, chosen = material(config), [*(config.get("chosen") or ()), *(config.get("waiting") or ())]
    try:
        told = raw(str(config.get("declarations") or ""))
        offered = known.offered
    except Unusable:
        return []  # the validator says so beside its field
    drawing = Drawing(known, chosen, labels)
    writes = [name for name in dict.fromkeys(chosen) if name in offered and not offered[name].reads]
    writes.sort(key=lambda name: name in told)
    sheets: list[Sheet] = []
    shown: list[str] = []
    for number, name in enumerate(writes):
        if number < MOST_DRAWN or name in answers:
            sheet, parts = _sheet(drawing, name, told.get(name), answers.get(name))
        else:
            parts = told.get(name, {})
            sheet = _headed(known, name, "declared" if name in told else "suggested", is_folded=True)
        sheets.append(sheet)
        shown += [str(parts.get("read_back") or ""), str((parts.get("found_by") or {}).get("read") or "")]
    reads = [*shown, *(name for name in told if name in offered and offered[name].reads)]
    for number, name in enumerate(dict.fromkeys(one for one in reads if one in offered and offered[one].reads)):
        if number < MOST_DRAWN or name in answers:
            parts = read_told(known, name, told.get(name, {}), answers.get(name))
            sheets.append(_tried(known, name, "read", partial(drawing.read, name, parts)))
        else:
            sheets.append(_headed(known, name, "read", is_folded=True))
    return sheets


def _sheet(drawing: Drawing, name: str, declared: Told | None, given: Mapping[str, Any] | None) -> tuple[Sheet, Told]:
    """Return one write's sheet, and what it says at present."""
    known = drawing.known
    state, reasons, base = "declared", [], dict(declared or {})
    if declared is None:
        state = "suggested"
        try:
            found = suggested(known, name)
        except Unusable as refused:
            return _headed(known, name, state, trouble=str(refused)), {}
        base, reasons = {**found.parts, "labels": found.labels}, found.reasons
    parts = write_told(known, name, base, given) if given else base
    return _tried(known, name, state, lambda: drawing.write(name, parts, state=state, reasons=reasons)), parts


def _tried(known: Material, name: str, state: str, draw: Callable[[], Sheet]) -> Sheet:
    try:
        return draw()
    except Unusable as refused:
        return _headed(known, name, state, trouble=str(refused))


def _headed(known: Material, name: str, state: str, *, trouble: str = "", is_folded: bool = False) -> Sheet:
    """Return a sheet without questions: they cannot be asked, or only once it is opened."""
    one = known.offered[name]
    return Sheet(name, one.label, f"{one.method} {one.path}", state, (), trouble=trouble, is_folded=is_folded)
