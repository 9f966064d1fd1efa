"""All settings, from the environment, working with nothing set. `SETTINGS_TABLE` is what the README's table shows."""

import os
from pathlib import Path
from socket import gethostname
from typing import Any
from urllib.parse import quote

import django_stubs_ext
from csp.constants import NONCE, NONE, SELF

from arena import timetable as arena_timetable
from evalsite import environment as read
from evalsite.log_settings import logging_of
from evalsite.places import (
    LONGEST_TASK_SECONDS,
    ensure_data_folder,
    kept_secret,
    private_redis_url,
)
from evalsite.services import broker_options, caches_of, database_of, mail_through, storage_of
from generation import timetable as generation_timetable

# Lets annotations such as File[bytes] and base classes such as ModelAdmin[Study] name their parameter while running.
django_stubs_ext.monkeypatch()

env = read.Environment()
BASE_DIR = Path(__file__).resolve().parent.parent

# --- places -----------------------------------------------------------------------------------------------------------
DATA_DIR = env.setting(
    "WINRATE_DATA_DIR",
    read.folder,
    default=str(BASE_DIR / "var"),
    default_in_words="`var` in the checkout",
    meaning="Everything that must be kept: database, images, secret key, logs.",
)
ensure_data_folder(DATA_DIR)
FETCHED_ROOT = DATA_DIR / "weights"
"""Folders of weights that this machine got from elsewhere, each as it was when its checkpoint was checked."""
MODELS_ROOT = env.setting(
    "WINRATE_MODELS_ROOT",
    read.folder,
    default=str(BASE_DIR / "generation" / "demo_models"),
    default_in_words="the demo models in the checkout",
    meaning="The only folder below which local checkpoints are looked for.",
)

# --- who may reach the site -------------------------------------------------------------------------------------------
SECRET_KEY = env.setting(
    "SECRET_KEY",
    read.secret,
    default=lambda: kept_secret(DATA_DIR),
    default_in_words="made on first start, kept in the data folder",
    meaning="Signs sessions and links; the same for every process of one site.",
)
HAS_GIVEN_SECRET_KEY = "SECRET_KEY" in os.environ
DEBUG = env.setting("DEBUG", read.flag, default="off", meaning="Django's debug pages; never where others can reach it.")
ALLOWED_HOSTS = env.setting(
    "ALLOWED_HOSTS",
    read.words,
    default="localhost,127.0.0.1,[::1]",
    meaning="Host names under which the site answers.",
)
CSRF_TRUSTED_ORIGINS = env.setting(
    "CSRF_TRUSTED_ORIGINS",
    read.origins,
    default="",
    default_in_words="none",
    meaning="Further origins whose forms are accepted, needed behind some proxies.",
)
HTTPS = env.setting(
    "WINRATE_HTTPS",
    read.flag,
    default="off",
    meaning="The site is reached by https through a proxy that sets X-Forwarded-Proto: secure cookies, HSTS, redirect.",
)
TRUSTED_PROXIES = env.setting(
    "WINRATE_TRUSTED_PROXIES",
    read.count,
    default="0",
    meaning="How many proxies of your own append to X-Forwarded-For; with 0 that header counts for nothing in caps.",
)

# --- services ---------------------------------------------------------------------------------------------------------
DATABASE_URL = env.setting(
    "DATABASE_URL",
    read.database_url,
    default=lambda: f"sqlite:///{quote(str(DATA_DIR / 'winrate.sqlite3'))}",
    default_in_words="SQLite in the data folder",
    meaning="SQLite (one machine) or PostgreSQL: postgres://user:password@host:5432/name.",
)
CELERY_BROKER_URL = env.setting(
    "CELERY_BROKER_URL",
    read.broker_url,
    default=lambda: private_redis_url(DATA_DIR),
    default_in_words="the private Redis that `manage.py up` starts",
    meaning="Where tasks wait: redis://host:6379/0.",
)
CACHE_URL = env.setting(
    "CACHE_URL",
    read.cache_url,
    default=lambda: f"file://{quote(str(DATA_DIR / 'cache'))}",
    default_in_words="files in the data folder",
    meaning="Rendered charts and the like, shared by all web processes: file:///path, redis://host:6379/1 or database://.",
)
STORAGE_URL = env.setting(
    "STORAGE_URL",
    read.storage_url,
    default=lambda: f"file://{quote(str(DATA_DIR / 'images'))}",
    default_in_words="`images` in the data folder",
    meaning="Where images are kept: file:///path or s3://bucket?endpoint_url=https://... (keys as boto3 finds them).",
)
IMAGES_BY_NGINX = env.setting(
    "WINRATE_IMAGES_BY_NGINX",
    read.flag,
    default="off",
    meaning="The nginx of `deploy/` in front sends image files; the site only says who may have which.",
)

