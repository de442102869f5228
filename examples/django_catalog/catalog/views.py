"""The catalogue's pages: a public list, and forms for users who are signed in.

This module publishes nothing itself. Saves and deletes publish.
"""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.generic import CreateView, DeleteView, ListView, UpdateView
from furniture_events.django import status
from furniture_events.django.page import live

from catalog import history
from catalog.models import Mueble

ENTRIES = 12
"""The list shows this many changes, with their users."""

MATERIALS = ("roble", "pino", "nogal", "haya", "tela", "metal", "cristal", "mármol", "plástico")


@method_decorator(live, name="dispatch")
class MuebleList(ListView):
    """All pieces. ``live`` reads the log's position before the query, so no event is missed."""

    template_name = "catalog/list.html"

    def get_queryset(self) -> QuerySet[Mueble]:
        """Return the pieces, each with its author and its last change."""
        return history.with_last_change(Mueble.objects.select_related("autor"))

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """Add the history, and the number of events that wait for the broker."""
        return super().get_context_data(
            **context,
            history=history.latest(ENTRIES),
            waiting=status().waiting,
            can_stop_broker=settings.DEBUG and settings.BROKER_PID_FILE is not None,
        )


class Form(LoginRequiredMixin):
    """A form that changes a piece. An error after the save rolls back the piece and its event."""

    model = Mueble
    success_url = reverse_lazy("catalog:list")

    @method_decorator(transaction.atomic)
    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        """Save and answer in one transaction."""
        return super().post(request, *args, **kwargs)


class MuebleForm(Form):
    """A form with the piece's fields."""

    fields = ("nombre", "descripcion", "ancho", "altura", "material")
    template_name = "catalog/form.html"
    extra_context: ClassVar = {"materials": MATERIALS}


class MuebleCreate(MuebleForm, CreateView):
    """A form for a new piece, whose author is the signed-in user."""

    def form_valid(self, form: ModelForm) -> HttpResponse:
        """Set the author, and save."""
        form.instance.autor = self.request.user
        return super().form_valid(form)


class MuebleUpdate(MuebleForm, UpdateView):
    """A form that changes a piece."""


class MuebleDelete(Form, DeleteView):
    """A form that asks before it deletes a piece."""

    template_name = "catalog/delete.html"


def preview(request: HttpRequest) -> HttpResponse:
    """Answer with the drawing of a piece that a form describes."""
    return render(request, "catalog/preview.html", {"values": request.GET.dict()})
