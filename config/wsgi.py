"""The WSGI entry point, for gunicorn and the embedded server."""

import atexit
import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()

# What is loaded by now lives as long as the process. Looking through it for garbage again and again would cost a fifth
# of the time that a batch of signals takes.
gc.freeze()
atexit.register(gc.unfreeze)  # libraries written in C report what is never given back
gc.set_threshold(50_000, 20, 50)
