"""Settings, all from the environment, each with a default that is safe."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF

from config import SQLiteConnection
from config.env import BASE_DIR, data_dir, env, keys

ENVIRONMENT = env.str("ENVIRONMENT", default="dev")
DATA_DIR: Path = data_dir()
_keys = keys(ENVIRONMENT, DATA_DIR)
SECRET_KEY = _keys.secret_key or "unset-and-refused-by-goldseam.E001"
SECRET_KEY_SET = bool(_keys.secret_key)
CREDENTIAL_KEY = _keys.credential_key
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if ENVIRONMENT == "prod" else ["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- What runs -----------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "guardian",
    "simple_history",
    "django_celery_beat",
    "django_htmx",
    "template_partials",
    "csp",
    "audit",
    "connectors",
    "incidents",
    "approvals",
    "playbooks",
    "insights",
    "config",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "audit.middleware.SourceMiddleware",
    "config.api.guard.StorableMiddleware",
    "config.api.idempotency.IdempotencyMiddleware",
    "insights.middleware.OutOfReachMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context.console",
            ],
        },
    }
]

# --- Rows ----------------------------------------------------------------------------------------
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'goldseam.sqlite3'}")
}
_database = DATABASES["default"]
if _database["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a deferred transaction that turns into a writer is refused at once as "database is locked".
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
        **({"factory": SQLiteConnection} if SQLiteConnection is not None else {}),
    }
else:
    _database["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
    _database["CONN_HEALTH_CHECKS"] = True
if _suffix := env.str("TEST_DB_SUFFIX", default=""):
    _database.setdefault("TEST", {})["NAME"] = (
        f"test_goldseam_{_suffix}" if not _database["ENGINE"].endswith("sqlite3") else None
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People --------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "guardian.backends.ObjectPermissionBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
GUARDIAN_RAISE_403 = False
ANONYMOUS_USER_NAME = None
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "inbox"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = env.int("SESSION_SECONDS", default=12 * 3600)
SIMPLE_HISTORY_REVERT_DISABLED = True

# --- The web -------------------------------------------------------------------------------------
# Under which address people reach the console: links in messages, and the source of events that go out.
PUBLIC_URL = env.str(
    "PUBLIC_URL", default="" if ENVIRONMENT == "prod" else f"http://127.0.0.1:{env.int('PORT', default=8000)}"
).rstrip("/")
HTTPS = env.bool("HTTPS", default=ENVIRONMENT == "prod")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health/"]
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
# Metrics are for people who may see the whole, and for a scraper on this machine; true opens them to everybody.
METRICS_PUBLIC = env.bool("METRICS_PUBLIC", default=False)
# Unsafe API calls per minute and caller, in each process.
WRITES_PER_MINUTE = env.int("WRITES_PER_MINUTE", default=60_000)
DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("MAX_BODY_BYTES", default=5 * 1024 * 1024)
# A connection asks some 25 questions of each of at most 100 operations.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "audit.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.api.parsers.StrictJSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "config.api.paging.Cursor",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["config.api.throttles.WriteThrottle"],
    "EXCEPTION_HANDLER": "config.api.problems.handler",
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
    "PAGE_SIZE": 50,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Goldseam",
    "VERSION": "1",
    "DESCRIPTION": "Send signals, follow incidents, decide approvals, and read the audit trail.",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.api.schema.add_manners",
    ],
    # Several rows have a `state`; the document names each list of states after what has it.
    "ENUM_NAME_OVERRIDES": {
        "IncidentStatus": "incidents.states.Status",
        "Severity": "incidents.states.Severity",
        "ApprovalState": "approvals.states.State",
        "PlanState": "playbooks.states.PlanState",
        "ExecutionState": "playbooks.states.ExecutionState",
        "StepState": "playbooks.states.StepState",
        "DeadLetterState": [("waiting", "Waiting"), ("replayed", "Replayed"), ("resolved", "Resolved")],
    },
}

# --- Messages: bells only, rows are the truth ----------------------------------------------------
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="memory://")
EMBEDDED = CELERY_BROKER_URL.startswith("memory://")
# A broker that swallows connections must not hold up whoever rings: both are waited for in seconds, never for ever.
BROKER_PATIENCE = {"socket_connect_timeout": 2, "socket_timeout": 5} if CELERY_BROKER_URL.startswith("redis") else {}
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"polling_interval": 0.02} if EMBEDDED else {"visibility_timeout": 3600, **BROKER_PATIENCE}
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A bell that cannot be rung now is not worth waiting for: the sweep finds the row.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_TASK_DEFAULT_QUEUE = "loop"
QUEUES = ("loop", "intake", "sweeps", "insights")
WORKER_THREADS = env.int("WORKER_THREADS", default=4)
WEB_THREADS = env.int("WEB_THREADS", default=8)

# --- The loop's times ----------------------------------------------------------------------------
LEASE_SECONDS = env.int("LEASE_SECONDS", default=60)
EVIDENCE_SECONDS = env.int("EVIDENCE_SECONDS", default=300)
SETTLE_SECONDS = env.int("SETTLE_SECONDS", default=5)
SWEEP_SECONDS = env.int("SWEEP_SECONDS", default=5)
POLL_SECONDS = env.int("POLL_SECONDS", default=10)
DEAD_LETTER_COOLDOWN_SECONDS = env.int("DEAD_LETTER_COOLDOWN_SECONDS", default=900)
RETRY_BASE_SECONDS = env.float("RETRY_BASE_SECONDS", default=1.0)
RETRY_CAP_SECONDS = env.float("RETRY_CAP_SECONDS", default=60.0)
RETRY_LIMIT = env.int("RETRY_LIMIT", default=5)
# A system that failed so often in a row, or so many percent of its last 20 calls, is left in peace. 0: never.
BREAKER_FAILURES = env.int("BREAKER_FAILURES", default=20)
BREAKER_SHARE = env.int("BREAKER_SHARE", default=0)
# A message to a subscriber that failed RETRY_LIMIT times is tried again after so many seconds each, then given up.
TELL_LATER_SECONDS = env.list("TELL_LATER_SECONDS", cast=float, default=[300.0, 1800.0, 7200.0, 18000.0, 36000.0])
# Messages that ended are forgotten after so many days, long texts that no connection names after so many. 0: never.
TELL_KEEP_DAYS = env.int("TELL_KEEP_DAYS", default=365)
TEXT_KEEP_DAYS = env.int("TEXT_KEEP_DAYS", default=90)
# What systems told goes after so many days; a call goes after so many unless something refers to it. 0: never.
DELIVERY_KEEP_DAYS = env.int("DELIVERY_KEEP_DAYS", default=180)
CALL_KEEP_DAYS = env.int("CALL_KEEP_DAYS", default=365)
APPROVAL_EXPIRES = timedelta(hours=env.int("APPROVAL_EXPIRES_HOURS", default=24))
IDEMPOTENCY_WINDOW = timedelta(hours=24)

# What an hour of a person's rework costs, in each incident's own currency.
REWORK_HOURLY_RATE = env.float("REWORK_HOURLY_RATE", default=60.0)

# --- The world outside: nothing is called unless it is named here --------------------------------
OUTBOUND_ALLOW = env.list("OUTBOUND_ALLOW", default=[])
OUTBOUND_TIMEOUT_SECONDS = env.float("OUTBOUND_TIMEOUT_SECONDS", default=20.0)
OUTBOUND_MAX_BYTES = env.int("OUTBOUND_MAX_BYTES", default=8 * 1024 * 1024)
# Where models may be asked, as host or host:port: * anywhere; empty: nowhere, so that no prompt leaves.
AI_HOSTS = env.list("AI_HOSTS", default=["*"])
# Fields about a person: their values never stand in the log of calls, nor in what a model is asked.
REDACTED_FIELDS = env.list(
    "REDACTED_FIELDS",
    default=["Email", "Phone", "MobilePhone", "BirthDate", "IBAN", "BankAccount", "ContactName", "SuppliedEmail"],
)
# Insights: where event logs lie, which engine answers questions about them, and how much it may take.
INSIGHTS_DIR = Path(env.str("INSIGHTS_DIR", default=str(DATA_DIR / "insights")))
INSIGHTS_ENGINE = env.str("INSIGHTS_ENGINE", default="duckdb")
INSIGHTS_MEMORY_MB = env.int("INSIGHTS_MEMORY_MB", default=1500)
INSIGHTS_THREADS = env.int("INSIGHTS_THREADS", default=2)
INSIGHTS_MAX_UPLOAD_MB = env.int("INSIGHTS_MAX_UPLOAD_MB", default=512)
# The finished tables of event logs: in the data folder, or in an object store (s3://bucket/folder) with copies here.
INSIGHTS_STORE = env.str("INSIGHTS_STORE", default="")
INSIGHTS_S3_ENDPOINT = env.str("INSIGHTS_S3_ENDPOINT", default="")
INSIGHTS_S3_REGION = env.str("INSIGHTS_S3_REGION", default="")
INSIGHTS_S3_KEY = env.str("INSIGHTS_S3_KEY", default="")
INSIGHTS_S3_SECRET = env.str("INSIGHTS_S3_SECRET", default="")
INSIGHTS_S3_CA_FILE = env.str("INSIGHTS_S3_CA_FILE", default="")
INSIGHTS_S3_ALLOW_HTTP = env.bool("INSIGHTS_S3_ALLOW_HTTP", default=False)
INSIGHTS_CACHE_MB = env.int("INSIGHTS_CACHE_MB", default=4096)
INSIGHTS_SPARK_MASTER = env.str("INSIGHTS_SPARK_MASTER", default="local[2]")
# Routines of fewer people than this are never shown, and task logs are forgotten after so many days.
INSIGHTS_TASK_MIN_PEOPLE = env.int("INSIGHTS_TASK_MIN_PEOPLE", default=5)
INSIGHTS_TASK_DAYS = env.int("INSIGHTS_TASK_DAYS", default=90)

OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", default="")
OPENAI_API_KEY = env.str("OPENAI_API_KEY", default="")
OPENAI_MODEL = env.str("OPENAI_MODEL", default="")

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    # kombu remarks at each start that an in-memory broker has no host name.
    "loggers": {"kombu.connection": {"level": "ERROR"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="WARNING")},
}
