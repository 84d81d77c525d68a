"""The connection form, drawn from what its kind declares: one field per setting, per secret, per write operation."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar

from django import forms
from pydantic.fields import FieldInfo

from audit.admin import ReasonForm
from audit.errors import Invalid
from connectors import actions, registry, repointing, texts
from connectors.base import Connector, Operation, Read, Tell, Write
from connectors.door import governing
from connectors.door.models import Label
from connectors.forms import settings as setting_fields
from connectors.forms.declared import LOOK, OPEN, Declaring
from connectors.forms.declared_fields import Declarations
from connectors.forms.fetching import FetchedFrom
from connectors.kit.declaring import Declares
from connectors.models import Connection

CONFIG, SECRET = setting_fields.CONFIG, "secret_"
# Words of names that are not written as they stand.
_SPELLED = {"tls": "TLS", "starttls": "STARTTLS", "oauth": "OAuth", "api": "API", "url": "URL", "hmac": "HMAC"}


class ConnectionForm(ReasonForm):
    """What every kind has. ``form_for`` adds what one kind needs."""

    kind_class: ClassVar[type[Connector]]
    fetch_refused: ClassVar[str] = ""  # why a document that was asked for did not come
    operations = setting_fields.Names(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Writes that may be used",
        help_text="A write that is not chosen is refused, whatever a playbook says.",
    )
    reads = setting_fields.Names(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Reads that may be used",
        help_text="None chosen: every one.",
    )
    cleared = forms.MultipleChoiceField(
        required=False,
        choices=Label.choices,
        widget=forms.CheckboxSelectMultiple,
        label="Cleared for",
        help_text="A field with one of these labels is sent only to a system that is cleared for it.",
    )
    labels = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "vLargeTextField"}),
        label="Labelled fields",
        help_text="One field or argument a line with its label, such as “CustomerName: personal”.",
    )
    hook_secret = forms.CharField(
        required=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "class": "vTextField"}),
        label="Hook secret",
    )

    class Meta:
        model = Connection
        fields: ClassVar = [
            "slug", "label", "enabled", "poll", "owner", "data_class", "team", "rate_calls", "rate_seconds",
            "price_call", "price_tokens", "price_currency",
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        connection = self.instance
        known = registry.operations_of(connection) if connection.pk else self.kind_class.operations
        self.fields["operations"].choices = [  # type: ignore[attr-defined]
            (item.name, f"{item.label} ({item.name})") for item in known if isinstance(item, Write | Tell)
        ]
        self.fields["reads"].choices = [  # type: ignore[attr-defined]
            (item.name, f"{item.label or item.name} ({item.name})") for item in known if isinstance(item, Read)
        ]
        setting_fields.prepare(self.fields, self.kind_class, connection)
        self.declaring = Declaring(self, self.kind_class) if issubclass(self.kind_class, Declares) else None
        # Shown, and never sent: playbooks use it.
        self.fields["slug"].disabled = bool(connection.pk)
        # Left out it stays as it is: business, where nobody ever said otherwise.
        self.fields["data_class"].required = False
        self.initial.update({name: getattr(connection, name) for name in ("operations", "reads", "cleared")})
        self.initial["labels"] = "\n".join(f"{name}: {label}" for name, label in connection.labels.items())
        for name in ("slug", "label", "change_reason"):
            if name in self.fields:
                self.fields[name].widget.attrs.setdefault("class", "vTextField")
        self.fields["hook_secret"].help_text = _kept(bool(connection.hook_secret_digest)) + " At least 16 letters."
        for name in self.kind_class.config.model_fields:
            if connection.pk and name in connection.config and name not in texts.fields_of(self.kind_class):
                self.initial[CONFIG + name] = connection.config[name]
        for name in self.kind_class.secrets:
            self.fields[SECRET + name].help_text = _kept(name in connection.secrets)
        if self.declaring and not self.is_bound:
            self.declaring.draw(connection.config, connection.labels)

    @property
    def is_looking(self) -> bool:
        """Tell whether the form is only to be drawn anew with what was entered: nothing is saved."""
        return self.is_bound and (LOOK in self.data or OPEN in self.data)

    def is_valid(self) -> bool:
        """Tell whether what was entered can be saved; what was only to be looked at never is."""
        return super().is_valid() and not self.is_looking

    def full_clean(self) -> None:
        """Hold what was entered; draw what follows from it."""
        super().full_clean()
        if self.declaring and self.is_bound:
            self.declaring.redraw(looking=self.is_looking)

    def clean(self) -> dict[str, Any]:
        """Hold the settings against the kind's own schema, and say what is wrong beside the field."""
        cleaned = super().clean() or self.cleaned_data
        known: Sequence[Operation] = self.kind_class.operations
        if self.declaring:
            self.declaring.hear(cleaned)
        try:
            settings = actions.valid_settings(self.kind_class.slug, self.chosen_config())
            known = self.kind_class.operations_of(settings)
            self._hold_address(settings.model_dump(mode="json"))
            if "operations" in cleaned:
                actions.valid_operations(self.kind_class, known, cleaned["operations"])
            self._hold_rules(cleaned, known)
        except Invalid as invalid:
            for name, messages in invalid.errors.items():
                if self.declaring and self.declaring.place(name, messages):
                    continue
                field = self._field_of(name)
                self.add_error(field if field in self.fields else name if name in self.fields else None, messages)
        secret = cleaned.get("hook_secret") or ""
        if secret and len(secret) < actions.SHORTEST_HOOK_SECRET:
            self.add_error("hook_secret", f"Use at least {actions.SHORTEST_HOOK_SECRET} letters.")
        return cleaned

    def _hold_address(self, config: dict[str, Any]) -> None:
        """Ask for the secrets again where they would be sent to another address. Raises ``Invalid``."""
        if self.instance.pk:
            stored = self.instance.secrets
            repointing.hold(self.kind_class, self.instance.config, config, stored=stored, given=self.new_secrets())

    def _field_of(self, name: str) -> str:
        if name.startswith(repointing.SECRETS):
            return SECRET + name.removeprefix(repointing.SECRETS)
        return CONFIG + name.partition(".")[0]

    def clean_data_class(self) -> str:
        """Keep what stands where nothing was chosen."""
        return str(self.cleaned_data["data_class"] or self.instance.data_class)

    def clean_labels(self) -> dict[str, str]:
        """Read one field with its label from each line."""
        pairs = (line.rpartition(":") for line in self.cleaned_data["labels"].splitlines() if line.strip())
        return {name.strip(): label.strip().lower() for name, _, label in pairs}

    def _hold_rules(self, cleaned: dict[str, Any], known: Sequence[Operation]) -> None:
        given = {name: cleaned[name] for name in governing.COLUMNS if name in cleaned}
        governing.check(Connection(slug=cleaned.get("slug") or "", **given), self.kind_class, known)

    def chosen_config(self) -> dict[str, Any]:
        """Return the settings as they were entered; what was left blank takes its default."""
        entered = {name: self.cleaned_data.get(CONFIG + name) for name in self.kind_class.config.model_fields}
        for name in texts.fields_of(self.kind_class):
            uploaded = self.cleaned_data.get(CONFIG + name + setting_fields.FILE)
            fetched = self.declaring.fetched if self.declaring else ""
            entered[name] = uploaded or entered[name] or fetched or self.instance.config.get(name)
        if self.declaring:
            entered |= self.declaring.settings
        return {name: value for name, value in entered.items() if value not in (None, "")}

    def new_secrets(self) -> dict[str, str]:
        """Return the secrets that were entered; a blank one stays as it is."""
        entered = {name: self.cleaned_data.get(SECRET + name) or "" for name in self.kind_class.secrets}
        return {name: value for name, value in entered.items() if value}


