"""The form field of declarations: sheets of questions, one for each operation, and the same as a text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django import forms
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from connectors.kit.declaring import Part, Sheet

SEVERAL = "several"
# With more suggestions than this only the first is opened: the others are headings, so that the page stays short.
MOST_OPENED = 3
_BOXES = "[]"  # ends the name of a question with several answers


@dataclass(frozen=True)
class Answered:
    """What was sent: the text, and the answers by operation and question."""

    text: str = ""
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text


class Sheets(forms.Widget):
    """Draws the sheets; the form says which there are, and what is wrong with what was answered."""

    template_name = "admin/connectors/connection/sheets.html"

    class Media:
        css: ClassVar = {"all": ["css/sheets.css"]}

    def __init__(self, attrs: Any = None) -> None:
        """Begin without sheets."""
        super().__init__(attrs)
        self.sheets: Sequence[Sheet] = ()
        self.errors: Mapping[tuple[str, str], str] = {}
        self.opened: frozenset[str] = frozenset()  # those that somebody asked for

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Answered:
        """Gather the text and every answer. An answer is called ``field:operation:question``."""
        found: dict[str, dict[str, Any]] = {}
        for key in data:
            if key.startswith(f"{name}:") and key.count(":") == 2:
                _, operation, question = key.split(":")
                several = question.endswith(_BOXES)
                value = data.getlist(key) if several else data.get(key)
                found.setdefault(operation, {})[question.removesuffix(_BOXES)] = value
        # Browsers end lines in their own way; the text stays as it was kept.
        return Answered(str(data.get(name) or "").replace("\r\n", "\n"), found)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Tell whether nothing of it was sent."""
        return name not in data

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Draw it with the site's own templates."""
        waiting = [sheet.name for sheet in self.sheets if sheet.state == "suggested"]
        first = frozenset(waiting if len(waiting) <= MOST_OPENED else waiting[:1])
        drawn = [self._drawn(name, sheet, first) for sheet in self.sheets]
        context = {
            "name": name,
            "id": (attrs or {}).get("id", f"id_{name}"),
            "text": str(value or ""),
            "sheets": drawn,
            "waiting": len(waiting),
            "declared": sum(sheet.state == "declared" for sheet in self.sheets),
            "text_open": ("", "") in self.errors,
        }
        return render_to_string(self.template_name, context)

    def _drawn(self, name: str, sheet: Sheet, first: frozenset[str]) -> dict[str, Any]:
        groups = [(title, [self._asked(name, sheet, part) for part in parts]) for title, parts in sheet.groups]
        wrong = [said for (operation, _), said in self.errors.items() if operation == sheet.name]
        known = {part.name for _, parts in sheet.groups for part in parts}
        beside = [
            said for (operation, part), said in self.errors.items() if operation == sheet.name and part not in known
        ]
        # A sheet that is settled is folded, so that the page stays short.
        opened = bool(wrong) or sheet.name in first | self.opened
        return {"sheet": sheet, "key": f"{name}:{sheet.name}", "groups": groups, "errors": beside, "open": opened}

    def _asked(self, name: str, sheet: Sheet, part: Part) -> dict[str, Any]:
        said = self.errors.get((sheet.name, part.name), "")
        chosen = set(part.value) if part.way == SEVERAL else {str(part.value)}
        groups = [
            (group, [(value, label, value in chosen) for value, label in choices]) for group, choices in part.choices
        ]
        ticked = sum(on for _, choices in groups for *_, on in choices)
        key = f"{name}:{sheet.name}:{part.name}{_BOXES if part.way == SEVERAL else ''}"
        return {"part": part, "key": key, "error": said, "groups": groups, "on": ticked}


class Declarations(forms.Field):
    """Takes the text and the answers; what they come to is worked out with the rest of the form."""

    widget = Sheets

    def clean(self, value: Any) -> Any:
        """Return what was sent."""
        return value if isinstance(value, Answered) else Answered(str(value or ""))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Tell whether the text was changed, or any answer sent."""
        return not isinstance(data, Answered) or data.text != (initial or "") or bool(data.answers)
