"""The forms of task mining: bring in a step log or a list, say where a window belongs, draft a playbook."""

from typing import Any

from django import forms

from audit.models import BusinessUnit
from connectors.models import Connection
from incidents.models import ExceptionKind
from insights.models import EventLog
from insights.states import LogState


def _units(user: Any) -> list[tuple[str, str]]:
    scope = getattr(user, "scope", None)
    allowed = ["*"] if getattr(user, "is_superuser", False) else list(scope.business_units) if scope else []
    rows = BusinessUnit.objects.order_by("slug")
    mine = [(one.slug, one.name) for one in rows if "*" in allowed or one.slug in allowed]
    return [("", "All units"), *mine] if "*" in allowed else mine


def _regions(user: Any) -> list[tuple[str, str]]:
    scope = getattr(user, "scope", None)
    allowed = ["*"] if getattr(user, "is_superuser", False) else list(scope.regions) if scope else []
    known = sorted({region for unit in BusinessUnit.objects.all() for region in unit.regions})
    mine = [(one, one) for one in known if "*" in allowed or one in allowed]
    return [("", "All regions"), *mine] if "*" in allowed else mine


class _InUnit(forms.Form):
    """A file, its name, and whose it is."""

    file = forms.FileField(error_messages={"required": "Choose a file."})
    name = forms.CharField(max_length=120, error_messages={"required": "Give a name."})
    business_unit = forms.ChoiceField(required=False, label="Business unit")
    region = forms.ChoiceField(required=False)

    def __init__(self, user: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        for name, choices in (("business_unit", _units(user)), ("region", _regions(user))):
            field: Any = self.fields[name]
            field.choices = choices


class LogForm(_InUnit):
    """A step log to bring in."""

    time_zone = forms.CharField(
        max_length=60, initial="UTC", label="Time zone", help_text="Of times without one, such as Europe/Berlin."
    )


class TrackerForm(_InUnit):
    """A list to bring in."""

    entity_type = forms.CharField(
        max_length=60, required=False, label="What its records are", help_text="Such as invoice."
    )
    tolerance_hours = forms.IntegerField(
        min_value=1,
        max_value=720,
        initial=24,
        label="Hours apart",
        help_text="How far a change and its effect may lie apart.",
    )


class LinkForm(forms.Form):
    """Where the steps of a window belong: an activity of a process, a connection, or both."""

    application = forms.ChoiceField()
    connection = forms.ChoiceField(required=False, label="System behind it")
    event_log = forms.ChoiceField(required=False, label="Process")
    activity = forms.CharField(max_length=200, required=False, help_text="As the process map names it.")

    def __init__(self, user: Any, applications: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        logs = EventLog.objects.visible_to(user).filter(state=LogState.READY).order_by("name")
        for name, choices in (
            ("application", [(one, one) for one in applications]),
            ("connection", [("", "Not connected"), *Connection.objects.order_by("slug").values_list("slug", "label")]),
            ("event_log", [("", "None yet"), *((str(log.pk), log.name) for log in logs)]),
        ):
            field: Any = self.fields[name]
            field.choices = choices


class DraftForm(forms.Form):
    """Which kind of exception the playbook would mend."""

    kind = forms.ChoiceField(label="Mends", error_messages={"required": "Choose what the playbook would mend."})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["kind"]
        field.choices = list(ExceptionKind.objects.order_by("label").values_list("code", "label"))
