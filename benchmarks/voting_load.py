"""Clients vote for a while over HTTP; then every acknowledged answer is looked up in the database."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from benchmarks.serving import HERE, cpu_below, served
from benchmarks.voting_clients import ANSWER, Client, Seen, vote_together


@dataclass
class Measured:
    """All rounds of one commit: what clients saw, seconds passed, seconds of CPU of web and database processes."""

    seen: list[Seen] = field(default_factory=list)
    elapsed: float = 0.0
    web: list[float] = field(default_factory=list)
    database: list[float] = field(default_factory=list)

    @property
    def saved(self) -> list[str]:
        return [ballot for one in self.seen for ballot in one.saved]


def load(asked: argparse.Namespace, *, database: int | None) -> None:
    """Make a world, serve it, vote, and print what became of it. database: the process id of its server, if any."""
    from arena import raters
    from arena.models import Vote
    from benchmarks.voting_world import make_world, store_votes

    design = {"pair_rule": asked.rule} | ({"target_votes": asked.target} if asked.target else {})
    study = make_world(contenders=asked.contenders, prompts=asked.prompts, design=design)
    store_votes(study, asked.votes[0])
    stored = Vote.objects.count()
    questions = list(study.criteria.values_list("key", flat=True))
    _, token = raters.invite(study=study)
    found = {"this commit": Measured()} | ({"peer": Measured()} if asked.peer else {})
    with ExitStack() as servers:
        sites = [servers.enter_context(served(code)) for code in (HERE, asked.peer) if code]
        clients = [Client(sites[0][0], token) for _ in range(asked.clients)]
        if asked.peer:  # nothing is new to either when the clock starts
            _vote_for(5, clients, sites, found=None, asked=asked, questions=questions, database=database)
        for _ in range(asked.rounds):
            _vote_for(asked.seconds, clients, sites, found=found, asked=asked, questions=questions, database=database)
    votes = Vote.objects.count() - stored
    print(
        f"\n### {asked.database}, {asked.rate:g} ballots a second asked for, {asked.clients} clients, "
        f"{asked.rounds} x {asked.seconds:g} s\n\n{stored:,} votes stored before, {votes:,} cast, "
        f"{len(questions)} questions a ballot.\n"
    )
    _print_truth(found, questions=len(questions))
    _print_pace(found, questions=len(questions))


def _vote_for(
    seconds: float,
    clients: list[Client],
    sites: list[tuple[str, int]],
    *,
    found: dict[str, Measured] | None,
    asked: argparse.Namespace,
    questions: list[str],
    database: int | None,
) -> None:
    """All clients at each site in turn."""
    for (site, server), name in zip(sites, found or dict.fromkeys(range(len(sites))), strict=True):
        for client in clients:
            client.turn_to(site)
        web, rows, started = cpu_below(server), cpu_below(database), time.perf_counter()
        vote_together(clients, seconds=seconds, rate=asked.rate, questions=questions)
        if found is not None:
            one = found[str(name)]
            one.elapsed += time.perf_counter() - started
            saved = sum(len(client.seen.saved) for client in clients) or 1
            one.web.append(1000 * (cpu_below(server) - web) / saved)
            one.database.append(1000 * (cpu_below(database) - rows) / saved)
            one.seen += [client.seen for client in clients]


def _print_truth(found: dict[str, Measured], *, questions: int) -> None:
    from arena.models import Ballot, Vote

    answered = Ballot.objects.filter(rater__invitation__isnull=False, state=Ballot.State.ANSWERED)
    votes_of = Counter(Vote.objects.filter(ballot__in=answered).values_list("ballot__token", flat=True))
    seen = [each for one in found.values() for each in one.seen]
    saved = Counter(ballot for one in found.values() for ballot in one.saved)
    statuses = sum((one.statuses for one in seen), Counter[int]())
    lost = sum(votes_of[ballot] < questions for ballot in saved)
    doubled = sum(votes_of[ballot] > questions for ballot in saved) + sum(number > 1 for number in saved.values())
    print(f"Lost: {lost}. Doubled: {doubled}. ", end="")
    print(f"Status 5xx: {sum(number for status, number in statuses.items() if status >= 500)}. ", end="")
    print(f"Other than 200: {sum(number for status, number in statuses.items() if status != 200)}. ", end="")
    print(
        f"Said to be saved already: {sum(one.repeated for one in seen)}. Broken: {sum(one.broken for one in seen)}.\n"
    )


def _print_pace(found: dict[str, Measured], *, questions: int) -> None:
    print(
        "| commit | ballots answered | ballots/s | votes/s | answer and next pair: p50 / p95 / p99 ms "
        "| furthest behind s | CPU of the web processes, ms an answer | of the database |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, one in found.items():
        times = sorted(1000 * each for seen in one.seen for each in seen.seconds[ANSWER])
        number, pace = len(one.saved), len(one.saved) / one.elapsed
        shares = " / ".join(f"{times[min(len(times) - 1, int(share * len(times)))]:.0f}" for share in (0.5, 0.95, 0.99))
        behind = max(seen.behind for seen in one.seen)
        print(
            f"| {name} | {number:,} | {pace:.1f} | {pace * questions:.1f} | {shares} | {behind:.1f} "
            f"| {_each(one.web)} | {_each(one.database)} |"
        )
    if "peer" in found:
        ours, peer = (median(found[name].web) for name in ("this commit", "peer"))
        print(f"\nCPU of the web processes, this commit to peer: {ours / peer:.2f} (medians of the rounds).")


def _each(rounds: list[float]) -> str:
    return f"{median(rounds):.1f}" + (f" ({', '.join(f'{one:.1f}' for one in rounds)})" if len(rounds) > 1 else "")
