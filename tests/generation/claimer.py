"""A worker process for the race test: claims until nothing is due and prints what it got, one line for each batch."""

import os
import sys

import django


def main() -> None:
    """Claim in a loop, in batches of two, beginning together with the other processes."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")
    django.setup()
    from generation import jobs

    print("ready", flush=True)
    sys.stdin.readline()
    while batch := jobs.claim(worker=sys.argv[1], most=2):
        print(*(job.pk for job in batch), flush=True)


if __name__ == "__main__":
    main()
