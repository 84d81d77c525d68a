"""What people fill in about incidents, plans and dead letters."""

import re
from typing import Any

from django import forms
from django.contrib.auth.models import User

from audit.models import Scope
from incidents.models import Incident
from incidents.states import Severity

LONG = 2_000


class NoForm(forms.Form):
    """Nothing is asked."""


class MaybeReason(forms.Form):
    """A reason that may be left out."""

    reason = forms.CharField(required=False, max_length=LONG)


class Reason(forms.Form):
    """A reason that is needed."""

    reason = forms.CharField(max_length=LONG, error_messages={"required": "A reason is needed."})


class CommentText(forms.Form):
    """What a person writes about an incident."""

    text = forms.CharField(max_length=LONG, error_messages={"required": "Write something first."})


class Resolution(forms.Form):
    """How a dead letter was dealt with."""

    resolution = forms.CharField(max_length=LONG, error_messages={"required": "Say how it was dealt with."})


class Assignment(forms.Form):
    """Who takes it; empty: nobody."""

    to = forms.ModelChoiceField(
        queryset=User.objects.filter(is_active=True), to_field_name="username", required=False, empty_label="Nobody"
    )


class Correction(forms.Form):
    """The severity or the domain that is right, and why; what is left empty stays."""

    severity = forms.ChoiceField(choices=[("", "Leave it"), *Severity.choices], required=False)
    domain = forms.CharField(required=False, max_length=40)
    reason = forms.CharField(max_length=LONG, error_messages={"required": "A reason is needed."})


class MergeTarget(forms.Form):
    """The incident that this one is folded into, by its number, and why."""

    into = forms.CharField(max_length=20, error_messages={"required": "Give an incident's number, such as INC-12."})
    reason = forms.CharField(max_length=LONG, error_messages={"required": "A reason is needed."})

    def clean_into(self) -> int:
        """Take 12, #12 and INC-12."""
        found = re.fullmatch(r"(?:INC-|#)?(\d{1,15})", self.cleaned_data["into"].strip(), re.IGNORECASE)
        if found is None:
            raise forms.ValidationError("Give an incident's number, such as INC-12.")
        return int(found.group(1))


class MergeNumber(forms.Form):
    """Which merge is taken apart, and why."""

    merge = forms.IntegerField()
    reason = forms.CharField(max_length=LONG, error_messages={"required": "A reason is needed."})


class PlanEdit(forms.Form):
    """Another candidate playbook, or other values among those that it offers."""

    playbook = forms.SlugField()

    def __init__(self, *args: Any, offered: dict[str, list[Any]] | None = None, **kwargs: Any) -> None:
        """``offered``: the values that each slot may take."""
        super().__init__(*args, **kwargs)
        self.offered = offered or {}
        for name, values in self.offered.items():
            choices = [(str(index), str(value)) for index, value in enumerate(values)]
            self.fields[f"slot-{name}"] = forms.ChoiceField(choices=choices, required=False, label=name)

    def slots(self) -> dict[str, Any]:
        """Return the chosen values as they were offered: a number stays a number."""
        chosen = {name: self.cleaned_data.get(f"slot-{name}") for name in self.offered}
        return {name: self.offered[name][int(index)] for name, index in chosen.items() if index}


def operators_for(incident: Incident) -> list[User]:
    """Return the operators to whom the incident can be given, by name."""
    people = User.objects.filter(is_active=True, groups__name="operator").select_related("scope").order_by("username")
    return [user for user in people if _covers(getattr(user, "scope", None), incident)][:50]


def _covers(scope: Scope | None, incident: Incident) -> bool:
    """Tell whether the incident's unit and region are in a scope; the action that assigns asks again."""
    if scope is None:
        return False
    places = ((incident.business_unit, scope.business_units), (incident.region, scope.regions))
    return all("*" in values or (value and value in values) for value, values in places)
