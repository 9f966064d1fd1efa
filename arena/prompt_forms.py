"""Forms about prompts: how a file is to be read, how it is kept, which prompts are shown and which are drawn."""

from typing import Any, Final
from urllib.parse import urlencode

from django import forms
from django.http import QueryDict

from generation.models import PromptSet, PromptUpload
from generation.prompt_files import COLUMNS
from generation.prompt_sampling import (
    ANY,
    LARGEST_NUMBER,
    WITH_TEXT,
    WITHOUT_TEXT,
    SampleError,
    SampleRule,
    numbers_from_words,
    words_from_numbers,
)
from generation.prompt_uploads import Look, Reading, reading_of

TITLES: Final = {
    "text": "Prompt",
    "category": "Category",
    "challenge": "Challenge",
    "target_text": "Text to render",
    "tags": "Tags",
}
TEXT_CHOICES: Final = ((ANY, "all"), (WITH_TEXT, "only with text to render"), (WITHOUT_TEXT, "only without"))


class ReadingForm(forms.Form):
    """Which column means what. Files without columns have only the switches."""

    derive_target_text = forms.BooleanField(
        required=False, label="Take the text to render from quotation marks, where no column names it"
    )
    drops_duplicates = forms.BooleanField(
        required=False, label="Keep only the first of several rows with the same prompt"
    )

    def __init__(self, *args: Any, look: Look, upload: PromptUpload, **kwargs: Any) -> None:
        reading = reading_of(upload)
        kwargs["initial"] = {
            "derive_target_text": reading.derive_target_text,
            "drops_duplicates": reading.drops_duplicates,
            **{f"column_{meaning}": name for meaning, name in look.chosen.items()},
        }
        super().__init__(*args, **kwargs)
        for meaning in COLUMNS if look.columns else ():
            choices = [(name, name) for name in look.columns]
            if meaning != "text" or not look.chosen["text"]:
                choices.insert(0, ("", "choose one" if meaning == "text" else "none"))
            self.fields[f"column_{meaning}"] = forms.ChoiceField(
                choices=choices, required=meaning == "text", label=TITLES[meaning]
            )

    def columns(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith("column_")]

    def switches(self) -> list[forms.BoundField]:
        return [self["derive_target_text"], self["drops_duplicates"]]

    def reading(self) -> Reading:
        said = self.cleaned_data
        columns = {name.removeprefix("column_"): value for name, value in said.items() if name.startswith("column_")}
        return Reading(columns, said["derive_target_text"], said["drops_duplicates"])


class SaveForm(forms.Form):
    """What a set is called and where it comes from."""

    name = forms.CharField(max_length=200, help_text="Other content under a name that exists becomes its next version.")
    licence = forms.CharField(
        max_length=200, required=False, help_text="Under which the prompts may be used, such as Apache-2.0."
    )
    source = forms.CharField(max_length=500, required=False, help_text="A citation, an address or the file's name.")

    def __init__(self, *args: Any, upload: PromptUpload, **kwargs: Any) -> None:
        name, dot, ending = upload.file_name.rpartition(".")
        usual = name if dot and len(ending) <= 6 else upload.file_name
        kwargs["initial"] = {"name": usual, "source": upload.file_name}
        super().__init__(*args, **kwargs)


class FilterForm(forms.Form):
    """Which prompts of a set are shown."""

    search = forms.CharField(max_length=200, required=False, label="Search")
    category = forms.ChoiceField(required=False, choices=(), label="Category")
    has_text = forms.BooleanField(required=False, label="With text to render")

    def __init__(self, *args: Any, prompt_set: PromptSet, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice = self.fields["category"]
        if isinstance(choice, forms.ChoiceField):
            choice.choices = [("", "all"), *((name, name) for name in _categories(prompt_set) if name)]


class AnyOf(forms.MultipleChoiceField):
    """Categories to leave out. One that the set does not have, as after another set was chosen, leaves out nothing."""

    def valid_value(self, value: Any) -> bool:
        return True


class SampleForm(forms.Form):
    """Which prompts a study takes. Its fields travel in the address, so that a draw can be shared."""

    count = forms.IntegerField(
        required=False, min_value=1, max_value=LARGEST_NUMBER, label="How many", help_text="Empty: all that are left."
    )
    seed = forms.IntegerField(
        required=False, min_value=0, max_value=LARGEST_NUMBER, label="Seed", help_text="Another seed, another draw."
    )
    stratified = forms.BooleanField(required=False, label="The same share of every category")
    every = forms.IntegerField(
        required=False, min_value=1, max_value=LARGEST_NUMBER, label="Only every k-th", help_text="Empty: every one."
    )
    text = forms.ChoiceField(choices=TEXT_CHOICES, required=False, label="Text to render")
    exclude_categories = AnyOf(
        choices=(), required=False, label="Leave out categories", widget=forms.CheckboxSelectMultiple
    )
    exclude_numbers = forms.CharField(
        max_length=5000, required=False, label="Leave out prompts", help_text="By number, such as 3, 10-12."
    )

    def __init__(self, *args: Any, prompt_set: PromptSet | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"stratified": True, "seed": 1, "text": ANY})
        super().__init__(*args, **kwargs)
        choice = self.fields["exclude_categories"]
        names = _categories(prompt_set) if prompt_set else []
        if isinstance(choice, forms.MultipleChoiceField):
            choice.choices = [(name, name or "no category") for name in names]

    def clean_exclude_numbers(self) -> tuple[int, ...]:
        try:
            return numbers_from_words(self.cleaned_data["exclude_numbers"])
        except SampleError as error:
            raise forms.ValidationError(str(error)) from error

    def rule(self) -> SampleRule:
        said = self.cleaned_data
        return SampleRule(
            count=said["count"],
            seed=said["seed"] or 0,
            stratified=said["stratified"],
            every=said["every"] or 1,
            text=said["text"] or ANY,
            exclude_categories=tuple(said["exclude_categories"]),
            exclude_numbers=said["exclude_numbers"],
        )

    def as_query(self, prompt_set: PromptSet) -> str:
        """The draw as parameters of the designer's address."""
        pairs: list[tuple[str, Any]] = [("prompts", prompt_set.pk)]
        if isinstance(self.data, QueryDict):
            for name, values in self.data.lists():
                pairs += [(name, one) for one in values if one and name in self.fields]
        return urlencode(pairs)


def initial_of(rule: SampleRule) -> dict[str, Any]:
    """A rule as the form shows it."""
    return {
        "count": rule.count,
        "seed": rule.seed,
        "stratified": rule.stratified,
        "every": rule.every if rule.every > 1 else None,
        "text": rule.text,
        "exclude_categories": list(rule.exclude_categories),
        "exclude_numbers": words_from_numbers(rule.exclude_numbers),
    }


def _categories(prompt_set: PromptSet) -> list[str]:
    return list(prompt_set.prompts.order_by("category").values_list("category", flat=True).distinct())
