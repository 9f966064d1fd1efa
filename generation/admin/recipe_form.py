"""A new recipe, or a sweep of them, typed into a form: refused field by field where no checkpoint could draw it."""

import re
from collections.abc import Callable
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction

from generation.checkpoints import told_call_options
from generation.errors import GenerationError
from generation.families import BATCH_MODES, DTYPES, FAMILIES, LARGEST_SIDE, Family
from generation.models import Checkpoint, Recipe
from generation.option_rules import OptionRule
from generation.prompt_files.rows import PromptFileError
from generation.prompt_files.strict_json import parse_strictly
from generation.scheduler_kinds import SCHEDULERS, SPACINGS_OF_SIGMAS, SchedulerKind
from generation.schedules import MOST_STEPS, OWN_GRID, SD3_GRID, check_sigmas, check_steps_and_shift, checked_schedule
from generation.sweeps import MOST_RECIPES, Axes, Sampler, Sweep, sweep, usual_grid

LONGEST_TEXT: Final = 20_000
MOST_IN_A_LIST: Final = MOST_STEPS
_WHOLE: Final = re.compile(r"-?[0-9]{1,10}")
_NUMBER: Final = re.compile(r"[-+]?([0-9]{1,10}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][-+]?[0-9]{1,2})?")
_OPTION_OF_FIELD: Final = {"timestep_spacing": "timestep_spacing", "order": "solver_order"}


class NumberList(forms.CharField):
    """Numbers separated by commas, at most a thousand."""

    def __init__(self, *, whole: bool = False, **options: Any) -> None:
        super().__init__(max_length=LONGEST_TEXT, **options)
        self.whole = whole

    def clean(self, value: Any) -> list[Any]:
        parts = [part.strip() for part in re.split(r"[,\s]+", str(super().clean(value)).strip()) if part.strip()]
        pattern, kind, word = (_WHOLE, int, "whole number") if self.whole else (_NUMBER, float, "number")
        for part in parts:
            if not pattern.fullmatch(part):
                raise ValidationError(f"{part[:40]!r} is no {word}; give such as 4, or several: 1, 4, 28.")
        if len(parts) > MOST_IN_A_LIST:
            raise ValidationError(f"Give at most {MOST_IN_A_LIST} numbers, not {len(parts)}.")
        return [kind(part) for part in parts]


