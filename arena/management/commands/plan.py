"""manage.py plan: how many votes a study needs, or what its votes can tell apart. Needs no database."""

from __future__ import annotations

import json
import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

if TYPE_CHECKING:
    from arena.ranking.power import Plan

FORMAT_VERSION = 1


class Command(BaseCommand):
    help = (
        "Plan a study. With --difference: the votes it takes. With --votes: the smallest difference they show. "
        "With both: the chance of seeing it."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        share, number = _between(0, 1), _whole(1)
        parser.add_argument(
            "--difference",
            type=_between(0.5, 1),
            metavar="RATE",
            help="Win rate of the better of two contenders among votes that decide, such as 0.55.",
        )
        parser.add_argument("--votes", type=_whole(2), metavar="N", help="Votes in all, ties and every pair included.")
        parser.add_argument("--contenders", type=_whole(2), default=2, metavar="K", help="Default: 2.")
        parser.add_argument("--power", type=share, default=0.8, help="Chance of seeing the difference (default: 0.8).")
        parser.add_argument("--level", type=share, default=0.95, help="Of the intervals (default: 0.95).")
        parser.add_argument("--all-pairs", action="store_true", help="Let the level hold for all pairs at once.")
        parser.add_argument("--ties", type=share, default=0.0, metavar="SHARE", help="Votes that tie (default: 0).")
        parser.add_argument("--raters", type=number, metavar="N", help="How many raters there are.")
        parser.add_argument(
            "--rater-rho",
            type=share,
            default=0.1,
            metavar="RHO",
            help="Correlation of one rater's votes on one pair; counts with --raters (default: 0.1).",
        )
        parser.add_argument("--prompts", type=number, metavar="N", help="How many prompts all pairs share.")
        parser.add_argument(
            "--votes-per-cell", type=number, default=1, metavar="M", help="Votes on each pair and prompt (default: 1)."
        )
        parser.add_argument(
            "--rho",
            type=share,
            default=0.45,
            help="Correlation of votes on one pair and prompt; for --prompts and --votes-per-cell (default: 0.45).",
        )
        parser.add_argument("--simulate", type=number, default=0, metavar="WORLDS", help="Check by made-up studies.")
        parser.add_argument("--json", action="store_true", help="Print JSON instead of sentences.")

    def handle(self, *args: Any, **options: Any) -> None:
        # Imported here because SciPy takes longer to load than most commands to run.
        from arena.ranking import power

        if options["difference"] is None and options["votes"] is None:
            raise CommandError(
                "Say what the study is to show (--difference 0.55) or how many votes it has (--votes N)."
            )
        names = ("contenders", "level", "all_pairs", "power", "ties", "votes_per_cell", "prompts", "raters", "rho")
        try:
            plan = power.Plan(**{name: options[name] for name in names}, rater_rho=options["rater_rho"])
            answer = _answer(plan, options["difference"], options["votes"], options["simulate"])
        except ValueError as error:
            raise CommandError(f"{str(error)[0].upper()}{str(error)[1:]}.") from error
        if options["json"]:
            self.stdout.write(json.dumps(answer, allow_nan=False))
        else:
            self.stdout.write("\n".join(_sentences(plan, answer)))


def _answer(plan: Plan, difference: float | None, votes: int | None, worlds: int) -> dict[str, Any]:
    """What `plan --json` prints; None where there is no such number."""
    from arena.ranking import power

    needed = math.inf if difference is None else power.votes_needed(difference, plan)
    known = votes if votes is not None else math.ceil(needed - 1e-9) if math.isfinite(needed) else None
    shown = difference
    if difference is None and votes is not None:
        shown = power.smallest_difference(votes, plan)
    simulated = None
    if worlds and shown is not None and known is not None:
        found = power.simulate_power(shown, known, plan, worlds=worlds)
        simulated = {"worlds": worlds, "power": found.share, "standard_error": found.error}
    short = difference is not None and not math.isfinite(needed)
    return {
        "version": FORMAT_VERSION,
        "difference": shown,
        "win_probability": None if shown is None else power.halved(shown, plan.ties),
        "votes": known,
        "votes_per_pair": None if known is None else known / plan.pairs,
        "votes_needed": math.ceil(needed - 1e-9) if math.isfinite(needed) else None,
        "power": None if shown is None or known is None else power.power_of(shown, known, plan),
        "half_width": None if known is None else power.half_width(known, plan),
        "design_effect": plan.design_effect,
        "fewest_raters": _fewest(plan, difference, "rater") if short and plan.raters else None,
        "fewest_prompts": _fewest(plan, difference, "prompt") if short and plan.prompts else None,
        "contenders": plan.contenders,
        "pairs": plan.pairs,
        "ties": plan.ties,
        "level": 1 - plan.alpha,
        "raters": plan.raters,
        "prompts": plan.prompts,
        "simulation": simulated,
    }


def _fewest(plan: Plan, difference: float | None, of: Any) -> int | None:
    from arena.ranking import power

    return None if difference is None else power.fewest_clusters(difference, plan, of=of)


def _sentences(plan: Plan, answer: dict[str, Any]) -> list[str]:
    lines = [_design(plan)]
    difference, votes = answer["difference"], answer["votes"]
    if difference is None:
        return [*lines, f"{votes:,} votes show no difference with a power of {plan.power:.0%}: gather more."]
    rate = f"a win rate of {difference:.2%} among decisive votes"
    if plan.ties:
        rate += f" (a win probability of {answer['win_probability']:.2%} with ties as half wins)"
    if votes is None:
        lines.append(f"No number of votes shows {rate} with a power of {plan.power:.0%}: {_remedy(answer)}.")
        return lines
    per_pair = f"{votes:,} votes" + (f" ({answer['votes_per_pair']:,.0f} per pair)" if plan.pairs > 1 else "")
    lines.append(f"{per_pair} show {rate} with a power of {answer['power']:.1%}.")
    if answer["votes_needed"] not in (None, votes):
        lines.append(f"A power of {plan.power:.0%} takes {answer['votes_needed']:,} votes.")
    lines.append(f"A decisive win rate near one half is then known to +-{100 * answer['half_width']:.1f} points.")
    if answer["simulation"] is not None:
        found = answer["simulation"]
        lines.append(
            f"In {found['worlds']:,} simulated studies the difference was seen in {found['power']:.1%} "
            f"(standard error {100 * found['standard_error']:.1f} points)."
        )
    return lines


def _remedy(answer: dict[str, Any]) -> str:
    parts = [
        f"at least {answer[f'fewest_{name}']:,} {name} are needed"
        for name in ("raters", "prompts")
        if answer[f"fewest_{name}"] is not None
    ]
    return " or ".join(parts) if parts else "more raters and more prompts are needed"


def _design(plan: Plan) -> str:
    parts = [f"{plan.contenders} contenders"]
    if plan.ties:
        parts.append(f"{plan.ties:.0%} ties")
    if plan.raters is not None:
        parts.append(f"{plan.raters:,} raters whose votes on a pair correlate by {plan.rater_rho:g}")
    if plan.prompts is not None:
        parts.append(f"{plan.prompts:,} prompts on which votes on a pair correlate by {plan.rho:g}")
    if plan.votes_per_cell > 1:
        parts.append(f"{plan.votes_per_cell:g} votes per pair and prompt that correlate by {plan.rho:g}")
        parts.append(f"design effect {plan.design_effect:.2f}")
    together = f" for all {plan.pairs} pairs at once" if plan.all_pairs and plan.pairs > 1 else ""
    return f"Plan: {', '.join(parts)}; {plan.level:.0%} intervals{together}."


def _between(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value < high:
            raise ArgumentTypeError(f"must be a number from {low:g} to less than {high:g}, not {text!r}")
        return value

    return parse


def _whole(low: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        if value < low:
            raise ArgumentTypeError(f"must be a whole number from {low} on, not {text!r}")
        return value

    return parse
