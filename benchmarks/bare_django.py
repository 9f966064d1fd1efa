"""The bare vote as a plain Django view: `update()` and `create()` in `transaction.atomic`, and nothing besides.

The third peer of benchmarks/load.py, on the tables of benchmarks/bare_vote.py, with the site's settings of databases.
The middleware is what `startproject` writes down; the view is exempt from the check of form tokens, and no session is
read. It must be imported by a process of its own, as gunicorn's are: it brings its own settings.
"""

from __future__ import annotations

from typing import ClassVar, Final

import django
from django.conf import settings

from evalsite.settings import DATABASES

_APPS: Final = ("auth", "contenttypes", "sessions", "messages")
if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES=DATABASES,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[f"django.contrib.{app}" for app in _APPS],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        ROOT_URLCONF=__name__,
        SECRET_KEY="of a benchmark",  # noqa: S106 - signs nothing
        USE_TZ=True,
    )
    django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 - models want settings
from django.db import models, transaction  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402


class BareBallot(models.Model):
    """As `bare_vote.prepare` makes it."""

    id = models.BigIntegerField(primary_key=True)
    state = models.CharField(max_length=10)

    objects: ClassVar[models.Manager[BareBallot]] = models.Manager()

    class Meta:
        app_label = "bare"
        db_table = "bare_ballot"
        managed = False

    def __str__(self) -> str:
        return f"ballot {self.pk}"


class BareVote(models.Model):
    """As `bare_vote.prepare` makes it."""

    ballot = models.OneToOneField(BareBallot, on_delete=models.PROTECT)
    choice = models.CharField(max_length=10)
    cast_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[BareVote]] = models.Manager()

    class Meta:
        app_label = "bare"
        db_table = "bare_vote"
        managed = False

    def __str__(self) -> str:
        return f"vote {self.pk}"


@csrf_exempt
def vote(request: HttpRequest) -> HttpResponse:
    """200 where the ballot was open and has a vote now, 409 where it was not."""
    if request.method != "POST":
        return HttpResponse(status=204)
    ballot, choice = int(request.POST["ballot"]), request.POST["choice"]
    with transaction.atomic():
        is_open = BareBallot.objects.filter(pk=ballot, state="open").update(state="answered") == 1
        if is_open:
            BareVote.objects.create(ballot_id=ballot, choice=choice)
    return JsonResponse({"saved": is_open}, status=200 if is_open else 409)


urlpatterns = [path("", vote)]
application = get_wsgi_application()
