"""The catalogue's URLs."""

from django.urls import path

from catalog import outage, views

app_name = "catalog"
urlpatterns = [
    path("", views.MuebleList.as_view(), name="list"),
    path("muebles/nuevo/", views.MuebleCreate.as_view(), name="create"),
    path("muebles/dibujo/", views.preview, name="preview"),
    path("muebles/<int:pk>/", views.MuebleUpdate.as_view(), name="update"),
    path("muebles/<int:pk>/borrar/", views.MuebleDelete.as_view(), name="delete"),
    path("demo/parar-el-broker/", outage.stop_broker, name="stop-broker"),
]
