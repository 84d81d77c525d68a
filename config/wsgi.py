"""The WSGI entry point, for gunicorn and the embedded server."""

import atexit
import gc
import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def measured(application: Application) -> Application:
    """Return the application with bodies that come in chunks measured first.

    Django reads as much as ``Content-Length`` says, so that a body without one seems empty: a delivery would be called
    broken, and its signature wrong. No more than ``MAX_BODY_BYTES`` and one byte is read; that one makes it a 413.
    """

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        if chunked and environ.get("wsgi.input_terminated"):
            try:
                body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
            except OSError:
                # Chunks that are none, or a line that broke: nothing of it is a body.
                body = b""
            environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return application(environ, start_response)

    return serve


application = measured(get_wsgi_application())

# What is loaded by now lives as long as the process. Looking through it for garbage again and again would cost a fifth
# of the time that a batch of signals takes.
gc.freeze()
atexit.register(gc.unfreeze)  # libraries written in C report what is never given back
gc.set_threshold(50_000, 20, 50)
