"""What of a board is looked at: said in a query, and on public pages picked from what is offered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Filters:
    """What of a board is looked at. Filters hide rows; places, ranks and tiers are those of the whole board."""

    category: str = ""
    family: str = ""
    steps: str = ""
    study: str = ""
    name: str = ""
    only_new: bool = False

    @classmethod
    def of(cls, said: Mapping[str, str]) -> "Filters":
        """From a query; values that mean nothing here filter nothing."""
        words = {name: str(said.get(name, ""))[:200].strip() for name in ("category", "family", "steps", "study")}
        return cls(**words, name=str(said.get("name", ""))[:200].strip(), only_new=said.get("new") == "1")

    @property
    def query(self) -> dict[str, str]:
        """As it stands in an address; what filters nothing is left out."""
        said = {"category": self.category, "family": self.family, "steps": self.steps, "study": self.study}
        said |= {"name": self.name, "new": "1" if self.only_new else ""}
        return {name: value for name, value in said.items() if value}

    def among(self, choices: Mapping[str, Sequence[tuple[str, str]]]) -> "Filters":
        """Those that pick one of the offered values: then there are only so many pages and charts of a board."""

        def picked(name: str, value: str) -> str:
            return value if value in {each for each, _ in choices.get(name, ())} else ""

        return replace(
            self,
            category=picked("category", self.category),
            family=picked("family", self.family),
            steps=picked("steps", self.steps),
            study=picked("study", self.study),
            name="",
        )

    @property
    def hides_rows(self) -> bool:
        return any((self.family, self.steps, self.study, self.name, self.only_new))
