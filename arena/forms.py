"""Forms of the researcher's pages."""

from typing import Any

from django import forms
from django.contrib.auth.models import User

from arena.models import Study
from generation.image_imports import Layout
from generation.models import PromptSet

LAYOUTS = (
    (Layout.DALLE3, "names: {prompt}_{sample}.png, as in DALL-E 3 Eval"),
    (Layout.GENEVAL, "names: {prompt}/samples/{sample}.png, as in GenEval"),
    (Layout.COMPBENCH, "names: prompt_{number}.png or {prompt text}_{number}.png, as in T2I-CompBench"),
    (Layout.MANIFEST, "a manifest: CSV or JSON lines"),
)


class ImportForm(forms.Form):
    """What the images of an import are of."""

    prompt_set = forms.ModelChoiceField(PromptSet.objects.none(), label="Prompts", empty_label="choose one")
    contender = forms.CharField(
        max_length=200,
        required=False,
        label="Contender",
        help_text="The model or service that made the images. Leave it empty where the manifest names contenders.",
    )
    layout = forms.ChoiceField(choices=LAYOUTS, label="Prompt and sample are told by")
    manifest = forms.FileField(
        required=False,
        label="Manifest",
        help_text="Columns: file, prompt or prompt_id, and where they apply contender, sample, seed.",
    )
    first_index = forms.TypedChoiceField(
        coerce=int, choices=((0, "0"), (1, "1")), initial=0, label="Number of the first prompt"
    )
    samples = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=1000,
        label="Images wanted of each prompt",
        help_text="As many as there are, if left empty.",
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice = self.fields["prompt_set"]
        if isinstance(choice, forms.ModelChoiceField):
            choice.queryset = PromptSet.objects.visible_to(user)


class DraftChoiceForm(forms.Form):
    """The draft that imported contenders are added to, or none."""

    study = forms.ModelChoiceField(
        Study.objects.none(), required=False, label="Add to the draft", empty_label="none", to_field_name="slug"
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice = self.fields["study"]
        if isinstance(choice, forms.ModelChoiceField):
            choice.queryset = Study.objects.visible_to(user).filter(state=Study.State.DRAFT)
            choice.empty_label = "no study"
