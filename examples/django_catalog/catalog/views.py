"""The catalogue's pages: a list for all, and forms for who is signed in.

Nothing here publishes: saving and deleting does.
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
    """All pieces. `live` reads the log's position before the query, so that nothing is missed."""

    queryset = Mueble.objects.select_related("autor")
    template_name = "catalog/list.html"


class Form(LoginRequiredMixin):
    """A form that changes a piece. What fails after the save takes it back, and its event."""

    model = Mueble
    success_url = reverse_lazy("catalog:list")

    @method_decorator(transaction.atomic)
    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        """Save and answer in one transaction."""
        return super().post(request, *args, **kwargs)


class MuebleForm(Form):
    """The fields that people fill in."""

    fields = ("nombre", "descripcion", "altura", "ancho", "material")
    template_name = "catalog/form.html"


class MuebleCreate(MuebleForm, CreateView):
    """A new piece, by who is signed in."""

    def form_valid(self, form: ModelForm) -> HttpResponse:
        """Sign it."""
        form.instance.autor = self.request.user
        return super().form_valid(form)


class MuebleUpdate(MuebleForm, UpdateView):
    """Another name, another material."""


class MuebleDelete(Form, DeleteView):
    """Asks before."""

    template_name = "catalog/delete.html"