EMAIL_URL = env.setting(
    "EMAIL_URL",
    read.email_url,
    default="",
    default_in_words="none: administrators hand out links",
    meaning="Sends links for a new password: smtp+tls://user:password@host:587, smtp+ssl:// or smtp://.",
)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.setting(
    "WINRATE_EMAIL_FROM",
    read.text,
    default="winrate@localhost",
    meaning="The sender of such mail.",
)

PORT = env.setting(
    "PORT",
    read.port,
    default="8000",
    meaning="Where `manage.py up` serves the pages, unless --port says otherwise.",
)
START_SECONDS = env.setting(
    "WINRATE_START_SECONDS",
    read.seconds,
    default="30",
    meaning="How long a starting web server or worker waits for the database and the broker before it gives up.",
)

# --- how soon a fault is noticed --------------------------------------------------------------------------------------
LEASE_SECONDS = env.setting(
    "WINRATE_LEASE_SECONDS",
    read.seconds,
    default="60",
    meaning="How long a worker that fell silent keeps its images before others may take them.",
)
SECONDS_BETWEEN_BEATS = env.setting(
    "WINRATE_BEAT_SECONDS",
    read.seconds,
    default="10",
    meaning="How often a worker says that it lives and renews its leases; at most a third of a lease.",
)
if 3 * SECONDS_BETWEEN_BEATS > LEASE_SECONDS:
    read.stop("WINRATE_BEAT_SECONDS must be at most a third of WINRATE_LEASE_SECONDS, or one late beat costs a lease.")
SECONDS_BETWEEN_RECONCILIATIONS = env.setting(
    "WINRATE_RECONCILE_SECONDS",
    read.seconds,
    default="15",
    meaning="How often lost work is looked for and lost messages are sent again.",
)

# --- image workers ----------------------------------------------------------------------------------------------------
IMAGE_QUEUE = env.setting(
    "WINRATE_IMAGE_QUEUE",
    read.image_queue,
    default=generation_timetable.GENERATION_QUEUE,
    meaning="What this image worker can run; the queue that it is started with. Checkpoints may need a larger one.",
)
IMAGE_DEVICE = env.setting(
    "WINRATE_DEVICE", read.device, default="cpu", meaning="Where this image worker computes; one process for each GPU."
)
MODEL_MEMORY = env.setting(
    "WINRATE_MODEL_MEMORY",
    read.size,
    default="4GiB",
    meaning="Pipelines an image worker keeps in memory, by the bytes of their parameters; the least used leaves first.",
)
TEXT_MEMORY = env.setting(
    "WINRATE_TEXT_MEMORY", read.size, default="256MiB", meaning="Encoded prompts that an image worker keeps."
)
STEP_SECONDS = env.setting(
    "WINRATE_STEP_SECONDS",
    read.seconds,
    default="600",
    meaning="An image worker that makes no sampling step for so long ends itself; its supervisor starts it again.",
)
SILENT_SECONDS = env.setting(
    "WINRATE_SILENT_SECONDS",
    read.seconds,
    default="120",
    meaning="A worker that gets no message for so long, though the broker takes its own, ends itself.",
)
WEIGHTS_URL = env.setting(
    "WINRATE_WEIGHTS_URL",
    read.storage_url_or_none,
    default="",
    default_in_words="none",
    meaning="Where image workers get folders of weights that they lack: s3://bucket/prefix or file:///path.",
)

# --- logs and files ---------------------------------------------------------------------------------------------------
LOG_LEVEL = env.setting("WINRATE_LOG_LEVEL", read.log_level, default="INFO", meaning="Least level of log lines.")
LOG_FORMAT = env.setting(
    "WINRATE_LOG_FORMAT",
    read.log_format,
    default="text",
    meaning="How lines look: text for people; json, one object a line with one for each request, for programs.",
)
METRICS_TOKEN = env.setting(
    "WINRATE_METRICS_TOKEN",
    read.secret_or_none,
    default="",
    default_in_words="none: there is no /metrics",
    meaning="What Prometheus shows to read /metrics: Authorization: Bearer and this.",
)
HASHED_STATIC = env.setting(
    "WINRATE_HASHED_STATIC",
    read.flag,
    default="off" if DEBUG else "on",
    default_in_words="on, off with DEBUG",
    meaning="Style sheets and scripts under names with a hash, compressed; needs collectstatic, which `up` does.",
)
env.refuse_unknown()
SETTINGS_TABLE = env.table

