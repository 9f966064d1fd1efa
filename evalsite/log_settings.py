"""Which log lines are written, and in which form. Plain data: the settings import it."""

from typing import Any, Final

FORMATTERS: Final = {"text": "evalsite.logs.TextLines", "json": "evalsite.logs.JsonLines"}
REQUESTS: Final = "winrate.requests"


def logging_of(*, level: str, form: str) -> dict[str, Any]:
    """Django's LOGGING: everything to standard error in one form."""
    quiet = level if level in ("DEBUG", "ERROR") else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": FORMATTERS[form]}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Django's own handlers would send mail to nobody and print each line twice.
            "django": {"handlers": [], "propagate": True, "level": level},
            # A line a request is for programs that read logs; on a terminal it would bury all others.
            REQUESTS: {"level": level if form == "json" else quiet},
            # At DEBUG they print the values that pages and queries hold.
            **dict.fromkeys(
                ("django.template", "django.db.backends"), {"level": level if level != "DEBUG" else "INFO"}
            ),
            # A page that is refused has its line among the requests.
            "django.request": {"level": "ERROR" if form == "json" else level},
            # Periodic tasks would fill the logs with three lines every few seconds.
            **dict.fromkeys(("celery.app.trace", "celery.beat", "celery.worker.strategy"), {"level": quiet}),
        },
    }
