# One image for web, workers, beat and migration; the command decides which (see docs/how-to/deploy.md).
FROM python:3.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ENVIRONMENT=prod DATA_DIR=/var/lib/goldseam

RUN useradd --system --create-home --home-dir /var/lib/goldseam goldseam
WORKDIR /opt/goldseam

COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt

COPY manage.py .
COPY config config
COPY audit audit
COPY connectors connectors
COPY incidents incidents
COPY approvals approvals
COPY playbooks playbooks
COPY insights insights
COPY templates templates
COPY static static

USER goldseam
EXPOSE 8000
CMD ["gunicorn", "config.wsgi", "--bind=0.0.0.0:8000", "--worker-class=gthread", "--workers=2", "--threads=8", \
     "--max-requests=20000", "--max-requests-jitter=2000", "--access-logfile=-"]
