"""The designer's form: everything of a design file, typed by hand; what it says becomes such a file."""

import re
from typing import Any, Final

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils.text import slugify

from arena.criteria import CriterionSpec
from arena.designs import ADAPTIVE, BALANCED, LMARENA, UNIFORM
from arena.models import Criterion, Study
from arena.pair_designs import AGAINST_BASELINE, ALL_PAIRS, ONE_FACTOR
from arena.planning_assumptions import LONGEST_HYPOTHESES, RANGES
from arena.protocols import PROTOCOLS
from generation.families import LARGEST_SIDE
from generation.models import Checkpoint, PromptSet, Recipe
from generation.prompt_files import PromptFileError
from generation.prompt_files.strict_json import parse_strictly
from generation.scheduler_kinds import SCHEDULERS

MOST_RECIPES_LISTED: Final = 400
MOST_NUMBERS: Final = 50
_NUMBER: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{0,6})?")
PAIRS: Final = (
    (ALL_PAIRS, "round robin: every two contenders"),
    (AGAINST_BASELINE, "against the baseline: each contender with it"),
    (ONE_FACTOR, "one factor: contenders that differ in one thing only"),
)
RULES: Final = (
    (BALANCED, "balanced: what was shown least comes next"),
    (UNIFORM, "uniform: by chance alone"),
    (ADAPTIVE, "adaptive: where the votes so far say least"),
    (LMARENA, "lmarena: where the interval shrinks most"),
)


class Numbers(forms.CharField):
    """Numbers with commas or blanks between."""

    def __init__(self, *, whole: bool = False, **options: Any) -> None:
        super().__init__(max_length=500, required=False, **options)
        self.whole = whole

    def clean(self, value: Any) -> list[Any]:
        parts = [part for part in re.split(r"[,;\s]+", str(super().clean(value))) if part]
        for part in parts:
            if not _NUMBER.fullmatch(part) or (self.whole and "." in part):
                kind = "whole number" if self.whole else "number"
                raise ValidationError(f"{part[:20]!r} is no {kind}; write such as 4, or several: 1, 4, 28.")
        if len(parts) > MOST_NUMBERS:
            raise ValidationError(f"Give at most {MOST_NUMBERS} numbers.")
        return [int(part) if self.whole else float(part) for part in parts]


def _percent(*, most: float, **options: Any) -> forms.FloatField:
    return forms.FloatField(min_value=0, max_value=most, required=False, **options)


def _assumed(name: str, **options: Any) -> forms.FloatField:
    low, high = RANGES[name]
    return forms.FloatField(min_value=low, max_value=high, **options)


