"""What a detector's runs and findings can come to, as data."""

from django.db.models import TextChoices


class Outcome(TextChoices):
    """How a run ended."""

    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class Fate(TextChoices):
    """What became of a finding."""

    RAISED = "raised", "Raised"
    COOLED = "cooled", "Too soon after another of the same record"
    HELD = "held", "Held back: more than the limit of one run"
    REFUSED = "refused", "Refused: it names no record"