def form_for(kind: type[Connector]) -> type[ConnectionForm]:
    """Return the form class of one kind."""
    drawn = {name: info for name, info in kind.config.model_fields.items() if setting_fields.is_drawn(info)}
    fields: dict[str, Any] = {CONFIG + name: field_of(info, name) for name, info in drawn.items()}
    fields |= {CONFIG + name + setting_fields.FILE: setting_fields.TextFile() for name in texts.fields_of(kind)}
    for name in sorted(kind.secrets):
        widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "class": "vTextField"})
        fields[SECRET + name] = forms.CharField(required=False, widget=widget, label=_titled(name), strip=True)
    return type(f"{kind.__name__}Form", (ConnectionForm,), {**fields, "kind_class": kind})


def field_of(info: FieldInfo, name: str) -> forms.Field:
    """Draw one setting: a box for yes and no, a list for a choice, a number, or a text."""
    shared: dict[str, Any] = {"label": info.title or _titled(name), "help_text": info.description or ""}
    default = None if info.is_required() else info.get_default()
    kind = info.annotation
    if kind is bool:
        return forms.BooleanField(required=False, initial=default, **shared)
    shared |= {"required": info.is_required(), "initial": default}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return forms.ChoiceField(choices=[(item.value, _titled(str(item.value))) for item in kind], **shared)
    if kind is int:
        return forms.IntegerField(widget=forms.NumberInput(attrs={"class": "vIntegerField"}), **shared)
    if kind is float:
        return forms.FloatField(widget=forms.NumberInput(attrs={"class": "vIntegerField"}), **shared)
    extra = info.json_schema_extra
    return _text_field(extra if isinstance(extra, dict) else {}, shared)


