"""Waiting for the server's last answer, with a real server and a view that is slow."""

import http.client
import threading
from collections.abc import Iterator

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django.live_server_helper import LiveServer

from tests.browser.open_requests import OpenRequests

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

ENTERED, MAY_ANSWER = threading.Event(), threading.Event()


def slow(_: HttpRequest) -> HttpResponse:
    ENTERED.set()
    MAY_ANSWER.wait(10)
    return HttpResponse("at last")


urlpatterns = [path("slow/", slow)]


@pytest.fixture(autouse=True)
def unanswered() -> Iterator[None]:
    ENTERED.clear()
    MAY_ANSWER.clear()
    yield
    MAY_ANSWER.set()


@pytest.mark.urls("tests.browser.test_open_requests")
def test_a_request_that_the_server_works_on_is_waited_for(live_server: LiveServer) -> None:
    with OpenRequests() as requests:
        connection = http.client.HTTPConnection(live_server.url.removeprefix("http://"))
        asking = threading.Thread(target=lambda: connection.request("GET", "/slow/"))
        asking.start()
        assert ENTERED.wait(10)
        assert not requests.are_answered_within(0.05)
        MAY_ANSWER.set()
        assert requests.are_answered_within(10)
        asking.join()
        assert connection.getresponse().read() == b"at last"
        connection.close()


@pytest.mark.urls("tests.browser.test_open_requests")
def test_a_test_clients_request_is_none_of_the_servers(live_server: LiveServer, client: Client) -> None:
    MAY_ANSWER.set()
    with OpenRequests() as requests:
        assert client.get("/slow/").content == b"at last"
        assert requests.are_answered_within(0)
