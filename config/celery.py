"""The Celery application: the same tasks whether the broker is Redis, RabbitMQ or this process's memory."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("goldseam")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
