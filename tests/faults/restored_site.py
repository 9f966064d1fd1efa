"""Run elsewhere: restores a backup by the command, and tells as JSON what the site then holds."""

import json
import sys

import django


def main(folder: str) -> None:
    """Settings come from the environment, as on any machine."""
    django.setup()
    from django.core.management import call_command

    from arena import fitting, vote_roots
    from arena.models import Study, Vote
    from generation.lost_files import find_lost
    from generation.models import Image

    call_command("restore", folder, stdout=sys.stderr)
    study = Study.objects.get()
    told = {
        "ballots": sorted(set(Vote.objects.values_list("ballot__token", flat=True))),
        "votes": Vote.objects.count(),
        "problems": vote_roots.check_votes(study).problems,
        "lost": [str(lost) for lost in find_lost()],
        "images": sorted(Image.objects.values_list("file_sha256", flat=True)),
        "fits": {fit.criterion.key: fit.results for fit in fitting.refit(study)},
    }
    print(json.dumps(told, default=str))


if __name__ == "__main__":
    main(sys.argv[1])