class DesignForm(forms.Form):
    """All of a study but its questions and the draw of its prompts, which are forms of their own beside it."""

    protocol = forms.ChoiceField(
        required=False,
        choices=[("", ""), *((name, one.title) for name, one in PROTOCOLS.items())],
        widget=forms.HiddenInput,
    )
    name = forms.CharField(max_length=200, label="Name")
    slug = forms.CharField(
        max_length=100,
        required=False,
        label="Short name",
        help_text="In its address: letters, digits, - and _. Made from the name where it is empty.",
    )
    description = forms.CharField(
        max_length=10_000, required=False, label="What it is about", widget=forms.Textarea(attrs={"rows": 2})
    )
    prompt_set = forms.ModelChoiceField(PromptSet.objects.none(), label="Prompt set", empty_label="choose one")
    recipes = forms.ModelMultipleChoiceField(
        Recipe.objects.none(), required=False, widget=forms.CheckboxSelectMultiple, label="Recipes"
    )
    checkpoints = forms.ModelMultipleChoiceField(
        Checkpoint.objects.none(), required=False, widget=forms.CheckboxSelectMultiple, label="Checkpoints"
    )
    steps = Numbers(whole=True, label="Steps", help_text="Such as 1, 2, 4, 8, 28.")
    shifts = Numbers(label="Shifts", help_text="Empty: the checkpoint's own.")
    guidances = Numbers(label="Guidance", help_text="Empty: 4.")
    width = forms.IntegerField(required=False, min_value=8, max_value=LARGEST_SIDE, label="Width")
    height = forms.IntegerField(required=False, min_value=8, max_value=LARGEST_SIDE, label="Height")
    scheduler_class = forms.ChoiceField(
        required=False,
        choices=[("", "the checkpoint's own"), *((name, name) for name in SCHEDULERS)],
        label="Scheduler",
    )
    labels = forms.CharField(
        required=False,
        max_length=20_000,
        label="Other names",
        help_text="One a line: name of the recipe = label in this study.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    baseline = forms.CharField(
        max_length=200, required=False, label="Baseline", help_text="The contender that the others are held against."
    )
    pairs = forms.ChoiceField(choices=PAIRS, label="Pairs")
    pair_rule = forms.ChoiceField(choices=RULES, label="Which pair next")
    samples = forms.IntegerField(min_value=1, max_value=16, label="Images of each prompt")
    target_votes = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10_000,
        label="Raters for each pair and prompt",
        help_text="Then nobody is asked any more. Empty: no limit.",
    )
    ballots_wanted = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=100_000_000,
        label="Ballots in all",
        help_text="What you hope for, where no number for each pair is set.",
    )
    ballots_per_rater = forms.IntegerField(
        required=False, min_value=1, max_value=100_000, label="Ballots a rater", help_text="Empty: no limit."
    )
    gold_share = _percent(most=50, label="Known answers, %", help_text="You review them on the study's page.")
    repeat_share = _percent(most=50, label="Repeats, %", help_text="The same pair again with sides swapped.")
    instructions = forms.BooleanField(required=False, label="Instructions before the first ballot")
    one_question_at_a_time = forms.BooleanField(required=False, label="One question at a time")
    requires_login = forms.BooleanField(required=False, label="Raters sign in")
    more_rules = forms.CharField(
        required=False,
        max_length=200_000,
        label="More rules for raters",
        help_text="As JSON: examples, screening, qualification and the others of the documentation.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    raters = forms.IntegerField(required=False, min_value=3, max_value=1_000_000, label="Raters expected")
    seconds_per_ballot = _assumed("seconds_per_ballot", label="Seconds a ballot")
    ties = _percent(most=95, label="Ties, %")
    rho = _assumed("rho", label="Correlation on a pair and prompt")
    rater_rho = _assumed("rater_rho", label="Correlation of one rater's votes on a pair")
    margin = forms.FloatField(
        min_value=100 * RANGES["margin"][0],
        max_value=100 * RANGES["margin"][1],
        required=False,
        label="Not worse, points",
        help_text="By how much fewer steps may lose.",
    )
    hypotheses = forms.CharField(
        required=False,
        max_length=LONGEST_HYPOTHESES,
        label="What you expect",
        help_text="Frozen with the design when the study opens.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, user: User, study: Study | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keeps_prompts = study is not None
        self._limit("prompt_set", PromptSet.objects.visible_to(user))
        self._limit("recipes", recipes_for(user, study))
        self._limit("checkpoints", Checkpoint.objects.visible_to(user).exclude(state=Checkpoint.State.REFUSED))
        if keeps_prompts:
            self.fields["prompt_set"].required = False
            choice = self.fields["prompt_set"]
            if isinstance(choice, forms.ModelChoiceField):
                choice.empty_label = "the prompts that it has"

    def _limit(self, name: str, rows: QuerySet[Any]) -> None:
        choice = self.fields[name]
        if isinstance(choice, forms.ModelChoiceField):
            choice.queryset = rows

    def clean_labels(self) -> dict[str, str]:
        labels = {}
        for number, line in enumerate(self.cleaned_data["labels"].splitlines(), start=1):
            name, equals, label = line.rpartition("=")
            if line.strip() and not (equals and name.strip() and label.strip()):
                raise ValidationError(f"Line {number} is not of the form: name of the recipe = label.")
            if line.strip():
                labels[name.strip()] = label.strip()
        return labels

    def clean_more_rules(self) -> dict[str, Any]:
        text = self.cleaned_data["more_rules"].strip()
        if not text:
            return {}
        try:
            found = parse_strictly(text)
        except PromptFileError as error:
            raise ValidationError(f"This is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise ValidationError('Write a JSON object such as {"screening": []}.')
        return found

    def clean(self) -> dict[str, Any]:
        said = self.cleaned_data
        if not said.get("slug"):
            said["slug"] = slugify(said.get("name", ""))[:100]
        if said.get("checkpoints"):
            for name in ("steps", "width", "height"):
                if name not in self.errors and not said.get(name):
                    self.add_error(name, "A sweep needs this.")
        return said


def recipes_for(user: User, draft: Study | None = None) -> QuerySet[Recipe]:
    """Recipes that this person may make contenders, the newest of them, and those that a draft has already.

    A colleague who may not use a private checkpoint elsewhere sees its recipes in a shared draft, and keeps them there.
    """
    usable = Recipe.objects.exclude(state=Recipe.State.REFUSED).select_related("checkpoint", "schedule")
    usable = usable.exclude(checkpoint__state=Checkpoint.State.REFUSED)
    if not user.is_superuser:
        usable = usable.filter(Q(owner=None) | Q(owner=user.pk))
        usable = usable.filter(Q(checkpoint=None) | Q(checkpoint__in=Checkpoint.objects.visible_to(user)))
    newest = usable.order_by("-pk").values_list("pk", flat=True)[:MOST_RECIPES_LISTED]
    kept = [] if draft is None else list(draft.contenders.values_list("recipe", flat=True))
    return Recipe.objects.filter(pk__in=[*newest, *kept]).order_by("name", "pk")


class CriterionForm(forms.Form):
    """One question."""

    key = forms.CharField(max_length=50, required=False, label="Key", help_text="Made from the name where empty.")
    name = forms.CharField(max_length=100, required=False, label="Name")
    question = forms.CharField(max_length=2_000, label="Question", widget=forms.Textarea(attrs={"rows": 2}))
    allows_tie = forms.BooleanField(required=False, label="Tie", initial=True)
    allows_both_bad = forms.BooleanField(required=False, label="Both bad")
    shows_prompt = forms.BooleanField(required=False, label="Shows the prompt", initial=True)
    applies_to = forms.ChoiceField(
        choices=Criterion.AppliesTo.choices, label="Asked of", initial=Criterion.AppliesTo.ALL
    )
    categories = forms.CharField(
        max_length=5_000,
        required=False,
        label="Categories",
        help_text="With commas between, where it is asked of some.",
    )

    def as_row(self) -> dict[str, Any]:
        """The question as a design file has it."""
        said = self.cleaned_data
        name = said["name"] or said["question"][:60]
        categories = [part.strip() for part in said["categories"].split(",") if part.strip()]
        row = {key: said[key] for key in ("question", "allows_tie", "allows_both_bad", "shows_prompt", "applies_to")}
        return row | {"key": said["key"] or slugify(name)[:50], "name": name, "categories": categories}


CriterionFormSet = forms.formset_factory(CriterionForm, extra=1, max_num=12, validate_max=True, can_delete=True)


def rows_of_criteria(specs: tuple[CriterionSpec, ...] | list[Criterion]) -> list[dict[str, Any]]:
    """Questions as the forms show them."""
    names = ("key", "name", "question", "allows_tie", "allows_both_bad", "shows_prompt", "applies_to")
    return [{name: getattr(one, name) for name in names} | {"categories": ", ".join(one.categories)} for one in specs]
