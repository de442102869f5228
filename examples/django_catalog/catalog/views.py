"""The catalogue's pages: a public list, and forms for users who are signed in.

This module publishes nothing itself. Saves and deletes publish.
"""

from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import transaction
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.generic import CreateView, DeleteView, ListView, UpdateView
from furniture_events.django.page import live

from catalog.models import Mueble


@method_decorator(live, name="dispatch")
class MuebleList(ListView):
    """All pieces. ``live`` reads the log's position before the query, so no event is missed."""

    queryset = Mueble.objects.select_related("autor")
    template_name = "catalog/list.html"


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

    fields = ("nombre", "descripcion", "altura", "ancho", "material")
    template_name = "catalog/form.html"


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