def _text_field(marks: Mapping[str, Any], shared: dict[str, Any]) -> forms.Field:
    """Draw a setting that is a text, or more than a text where the kind marks it so."""
    if marks.get("offered"):
        return setting_fields.Names(widget=setting_fields.Offered, **shared)
    if marks.get("sheets"):
        return Declarations(**shared)
    if marks.get("fetches"):
        return forms.CharField(widget=FetchedFrom, **shared)
    if marks.get("multiline"):
        return forms.CharField(widget=forms.Textarea(attrs={"class": "vLargeTextField", "rows": 6}), **shared)
    return forms.CharField(widget=forms.TextInput(attrs={"class": "vTextField"}), **shared)


def fieldsets_for(kind: type[Connector]) -> list[tuple[str | None, dict[str, Any]]]:
    """Group the form: what it is, where it is, who signs in, what it may do."""
    groups = setting_fields.laid_out(kind)
    return [
        (None, {"fields": ["slug", "label", "owner", "enabled"]}),
        *((name or kind.label, {"fields": fields}) for name, fields in groups.items()),
        (
            "Secrets",
            {
                "fields": [*(SECRET + name for name in sorted(kind.secrets)), "hook_secret"],
                "description": "Sealed before they are stored and never shown again: only whether they are set.",
            },
        ),
        ("What it may do", {"fields": ["operations", "reads", "poll"]}),
        (
            "Data",
            {
                "fields": ["data_class", "labels", "cleared"],
                "description": "Held against every playbook when it is saved and again when it runs.",
            },
        ),
        (
            "Limits",
            {
                "fields": [
                    ("rate_calls", "rate_seconds"),
                    "team",
                    ("price_call", "price_tokens", "price_currency"),
                ],
                "description": "Prices are counted against budgets; a budget itself is set under Budgets.",
            },
        ),
        ("Why", {"fields": ["change_reason"]}),
    ]


def _kept(is_set: bool) -> str:
    return "Set. Leave blank to keep it." if is_set else "Not set."


def _titled(name: str) -> str:
    text = " ".join(_SPELLED.get(word.lower(), word.lower()) for word in name.split("_"))
    return text[:1].upper() + text[1:]
