"""The part of a connection's form that chooses operations of a document and declares them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from connectors import texts
from connectors.forms import fetching
from connectors.forms import settings as setting_fields
from connectors.forms.declared_fields import Answered
from connectors.kit.declaring import Declares, Told

if TYPE_CHECKING:
    from connectors.forms.connection import ConnectionForm

OPEN = "_open"  # the button that asks for the questions of one operation, without saving anything
LOOK = "_look"  # the button that lists what a document offers, without saving anything
# What is sent back into the page; a larger document is to be chosen again, where no script runs.
MOST_ECHOED = 2_000_000
_UNREAD = "The new document changes operations that are used: read what it changes and tick the box."
_CLASH = "was changed here and in its sheet: take one of the changes back."


class Declaring:
    """Draws offers and sheets for a form, and hears what was answered. The kind knows; this only carries."""

    def __init__(self, form: "ConnectionForm", kind: type[Declares]) -> None:
        self.form, self.kind = form, kind
        self.offered = setting_fields.marked(form.kind_class, "offered")
        self.sheets = setting_fields.marked(form.kind_class, "sheets")
        self.fetches = setting_fields.marked(form.kind_class, "fetches")
        self.settings: dict[str, Any] = {}
        self.told = Told()
        self.sent = Answered()
        self.errors: dict[tuple[str, str], str] = {}

    @property
    def fetched(self) -> str:
        """Return the name of the document that was fetched and is not saved yet."""
        return fetching.waiting(self.form.data, self.fetches) if self.fetches and self.form.is_bound else ""

    # --- drawing ----------------------------------------------------------------------------------
    def draw(
        self, config: Mapping[str, Any], labels: Mapping[str, str], answers: Mapping[str, Any] | None = None
    ) -> None:
        """Put what is offered and what is asked into the form's fields."""
        fields = self.form.fields
        fields[self.offered].choices = setting_fields.offered(self.form.kind_class, config)  # type: ignore[attr-defined]
        chosen = [*(config.get(self._setting(self.offered)) or ()), *(config.get("waiting") or ())]
        self.form.initial[self.offered] = chosen
        widget = fields[self.sheets].widget
        widget.sheets = self.kind.sheets(config, labels, answers or {}) if chosen else []
        widget.errors = self.errors
        self._describe(config)

    def _describe(self, config: Mapping[str, Any]) -> None:
        """Show what a document says of itself and what it changes, as long as it is not the one that is kept."""
        if not self.fetches or not (document := self._document(config)):
            return
        widget = self.form.fields[self.fetches].widget
        try:
            widget.described = self.kind.described(config)
        except ValueError:
            return  # the validator says so beside its field
        widget.differences = self.kind.differences(self.form.instance.config, config)
        widget.is_read = self._is_read(document)
        widget.entered_host = fetching.host_of(str(config.get("base_url") or ""))
        if document == self.fetched:
            widget.waiting = str(self.form.data.get(self.fetches + fetching.FETCHED))

    def _document(self, config: Mapping[str, Any]) -> str:
        """Return the name of the document that was entered; blank where it is the one that is kept."""
        name = setting_fields.extra_of(self.form.kind_class, self.fetches, "fetches")
        entered = texts.reference_to(str(config.get(name) or ""))
        return "" if not config.get(name) or entered == self.form.instance.config.get(name) else entered

    def _is_read(self, document: str) -> bool:
        """Tell whether somebody has read what exactly this document changes."""
        return f"sha256:{self.form.data.get(self.fetches + fetching.READ)}" == document

    def redraw(self, *, looking: bool) -> None:
        """Draw what follows from what was entered, also where it cannot be saved yet."""
        form = self.form
        labels = form.cleaned_data.get("labels")
        # What was answered is no declaration yet: its sheets stay suggestions until they are saved.
        config = {**form.instance.config, **form.chosen_config(), self._setting(self.sheets): self.sent.text}
        opened: dict[str, Any] = {name: {} for name in getattr(form.data, "getlist", lambda _: [])(OPEN)}
        answers = {**opened, **self.sent.answers}
        self.draw(config, labels if isinstance(labels, dict) else form.instance.labels, answers)
        form.fields[self.sheets].widget.opened = frozenset(opened)
        data: Any = form.data
        form.data = data = data.copy()
        # What a sheet names is chosen with it, and stands ticked.
        data.setlist(self.offered, [*self.told.chosen, *self.told.waiting])
        for name in texts.fields_of(form.kind_class):
            # A browser sends a file once: what it held goes on as text, where the page is drawn again.
            text = form.cleaned_data.get(setting_fields.CONFIG + name + setting_fields.FILE) or ""
            if text and len(text) <= MOST_ECHOED:
                data[setting_fields.CONFIG + name] = text
        if looking:
            self._look()

    def _look(self) -> None:
        """Leave only what is wrong with the document itself: nothing else was to be held yet."""
        form = self.form
        fields = [setting_fields.CONFIG + name for name in texts.fields_of(form.kind_class)]
        about = {*fields, *(name + setting_fields.FILE for name in fields), self.fetches}
        for name in [name for name in form.errors if name not in about]:
            del form.errors[name]
        self.form.fields[self.sheets].widget.errors = {}
        form.errors.pop(self.fetches, None)
        if form.fetch_refused:
            form.add_error(self.fetches, form.fetch_refused)

    # --- hearing ----------------------------------------------------------------------------------
    def hear(self, cleaned: dict[str, Any]) -> None:
        """Work out what choice, answers and text come to, before the whole is held against the kind's schema."""
        form, sent = self.form, cleaned.get(self.sheets)
        self.sent = sent if isinstance(sent, Answered) else Answered()
        entered = {**form.chosen_config(), self._setting(self.sheets): self.sent.text}
        self._hold(entered)
        self.told = self.kind.told(form.instance.config, entered, self.sent.answers)
        self.settings = {
            self._setting(self.sheets): self.told.text,
            self._setting(self.offered): self.told.chosen,
            "waiting": self.told.waiting,
        }
        self.errors |= self.told.errors
        for name in self.told.clashes:
            self.errors["", ""] = f"{name} {_CLASH}"
        if self.errors:
            form.add_error(self.sheets, self._summary())
        self._apply(cleaned)

    def _hold(self, entered: dict[str, Any]) -> None:
        """Hold that another document is not taken unread; what it has no more is chosen no more."""
        document = self._document(entered) if self.fetches else ""
        found = self.kind.differences(self.form.instance.config, entered) if document else []
        if not found:
            return
        if not self._is_read(document):
            self.form.add_error(self.fetches, _UNREAD)
            return
        gone = {one.name for one in found if one.gone}
        chosen = self._setting(self.offered)
        entered[chosen] = [name for name in entered.get(chosen) or () if name not in gone]

    def _apply(self, cleaned: dict[str, Any]) -> None:
        """Carry labels and allowed writes from the sheets to the fields that hold them."""
        labels = cleaned.get("labels")
        if isinstance(labels, dict):
            standing = self.form.instance.labels
            # Several sheets ask of one argument: the one that says something new is heard.
            new = {
                name: [one for one in said if one != standing.get(name, "")] for name, said in self.told.labels.items()
            }
            changed = {name: said[0] for name, said in new.items() if said}
            cleaned["labels"] = {name: label for name, label in {**labels, **changed}.items() if label}
        if "operations" in cleaned:
            gone = set(self.told.waiting) | self._dropped()
            kept = [name for name in cleaned["operations"] if name not in gone]
            cleaned["operations"] = list(dict.fromkeys([*kept, *self.told.allow]))

    def _dropped(self) -> set[str]:
        """Return what was chosen before and is not any more: it is not allowed any more either."""
        before = set(self.form.instance.config.get(self._setting(self.offered)) or ())
        gone = before - set(self.told.chosen)
        return gone | {f"{name}_marked" for name in gone}

    def place(self, setting: str, messages: list[str]) -> bool:
        """Put a refusal beside the question that it is about; tell whether it was placed."""
        if setting != self._setting(self.sheets):
            return False
        names = [*self.told.chosen, *self.told.waiting]
        for message in messages:
            said = message.removeprefix("Value error, ")
            name, part = self.kind.placed(said, names)
            short = said.partition(": ")[2] or said
            self.errors.setdefault((name, part), f"{short[0].upper()}{short[1:]}" if part else said)
        self.form.add_error(self.sheets, messages if ("", "") in self.errors else self._summary())
        return True

    def _summary(self) -> str:
        if said := self.errors.get(("", "")):
            return said
        names = ", ".join(dict.fromkeys(name for name, _ in self.errors))
        return f"Something is missing or cannot be meant: {names}. It is said at each below."

    def _setting(self, field: str) -> str:
        return field.removeprefix(setting_fields.CONFIG)
