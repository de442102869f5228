"""The test site's pages."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("furniture-events/", include("furniture_events.django.urls")),
]