# --- Django -----------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "evalsite.admin_config.NotedAdminConfig",  # django.contrib.admin, with a log of ours
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "ninja",  # for the static files of Swagger UI
    "evalsite",
    "generation",
    "arena",
]

MIDDLEWARE = [
    "evalsite.requests.RequestMiddleware",  # first: it times all others, and every line that they log has its id
    "django.middleware.security.SecurityMiddleware",
    # These two write their headers on everything: static files and refusals of what stands below them.
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "arena.views.request_limits.RequestLimitsMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "arena.views.passes.PassMiddleware",  # last: its answers say who may frame them before the headers are written
]

ROOT_URLCONF = "evalsite.urls"
WSGI_APPLICATION = "evalsite.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-gb"
# Of raters' pages; what researchers see is in English.
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_AGE = 365 * 24 * 60 * 60
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "UTC"
USE_TZ = True
LOGIN_URL = "arena:login"
LOGIN_REDIRECT_URL = "arena:home"
LOGOUT_REDIRECT_URL = "arena:home"
AUTHENTICATION_BACKENDS = ["arena.sign_in.CountingBackend"]
PASSWORD_RESET_TIMEOUT = 3 * 24 * 60 * 60
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


globals().update(mail_through(EMAIL_URL))
DATABASES = {"default": database_of(DATABASE_URL, data_folder=DATA_DIR)}
CACHES = caches_of(CACHE_URL)
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
# Images know nothing of the site's pages; the admin links to this one.
ABSOLUTE_URL_OVERRIDES = {"generation.image": lambda image: f"/images/{image.pk}/"}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "images": storage_of(STORAGE_URL),
    **({"weights": storage_of(WEIGHTS_URL)} if WEIGHTS_URL else {}),
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if HASHED_STATIC
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# What `sweep_images --verify` checks: each names the files of one kind of rows and how to get a lost one back.
KEPT_FILES = ["generation.lost_files.ImageFiles", "arena.lost_copies.CopyFiles"]

# --- security ---------------------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY: dict[str, dict[str, list[Any]]] = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
# Sessions bind raters to their ballots, so they live in the database: neither a restart nor a lost cache costs a rater.
SESSION_ENGINE = "evalsite.kept_sessions"
SESSION_COOKIE_AGE = 60 * 24 * 60 * 60
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$", "^metrics$"]
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True

LOGGING = logging_of(level=LOG_LEVEL, form=LOG_FORMAT)

# --- metrics ----------------------------------------------------------------------------------------------------------
METRICS_FOLDER = DATA_DIR / "metrics" / gethostname()
# Read by prometheus_client when it is imported: from then on each process counts in a file of its own.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS_FOLDER)

# --- Celery -----------------------------------------------------------------------------------------------------------
# A message is a hint ("come and work"); the rows are the truth and a periodic task re-sends what is due. Remote control
# stays on: without it a busy worker falls silent for good when Redis restarts.
CELERY_BROKER_TRANSPORT_OPTIONS = broker_options(CELERY_BROKER_URL, data_folder=DATA_DIR)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True  # attempts are counted in the job row, so a poison task ends
CELERY_TASK_TIME_LIMIT = LONGEST_TASK_SECONDS  # well below the visibility timeout, or a slow task is delivered twice
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = CELERY_BROKER_URL.startswith("redis")  # elsewhere it only brings a warning
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = generation_timetable.DEFAULT_QUEUE
CELERY_TASK_ROUTES = {
    f"generation.tasks.{task}": {"queue": generation_timetable.GENERATION_QUEUE}
    for task in ("generate_next", "resolve_drafts", "measure_next")
}
CELERY_BEAT_SCHEDULE = arena_timetable.BEAT_SCHEDULE | generation_timetable.beat_schedule(
    reconciliations=SECONDS_BETWEEN_RECONCILIATIONS
)
CELERY_BEAT_SCHEDULER = "evalsite.steady_beat:SteadyScheduler"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
