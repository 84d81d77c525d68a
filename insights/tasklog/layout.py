"""Which column of a step log is what: the reference model of user-interaction logs, and what recorders call it.

The layout is that of L. Abb and J.-R. Rehse, A Reference Data Model for Process-Related User Interaction Logs (BPM
2022): who did what to which element of which application, with which input, when.
"""

import re
from collections.abc import Iterable, Mapping

from audit.errors import Invalid

REQUIRED = ("user", "application", "action", "time")
# In the order in which they are looked for; the first that a file has is taken.
NAMES: dict[str, tuple[str, ...]] = {
    "user": ("user", "userid", "username", "userpseudonym", "orgresource", "resource", "operator", "participant"),
    "application": ("application", "app", "applicationname", "appname", "targetapp", "software", "system", "program"),
    "element": ("element", "uielement", "elementlabel", "targetelement", "target", "field", "label", "control", "id"),
    "window": ("uigroup", "window", "windowtitle", "page", "screen", "form", "title", "url"),
    "action": ("action", "actiontype", "eventtype", "event", "interaction", "type", "conceptname", "activity"),
    "value": ("value", "inputvalue", "input", "content", "text", "newvalue", "currentvalue", "clipboardcontent"),
    "time": ("time", "timestamp", "timetimestamp", "at", "eventtime", "date"),
    "session": ("session", "sessionid", "case", "caseid", "caseconceptname"),
}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def mapping_of(columns: Iterable[str], told: Mapping[str, str]) -> dict[str, str]:
    """Return which column holds each part: what was told, else what its name says. Raises ``Invalid``."""
    have = [name for name in columns if name]
    by_plain = {_plain(name): name for name in reversed(have)}
    found: dict[str, str] = {}
    for part, names in NAMES.items():
        if told.get(part):
            if told[part] not in have:
                raise Invalid(
                    "The columns do not fit the file.", {part: [f"The file has no column “{told[part][:60]}”."]}
                )
            found[part] = told[part]
            continue
        fitting = next((by_plain[name] for name in names if name in by_plain), "")
        if fitting and fitting not in found.values():
            found[part] = fitting
    missing = [part for part in REQUIRED if part not in found]
    if missing:
        shown = ", ".join(have[:20]) or "no columns"
        raise Invalid(
            "The file does not say who did what, where and when.",
            {part: [f"Name the column that holds it. The file has {shown}."] for part in missing},
        )
    return found
