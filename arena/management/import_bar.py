"""How far an import is, on a terminal; nothing where there is none."""

from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from arena.batches import Progress


@contextmanager
def import_bar() -> Iterator[Progress]:
    """A bar for each act, one after the other. Not by a command's own stream, which ends every piece with a line."""
    with tqdm(unit="row", disable=None, leave=False) as bar:
        last = ""

        def follow(what: str, done: int, number: int) -> None:
            nonlocal last
            if what != last:
                last = what
                bar.reset(total=number)
                bar.set_description(what)
            bar.update(done - bar.n)

        yield follow
