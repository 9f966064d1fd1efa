"""Signing in, passwords, and the table of people for administrators."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm, PasswordResetForm
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from arena import accounts
from arena.refusals import Refusal
from arena.sign_in import TOO_MANY, may_ask_for_link

WAIT = "Too many tries within a minute. Wait a minute, then try again."


class SignInForm(AuthenticationForm):
    """Says apart that a try was not looked at; whether an account exists is never said."""

    def get_invalid_login_error(self) -> ValidationError:
        if self.request is not None and TOO_MANY in self.request.META:
            return ValidationError(WAIT, code="too_many")
        return ValidationError("Name and password do not match. Both are case-sensitive.", code="invalid_login")


class SignIn(auth_views.LoginView):
    """The page for signing in."""

    redirect_authenticated_user = True
    form_class = SignInForm

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        answer = super().form_invalid(form)
        answer.status_code = 429 if TOO_MANY in self.request.META else answer.status_code
        return answer


class ChangePassword(auth_views.PasswordChangeView):
    """A new password for oneself; ends all other sessions of the account."""

    template_name = "registration/set_password.html"
    success_url = reverse_lazy("arena:home")
    extra_context = {"title": "Change your password"}  # noqa: RUF012 - as Django declares it

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, "Your password is changed. You are signed out everywhere else.")
        with transaction.atomic():
            accounts.note_password(form.user, by_link=False)
            return super().form_valid(form)


class SetPassword(auth_views.PasswordResetConfirmView):
    """The end of an invitation or of a lost password: a link that works once, for three days."""

    template_name = "registration/set_password.html"
    success_url = reverse_lazy("arena:login")
    extra_context = {"title": "Choose a password"}  # noqa: RUF012

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, "Your password is set. Sign in with it.")
        with transaction.atomic():
            accounts.note_password(form.user, by_link=True)
            return super().form_valid(form)


class ForgottenPassword(auth_views.PasswordResetView):
    """Mail with a link, where a mail server is set; else the way to an administrator. It tells no addresses apart."""

    template_name = "registration/forgotten.html"
    email_template_name = "registration/forgotten_mail.txt"
    subject_template_name = "registration/forgotten_subject.txt"
    success_url = reverse_lazy("arena:forgotten")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"sends_mail": bool(settings.EMAIL_URL)}

    def post(self, request: HttpRequest, *args: str, **kwargs: Any) -> HttpResponse:
        if not settings.EMAIL_URL:
            raise PermissionDenied("This site sends no mail; an administrator can give you a link.")
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        if not may_ask_for_link(self.request, address=form.cleaned_data["email"]):
            form.add_error(None, WAIT)
            answer = self.form_invalid(form)
            answer.status_code = 429
            return answer
        messages.success(self.request, "If an account has this address, a link is on its way to it.")
        return super().form_valid(form)


class InviteForm(forms.Form):
    """Who is to have an account."""

    name = forms.CharField(
        label="Name to sign in with", max_length=150, widget=forms.TextInput({"autocomplete": "off"})
    )
    email = forms.EmailField(label="E-mail", required=False, help_text="Only for links when a password is lost.")
    kind = forms.ChoiceField(label="Kind", choices=list(accounts.KINDS.items()))


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def people(request: HttpRequest) -> HttpResponse:
    """Everybody with an account, and a new one. Its link is shown this one time."""
    actor = _administrator(request)
    form = InviteForm(request.POST or None)
    link = ""
    invited: User | None = None
    if request.method == "POST" and form.is_valid():
        try:
            invited = accounts.invite_person(**form.cleaned_data, actor=actor)
            link = request.build_absolute_uri(accounts.link_path(invited, actor=actor))
        except Refusal as refusal:
            form.add_error(refusal.field or None, refusal.sentence)
    return _people_page(request, form=InviteForm() if invited else form, linked=invited, link=link)


@never_cache
@login_required
@require_POST
def new_link(request: HttpRequest, pk: int) -> HttpResponse:
    """A link for a new password, shown this one time."""
    actor = _administrator(request)
    user = get_object_or_404(User, pk=pk)
    try:
        link = request.build_absolute_uri(accounts.link_path(user, actor=actor))
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("arena:people")
    return _people_page(request, form=InviteForm(), linked=user, link=link)


@login_required
@require_POST
def switch_account(request: HttpRequest, pk: int) -> HttpResponse:
    """Disable an account, or enable it again."""
    actor = _administrator(request)
    user = get_object_or_404(User, pk=pk)
    try:
        if request.POST.get("act") == "enable":
            accounts.enable(user, actor=actor)
            messages.success(request, f"{user} can sign in again.")
        else:
            accounts.disable(user, actor=actor)
            messages.success(request, f"{user} is disabled: signed out everywhere, tokens revoked.")
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    return redirect("arena:people")


def _people_page(request: HttpRequest, *, form: InviteForm, linked: User | None, link: str) -> HttpResponse:
    context = {"form": form, "people": accounts.people(), "linked": linked, "link": link}
    return render(request, "arena/people.html", context, status=400 if form.is_bound and form.errors else 200)


def _administrator(request: HttpRequest) -> User:
    user = cast(User, request.user)
    if not user.is_superuser:
        raise PermissionDenied("Only administrators decide about accounts.")
    return user
