"""The page of a fault of ours, with the number under which the log has it."""

from django.http import HttpRequest, HttpResponseServerError
from django.template import loader

from generation import log_context


def fault(request: HttpRequest) -> HttpResponseServerError:
    """Without the request's own context, which asks the database who is there: it may be what fails."""
    number = log_context.noted().get("request", "")
    return HttpResponseServerError(loader.get_template("500.html").render({"number": number}))
