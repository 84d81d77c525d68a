"""Fields of the connection form for settings that are more than a line: long texts, and choices of what is offered."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from pydantic.fields import FieldInfo

from connectors import texts
from connectors.base import Connector
from connectors.kit.declaring import Declares
from connectors.models import Connection

CONFIG, FILE = "config_", "_file"
LARGEST = 20_000_000


class Names(forms.MultipleChoiceField):
    """Names that are held against what is being entered, not against what the page once offered."""

    def valid_value(self, value: Any) -> bool:
        """Take every name: the settings know which there are."""
        return True


class Offered(forms.CheckboxSelectMultiple):
    """Many boxes in groups, with a field that filters them; without scripts the whole list stands there."""

    template_name = "admin/connectors/connection/offered.html"

    class Media:
        js: ClassVar = ["js/offered.js"]
        css: ClassVar = {"all": ["css/offered.css"]}

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Draw it with the site's own templates."""
        return render_to_string(self.template_name, self.get_context(name, value, attrs))

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Say how many there are, and how many are chosen."""
        context: dict[str, Any] = super().get_context(name, value, attrs)
        groups = context["widget"]["optgroups"]
        context["widget"]["count"] = sum(len(options) for _, options, _ in groups)
        context["widget"]["chosen"] = sum(option["selected"] for _, options, _ in groups for option in options)
        return context


class TextFile(forms.FileField):
    """A text that is uploaded instead of pasted."""

    def __init__(self) -> None:
        super().__init__(required=False, label="Or upload it", help_text="A file in UTF-8 instead of the text above.")

    def clean(self, data: Any, initial: Any = None) -> str:
        """Return the file's text. Raises ``ValidationError``."""
        found = super().clean(data, initial)
        if not found:
            return ""
        if found.size > LARGEST:
            raise ValidationError(f"The file has more than {LARGEST:,} bytes.")
        try:
            return str(found.read().decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise ValidationError("The file is no text in UTF-8.") from None


def prepare(fields: Mapping[str, Any], kind: type[Connector], connection: Connection) -> None:
    """Put what is kept and what is offered into the form's fields."""
    for name in texts.fields_of(kind):
        field = fields[CONFIG + name]
        field.required = False  # it may be uploaded, or kept
        field.strip = False
        if kept := connection.config.get(name):
            field.help_text = f"Kept ({kept[:19]}…). Leave blank to keep it; paste another to replace it."


def marked(kind: type[Connector], mark: str) -> str:
    """Return the form's field for the setting that a kind marked so; blank where it has none."""
    extras = {name: info.json_schema_extra for name, info in kind.config.model_fields.items()}
    return next((CONFIG + name for name, extra in extras.items() if isinstance(extra, dict) and extra.get(mark)), "")


def extra_of(kind: type[Connector], field: str, mark: str) -> str:
    """Return what a kind says in the mark of the setting behind a form's field."""
    extra = kind.config.model_fields[field.removeprefix(CONFIG)].json_schema_extra
    return str(extra.get(mark) or "") if isinstance(extra, dict) else ""


def offered(kind: type[Connector], config: Mapping[str, Any]) -> list[Any]:
    """Return what a kind that is given a document has to choose from, in groups: name, and what it does."""
    long = texts.fields_of(kind)
    if not issubclass(kind, Declares) or not all(config.get(name) for name in long):
        return []
    try:
        return list(kind.offers(config))
    except ValueError:
        return []  # the validator says so beside its field


def is_drawn(info: FieldInfo) -> bool:
    """Tell whether a setting has a field of its own."""
    return not isinstance(info.json_schema_extra, dict) or info.json_schema_extra.get("drawn") is not False


def laid_out(kind: type[Connector]) -> dict[str, list[str]]:
    """Return the names of a kind's fields in their order, a file's beside its text's, by group; blank is the first."""
    long = texts.fields_of(kind)
    found: dict[str, list[str]] = {"": []}
    for name, info in kind.config.model_fields.items():
        if is_drawn(info):
            extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
            fields = [CONFIG + name, CONFIG + name + FILE] if name in long else [CONFIG + name]
            found.setdefault(str(extra.get("group") or ""), []).extend(fields)
    return found
