"""A web process of its own from which several people join at once: `python -m tests.arena.joining_crowd TOKEN ...`.

It says when it is ready, begins at the first line that it is told, and prints the statuses of its answers.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

AT_ONCE = 4


def join_at_once(processes: Sequence[Sequence[str]], *, database_url: str, secret_key: str) -> list[int]:
    """Let people join by these links, each list from a process of its own, all at the same time; the statuses."""
    variables = {**os.environ, "DATABASE_URL": database_url, "SECRET_KEY": secret_key}
    crowds = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.arena.joining_crowd", *tokens],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for tokens in processes
    ]
    for crowd in crowds:
        assert crowd.stdout is not None and crowd.stdout.readline() == "ready\n"
    for crowd in crowds:
        assert crowd.stdin is not None
        crowd.stdin.write("go\n")
        crowd.stdin.flush()
    return [int(word) for crowd in crowds for word in crowd.communicate(timeout=120)[0].split()]


def _main(tokens: Sequence[str]) -> None:
    from django.db import connection
    from django.test import Client
    from django.test.utils import setup_test_environment
    from django.urls import reverse

    setup_test_environment()
    together = Barrier(AT_ONCE)

    def join(token: str) -> int:
        try:
            if tokens.index(token) < AT_ONCE:
                together.wait(30)
            return Client(REMOTE_ADDR="192.0.2.1").post(reverse("arena:join", args=[token])).status_code
        finally:
            connection.close()

    Client().get("/accounts/login/")  # what is loaded at the first page is no part of the race
    connection.close()
    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        print(*pool.map(join, tokens))


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")
    django.setup()
    _main(sys.argv[1:])
