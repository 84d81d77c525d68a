"""Keeps the secret that stands in a hook's address out of the logs of the web framework and the web server."""

import logging
import re

from connectors.redaction import HIDDEN

_SECRET = re.compile(r"(/hooks/[^/\s?]+/)[^/\s?]+")
LOGGERS = ("django.request", "django.server", "gunicorn.access")


class HookPaths(logging.Filter):
    """Hides the last part of a hook's address in what a record says, and drops the request that holds it too."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, without the secret."""
        if "/hooks/" not in record.getMessage():
            return True
        record.msg, record.args = _SECRET.sub(rf"\g<1>{HIDDEN}", record.getMessage()), None
        vars(record).pop("request", None)
        return True


def install() -> None:
    """Put the filter where such records are written; twice is as good as once."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, HookPaths) for one in logger.filters):
            logger.addFilter(HookPaths())
