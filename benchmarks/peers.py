"""Other packages that rank from pairwise votes, each given its best input: conversions into it are not timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes, tally

Floats = NDArray[np.float64]
Fit = Callable[[], Floats]
Repeat = Callable[[int], object]


@dataclass(frozen=True)
class Peer:
    """A package, and what it can do with votes as it wants them.

    fit:        votes -> a function that fits and gives centred log strengths (K,)
    replicates: name of a bootstrap -> votes -> a function that makes so many replicates
    sandwich:   votes -> a function that fits and gives its standard errors
    """

    distribution: str
    fit: Callable[[Votes], Fit]
    replicates: dict[str, Callable[[Votes], Repeat]]
    sandwich: Callable[[Votes], Callable[[], object]] | None = None
    note: str = ""

    @property
    def version(self) -> str | None:
        """None where it is not installed."""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None

    @property
    def title(self) -> str:
        return f"{self.distribution} {self.version}{self.note}"


def centred(strengths: Floats) -> Floats:
    found = np.asarray(strengths, dtype=np.float64)
    middle: Floats = found - found.mean()
    return middle


def _module(name: str) -> Any:
    """Imported when it is wanted: where a peer is absent, the others are measured all the same."""
    return import_module(name)


def _evalica_input(votes: Votes) -> dict[str, Any]:
    their = _module("evalica").Winner
    winner = {LEFT: their.X, TIE: their.Draw, RIGHT: their.Y}
    return {
        "xs": votes.left.tolist(),
        "ys": votes.right.tolist(),
        "winners": [winner[outcome] for outcome in votes.outcome.tolist()],
        "index": _module("pandas").Index(range(votes.contenders)),
    }


def _evalica(**stopping: float) -> Callable[[Votes], Fit]:
    def prepare(votes: Votes) -> Fit:
        evalica, columns = _module("evalica"), _evalica_input(votes)
        return lambda: centred(np.log(evalica.bradley_terry(**columns, **stopping).scores.sort_index().to_numpy()))

    return prepare


def _evalica_bootstrap(votes: Votes) -> Repeat:
    evalica = _module("evalica")
    columns = _evalica_input(votes)

    def repeat(number: int) -> object:
        return evalica.bootstrap(
            evalica.bradley_terry, **columns, n_resamples=number, bootstrap_method="percentile", random_state=0
        )

    return repeat


def _frame(votes: Votes) -> Any:
    winner = np.array(["model_a", "tie", "model_b"], dtype=object)
    columns = {"model_a": votes.left, "model_b": votes.right, "winner": winner[votes.outcome]}
    return _module("pandas").DataFrame(columns)


def _arena_rank(votes: Votes) -> Fit:
    model, data = _module("arena_rank.models.bradley_terry"), _module("arena_rank.utils.data_utils")
    frame = _frame(votes)
    return lambda: centred(
        np.asarray(model.BradleyTerry(votes.contenders).fit(data.PairDataset.from_pandas(frame)).params["ratings"])
    )


def _arena_rank_sandwich(votes: Votes) -> Callable[[], object]:
    model, data = _module("arena_rank.models.bradley_terry"), _module("arena_rank.utils.data_utils")
    frame = _frame(votes)
    return lambda: np.asarray(
        model.BradleyTerry(votes.contenders).compute_ratings_and_cis(data.PairDataset.from_pandas(frame))["variances"]
    )


def _arena_rank_bootstrap(votes: Votes) -> Repeat:
    jax, model = _module("jax"), _module("arena_rank.models.bradley_terry")
    data = _module("arena_rank.utils.data_utils").PairDataset.from_pandas(_frame(votes))
    share = data.counts / len(votes)

    def repeat(number: int) -> object:
        # In this process: its pool would fork a JAX that has threads.
        drawn = jax.random.multinomial(jax.random.PRNGKey(0), len(votes), share, shape=(number, len(share)))
        return [model.fit_single_bootstrap_sample(one, model.BradleyTerry(votes.contenders), data) for one in drawn]

    return repeat


def _arenakit_arena(votes: Votes) -> Any:
    """Its arena with arrays put in: one checked object per vote would take 6 microseconds each."""
    schema = _module("arenakit.schema")
    arena: Any = object.__new__(schema.Arena)
    arena.models = [str(number) for number in range(votes.contenders)]
    arena.a, arena.b = votes.left.astype(np.int32), votes.right.astype(np.int32)
    arena.y = np.array([schema.A_WINS, schema.TIE, schema.B_WINS], dtype=np.int8)[votes.outcome]
    arena.item, arena.voter = votes.prompt, votes.rater
    return arena


def _arenakit(votes: Votes) -> Fit:
    model, arena = _module("arenakit.bt"), _arenakit_arena(votes)
    return lambda: centred(model.fit_bt(arena.counts(), prior=0.0).scores)


def _arenakit_bootstrap(cluster: str) -> Callable[[Votes], Repeat]:
    def prepare(votes: Votes) -> Repeat:
        boot, arena = _module("arenakit.boot"), _arenakit_arena(votes)
        return lambda number: boot.bootstrap(arena, n_resamples=number, cluster=cluster)

    return prepare


def _choix(votes: Votes) -> Fit:
    choix = _module("choix")
    # It counts no votes itself, so ours are counted for it; its own lists of pairs are 500 times slower.
    return lambda: centred(choix.ilsr_pairwise_dense(tally(votes).half_wins(), tol=1e-12))


PEERS: Final = (
    Peer("evalica", _evalica(), {"vote": _evalica_bootstrap}),
    Peer("evalica", _evalica(tolerance=1e-12, limit=10_000), {}, note=", tolerance 1e-12"),
    Peer("arena-rank", _arena_rank, {"vote": _arena_rank_bootstrap}, _arena_rank_sandwich),
    Peer("arenakit", _arenakit, {"vote": _arenakit_bootstrap("battle"), "rater": _arenakit_bootstrap("voter")}),
    Peer("choix", _choix, {}),
)
