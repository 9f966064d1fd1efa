"""Other packages that rank from pairwise votes, each given its best input: conversions into it are not timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
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

    @property
    def version(self) -> str | None:
        """None where it is not installed."""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None

    @property
    def title(self) -> str:
        return f"{self.distribution} {self.version}"


def centred(strengths: Floats) -> Floats:
    found: Floats = np.asarray(strengths, dtype=np.float64)
    return found - found.mean()


def _evalica_input(votes: Votes) -> dict[str, Any]:
    import pandas as pd
    from evalica import Winner

    winner = {LEFT: Winner.X, TIE: Winner.Draw, RIGHT: Winner.Y}
    return {
        "xs": votes.left.tolist(),
        "ys": votes.right.tolist(),
        "winners": [winner[outcome] for outcome in votes.outcome.tolist()],
        "index": pd.Index(range(votes.contenders)),
    }


def _evalica(votes: Votes) -> Fit:
    import evalica

    columns = _evalica_input(votes)
    # As exact as its stopping rule allows; its default is one in a million.
    return lambda: centred(
        np.log(evalica.bradley_terry(**columns, tolerance=1e-12, limit=10_000).scores.sort_index().to_numpy())
    )


def _evalica_bootstrap(votes: Votes) -> Repeat:
    import evalica

    columns = _evalica_input(votes)

    def repeat(number: int) -> object:
        return evalica.bootstrap(
            evalica.bradley_terry, **columns, n_resamples=number, bootstrap_method="percentile", random_state=0
        )

    return repeat


def _frame(votes: Votes) -> Any:
    import pandas as pd

    winner = np.array(["model_a", "tie", "model_b"], dtype=object)
    columns = {"model_a": votes.left, "model_b": votes.right, "winner": winner[votes.outcome]}
    return pd.DataFrame(columns)


def _arena_rank(votes: Votes) -> Fit:
    from arena_rank.models.bradley_terry import BradleyTerry
    from arena_rank.utils.data_utils import PairDataset

    frame = _frame(votes)
    return lambda: centred(
        np.asarray(BradleyTerry(votes.contenders).fit(PairDataset.from_pandas(frame)).params["ratings"])
    )


def _arena_rank_sandwich(votes: Votes) -> Callable[[], object]:
    from arena_rank.models.bradley_terry import BradleyTerry
    from arena_rank.utils.data_utils import PairDataset

    frame = _frame(votes)
    return lambda: np.asarray(
        BradleyTerry(votes.contenders).compute_ratings_and_cis(PairDataset.from_pandas(frame))["variances"]
    )


def _arena_rank_bootstrap(votes: Votes) -> Repeat:
    import jax
    from arena_rank.models.bradley_terry import BradleyTerry, fit_single_bootstrap_sample
    from arena_rank.utils.data_utils import PairDataset

    data = PairDataset.from_pandas(_frame(votes))
    share = data.counts / len(votes)

    def repeat(number: int) -> object:
        # In this process: its pool would fork a JAX that has threads.
        drawn = jax.random.multinomial(jax.random.PRNGKey(0), len(votes), share, shape=(number, len(share)))
        return [fit_single_bootstrap_sample(counts, BradleyTerry(votes.contenders), data) for counts in drawn]

    return repeat


def _arenakit_arena(votes: Votes) -> Any:
    """Its arena with arrays put in: one checked object per vote would take 6 microseconds each."""
    from arenakit.schema import A_WINS, B_WINS, Arena
    from arenakit.schema import TIE as THEIR_TIE

    arena = object.__new__(Arena)
    arena.models = [str(number) for number in range(votes.contenders)]
    arena.a, arena.b = votes.left.astype(np.int32), votes.right.astype(np.int32)
    arena.y = np.array([A_WINS, THEIR_TIE, B_WINS], dtype=np.int8)[votes.outcome]
    arena.item, arena.voter = votes.prompt, votes.rater
    return arena


def _arenakit(votes: Votes) -> Fit:
    from arenakit.bt import fit_bt

    arena = _arenakit_arena(votes)
    return lambda: centred(fit_bt(arena.counts(), prior=0.0).scores)


def _arenakit_bootstrap(cluster: str) -> Callable[[Votes], Repeat]:
    def prepare(votes: Votes) -> Repeat:
        from arenakit.boot import bootstrap

        arena = _arenakit_arena(votes)
        return lambda number: bootstrap(arena, n_resamples=number, cluster=cluster)  # type: ignore[arg-type]

    return prepare


def _choix(votes: Votes) -> Fit:
    import choix

    # It counts no votes itself, so ours are counted for it; its own lists of pairs are 500 times slower.
    return lambda: centred(choix.ilsr_pairwise_dense(tally(votes).half_wins(), tol=1e-12))


PEERS: Final = (
    Peer("evalica", _evalica, {"vote": _evalica_bootstrap}),
    Peer("arena-rank", _arena_rank, {"vote": _arena_rank_bootstrap}, _arena_rank_sandwich),
    Peer("arenakit", _arenakit, {"vote": _arenakit_bootstrap("battle"), "rater": _arenakit_bootstrap("voter")}),
    Peer("choix", _choix, {}),
)
