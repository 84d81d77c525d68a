"""The template that a log follows: its reference model and target, put into the log's own names."""

from collections import defaultdict

from insights.eventlog.templates import Template, best_for
from insights.mining.asking import names
from insights.mining.references import Reference, from_paths
from insights.models import EventLog

# Of a log's activities the template must know at least so many, or it is about something else.
LEAST_LIKENESS = 0.5


def template_of(log: EventLog) -> Template | None:
    """Return the template whose activities are the log's, if there is one."""
    known = list(names(log).numbers)
    found = best_for(known, log.process)
    return found if found is not None and found.likeness(known) >= LEAST_LIKENESS else None


def of_template(log: EventLog) -> Reference | None:
    """Return the reference model of the template that the log follows, in the names that the log has for things."""
    template = template_of(log)
    if template is None:
        return None
    called: defaultdict[str, list[str]] = defaultdict(list)
    for name in names(log).numbers:
        called[template.canonical(name) or ""].append(name)

    def own(name: str) -> list[str]:
        return called.get(name) or [name]

    model = from_paths(template.reference.paths, name=template.label, source="template")
    return Reference(
        name=model.name,
        source=model.source,
        activities=tuple(sorted(one for name in model.activities for one in own(name))),
        starts=tuple(sorted(one for name in model.starts for one in own(name))),
        ends=tuple(sorted(one for name in model.ends for one in own(name))),
        follows=tuple(sorted((one, then) for a, b in model.follows for one in own(a) for then in own(b))),
        # Where the log has two names for one step, either may do.
        required=tuple(sorted(own(name)[0] for name in model.required if len(own(name)) == 1)),
        duties=tuple(sorted((one, other) for a, b in template.reference.duties for one in own(a) for other in own(b))),
    )