class JsonObject(forms.CharField):
    """A JSON object, read strictly: no NaN, no key twice."""

    widget = forms.Textarea(attrs={"rows": 2, "cols": 60, "class": "vLargeTextField"})

    def clean(self, value: Any) -> dict[str, Any]:
        text = str(super().clean(value)).strip()
        if not text:
            return {}
        try:
            found = parse_strictly(text)
        except PromptFileError as error:
            raise ValidationError(f"This is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise ValidationError('Write a JSON object such as {"name": 1}.')
        return found


def _choices(names: Any, *, empty: str = "") -> list[tuple[str, str]]:
    return ([("", empty)] if empty else []) + [(name, name) for name in names]


class RecipeForm(forms.Form):
    """Everything that decides the pixels. Which sigmas come out, a worker says: here nothing of a model is read."""

    checkpoint = forms.ModelChoiceField(Checkpoint.objects.exclude(state=Checkpoint.State.REFUSED))
    scheduler_class = forms.ChoiceField(choices=_choices(SCHEDULERS), initial="FlowMatchEulerDiscreteScheduler")
    steps = NumberList(whole=True, help_text="One, or several for a sweep: 1, 4, 28.")
    grid = forms.ChoiceField(
        required=False,
        choices=[
            ("", "usual for the scheduler"),
            (SD3_GRID, "SD3 grid: linspace(1, 1/N, N)"),
            (OWN_GRID, "the scheduler's own"),
        ],
        label="Sigma grid",
    )
    shift = NumberList(required=False, help_text="One or several; empty: the checkpoint's own.")
    sigmas = NumberList(
        required=False,
        label="Explicit sigmas",
        help_text="Falling, one for each step, without the final 0; then one step count.",
    )
    timestep_spacing = forms.ChoiceField(
        required=False, choices=_choices(("linspace", "leading", "trailing"), empty="the checkpoint's own")
    )
    sigma_spacing = forms.ChoiceField(
        required=False,
        choices=[("", "the checkpoint's own"), *((name, name.split("_")[1]) for name in SPACINGS_OF_SIGMAS)],
        help_text="At most one of Karras, exponential, beta and lu.",
    )
    order = forms.IntegerField(required=False, label="Solver order")
    eta = NumberList(required=False, help_text="Noise in every step, for pipelines that take it; 0 to 1.")
    more_options = JsonObject(
        required=False, label="More scheduler options", help_text='Such as {"algorithm_type": "dpmsolver++"}.'
    )
    guidance = NumberList(initial="4", help_text="One or several; 1 is none.")
    width = forms.IntegerField(min_value=8, max_value=LARGEST_SIDE)
    height = forms.IntegerField(min_value=8, max_value=LARGEST_SIDE)
    dtype = forms.ChoiceField(choices=_choices(DTYPES))
    negative_prompt = forms.CharField(
        required=False, max_length=LONGEST_TEXT, widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"})
    )
    without = forms.MultipleChoiceField(
        required=False,
        choices=_choices(sorted({name for family in FAMILIES.values() for name in family.removable})),
        widget=forms.CheckboxSelectMultiple,
        help_text="Text encoders that are not used.",
    )
    batch_mode = forms.ChoiceField(choices=_choices(BATCH_MODES))
    call_options = JsonObject(
        required=False,
        help_text='Such as {"max_sequence_length": 256}; empty: what the checkpoint.json recommends, where it is here.',
    )
    notes = forms.CharField(
        required=False, max_length=LONGEST_TEXT, widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"})
    )

    def clean(self) -> dict[str, Any]:
        """What only shows together: options by the scheduler's class, call options by the pipeline's."""
        said = self.cleaned_data
        kind = SCHEDULERS.get(said.get("scheduler_class", ""))
        for steps in said.get("steps", []):
            self._try("steps", check_steps_and_shift, steps=steps, shift=None)
        for shift in said.get("shift", []):
            self._try("shift", check_steps_and_shift, steps=1, shift=shift)
        for guidance in said.get("guidance", []):
            if not 0 <= guidance <= 100:
                self.add_error("guidance", f"Every guidance must lie between 0 and 100, not at {guidance:g}.")
        if kind is not None:
            self._clean_schedule(kind)
        self._clean_call()
        if not self.errors:
            self._clean_combinations()
        return said

    def saved(self) -> tuple[Sweep, int]:
        """The recipes, all or none of them stored; and how many of them are new."""
        said = self.cleaned_data
        last = Recipe.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        with transaction.atomic():
            made = sweep(checkpoint=said["checkpoint"], axes=self._axes(), sampler=self._sampler())
            new = [recipe.pk for recipe in made.recipes if recipe.pk > last]
            if said["notes"]:
                Recipe.objects.filter(pk__in=new).update(notes=said["notes"])
        return made, len(new)

    def _clean_schedule(self, kind: SchedulerKind) -> None:
        said, owner = self.cleaned_data, self.cleaned_data["scheduler_class"]
        for field, value in self._typed_options().items():
            self._check_rule(field, owner, kind.options, _OPTION_OF_FIELD.get(field, field), value)
        if (spacing := said.get("sigma_spacing")) and spacing not in kind.options:
            self.add_error("sigma_spacing", f"{owner} has no {spacing}; leave it empty.")
        for name, value in (said.get("more_options") or {}).items():
            self._check_rule("more_options", owner, kind.options, name, value)
        if said.get("shift") and not kind.shift_option:
            self.add_error("shift", f"{owner} has no shift; leave it empty.")
        if said.get("grid") == SD3_GRID and kind.sigmas != "flow":
            self.add_error("grid", f"{owner} takes no sigmas of a flow, so it has no SD3 grid; use its own.")
        if not (sigmas := said.get("sigmas")):
            return
        if not kind.takes_sigmas:
            self.add_error("sigmas", f"{owner} takes no explicit sigmas; leave them out.")
        elif len(set(said.get("steps", []))) > 1:
            self.add_error("sigmas", "Explicit sigmas belong to one step count; give one.")
        elif said.get("steps"):
            self._try("sigmas", check_sigmas, sigmas, said["steps"][0], kind)

    def _clean_call(self) -> None:
        said, checkpoint = self.cleaned_data, self.cleaned_data.get("checkpoint")
        pipeline = checkpoint.pipeline_class if checkpoint is not None else ""
        family, owner = FAMILIES.get(pipeline), pipeline or "A pipeline"
        typed = said.get("call_options") or (_recommended(checkpoint) if checkpoint is not None else {})
        for name, value in typed.items():
            self._check_rule("call_options", owner, _call_rules(family), name, value)
        self._call_options = dict(typed)
        if eta := said.get("eta"):
            self._call_options["eta"] = eta[0]
            self._check_rule("eta", owner, _call_rules(family), "eta", eta[0] if len(eta) == 1 else eta)
        if family is None:
            return  # a draft: what its pipeline cannot do, the worker says
        for name in said.get("without", []):
            if name not in family.removable:
                self.add_error("without", f"{pipeline} cannot do without {name}; leave it out.")
        needed = family.negative_prompt_needs
        if said.get("negative_prompt") and needed and not _is_above_one(self._call_options.get(needed)):
            self.add_error("negative_prompt", f"It has an effect only with the call option {needed} above 1; set it.")

    def _clean_combinations(self) -> None:
        """The very checks of the act that stores them; what is left for them names no single field."""
        axes, sampler = self._axes(), self._sampler()
        count = len(set(axes.steps)) * len(set(axes.shifts)) * len(set(axes.guidances))
        if count > MOST_RECIPES:
            self.add_error(None, f"A sweep makes 1 to {MOST_RECIPES} recipes, not {count}.")
            return
        for steps in axes.steps:
            for shift in axes.shifts:
                self._try(
                    None,
                    checked_schedule,
                    scheduler_class=sampler.scheduler_class,
                    steps=steps,
                    shift=shift,
                    sigmas=sampler.sigmas,
                    grid=sampler.grid or usual_grid(sampler.scheduler_class),
                    options=dict(sampler.options),
                )
                if self.errors:
                    return

    def _typed_options(self) -> dict[str, Any]:
        typed = {field: self.cleaned_data.get(field) for field in _OPTION_OF_FIELD}
        return {field: value for field, value in typed.items() if value not in (None, "")}

    def _axes(self) -> Axes:
        said = self.cleaned_data
        return Axes(steps=said["steps"], shifts=said["shift"] or [None], guidances=said["guidance"])

    def _sampler(self) -> Sampler:
        said = self.cleaned_data
        options = {_OPTION_OF_FIELD[field]: value for field, value in self._typed_options().items()}
        if said["sigma_spacing"]:
            options[said["sigma_spacing"]] = True
        return Sampler(
            width=said["width"],
            height=said["height"],
            scheduler_class=said["scheduler_class"],
            grid=said["grid"],
            options=said["more_options"] | options,
            call_options=self._call_options,
            without=said["without"],
            sigmas=said["sigmas"] or None,
            dtype=said["dtype"],
            negative_prompt=said["negative_prompt"],
            batch_mode=said["batch_mode"],
        )

    def _check_rule(self, field: str, owner: str, rules: Any, name: str, value: Any) -> None:
        rule: OptionRule | None = rules.get(name)
        if rule is None:
            known = f"it has {', '.join(sorted(rules))}" if field in ("more_options", "call_options") and rules else ""
            self.add_error(field, f"{owner} has no {name[:50]}; {known or 'leave it empty'}.")
        elif not rule.accepts(value):
            self.add_error(field, f"{name} must be {rule.expected}, not {str(value)[:50]}.")

    def _try(self, field: str | None, check: Callable[..., object], *args: Any, **named: Any) -> None:
        try:
            check(*args, **named)
        except GenerationError as error:
            self.add_error(field, str(error))


def _recommended(checkpoint: Checkpoint) -> dict[str, Any]:
    try:
        return told_call_options(checkpoint)
    except GenerationError:
        return {}  # the web host need not hold the models


def _call_rules(family: Family | None) -> dict[str, OptionRule]:
    """The rules of a pipeline; of all of them together, the first that has a name, where it is not known yet."""
    families = [family] if family is not None else list(FAMILIES.values())
    rules: dict[str, OptionRule] = {}
    for one in families:
        rules = {**one.call_options, **rules}
    return rules


def _is_above_one(value: Any) -> bool:
    return isinstance(value, int | float) and value > 1
