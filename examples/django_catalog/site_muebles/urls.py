"""The site's URLs."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("", include("catalog.urls")),
    path("furniture-events/", include("furniture_events.django.urls")),  # a fresh token
    path("cuenta/login/", LoginView.as_view(extra_context={"is_demo": settings.DEBUG})),
    path("cuenta/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
    path("idioma/", include("django.conf.urls.i18n")),
    *staticfiles_urlpatterns(),  # only with DEBUG; otherwise a web server serves them
]
