"""The one verb of process mining: give a log the model that it is held against."""

import hashlib
from dataclasses import asdict
from typing import Any

from django.db import transaction

from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid
from insights.mining.bpmn import read_bpmn
from insights.mining.models import ReferenceModel
from insights.mining.references import check_duties, from_paths
from insights.models import EventLog


def give_reference(
    log: EventLog,
    *,
    name: str,
    by: Any,
    paths: list[list[str]] | None = None,
    bpmn: bytes | None = None,
    duties: list[list[str]] | None = None,
) -> ReferenceModel:
    """Keep a reference model of ``log``: declared paths or a BPMN 2.0 file, and pairs of duties; the newest counts.

    Raises ``Invalid`` with the reason for a model that cannot be used.
    """
    if (paths is None) == (bpmn is None):
        message = "Give either paths or a BPMN file."
        raise Invalid(message, {"paths": [message]})
    pairs = check_duties(duties or [])
    title = " ".join(name.split())[:120] or "Reference model"
    if bpmn is not None:
        found = read_bpmn(bpmn, name=title, duties=pairs)
    else:
        found = from_paths(paths or [], name=title, duties=pairs)
    given = bpmn if bpmn is not None else repr((paths, pairs)).encode()
    with transaction.atomic():
        row = ReferenceModel.objects.create(
            log=log,
            name=title,
            source=found.source,
            content=asdict(found),
            digest=hashlib.sha256(given).hexdigest(),
            created_by=by if getattr(by, "pk", None) else None,
            created_at=db_now(),
        )
        said = {"source": row.source, "digest": row.digest, "activities": len(found.activities)}
        record("event_log.reference_given", actor=by.get_username(), target=log, after=said)
    return row
