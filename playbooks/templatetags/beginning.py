"""The way to the first verified mend, for pages of an installation that has not come there yet."""

from typing import Any

from django import template
from django.core.cache import cache

from audit.access import roles_of
from playbooks import breadth

register = template.Library()
_DONE = "first_steps_done"
_REMEMBER_SECONDS = 86_400


@register.inclusion_tag("playbooks/_first_steps.html", takes_context=True)
def first_steps(context: dict[str, Any]) -> dict[str, Any]:
    """Draw what is left until the first mend; nothing, and no query, once it has been verified."""
    user = context["request"].user
    if cache.get(_DONE) or not roles_of(user):
        return {"steps": []}
    steps = breadth.first_steps()
    if steps[-1].done:
        # What has once been mended stays mended.
        cache.set(_DONE, True, _REMEMBER_SECONDS)
        return {"steps": []}
    current = next(step for step in steps if not step.done)
    return {"steps": steps, "current": current, "configures": user.is_staff, "done": sum(step.done for step in steps)}
