"""The URL of the page's configuration as JSON.

``path("furniture-events/", include("furniture_events.django.urls"))``.
"""

from django.urls import path

from furniture_events.django.views import configuration

app_name = "furniture_events"
urlpatterns = [path("", configuration, name="configuration")]
