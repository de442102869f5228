"""``manage.py seed``: users and pieces for the demo."""

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from catalog.models import Mueble

PIECES = [
    ("Mesa de roble", "Mesa de comedor para seis", 75, 180, "roble"),
    ("Silla Carmen", "Con asiento de enea", 92, 45, "haya"),
    ("Estantería", "Cinco baldas, se ancla a la pared", 190, 80, "pino"),
    ("Butaca", "Tapizada en lana", 84, 70, "nogal"),
]


class Command(BaseCommand):
    """Adds two users and some pieces, once."""

    help = "Add the users admin and ana, whose passwords are their names, and some pieces."

    @transaction.atomic
    def handle(self, **_: object) -> None:
        """Add the missing users and pieces. Raise ``CommandError`` unless ``DEBUG`` is on."""
        if not settings.DEBUG:
            raise CommandError("seed needs DEBUG: anybody can guess the passwords of its users")
        if not User.objects.filter(username="admin").exists():
            User.objects.create_superuser("admin", "", "admin")
        if not User.objects.filter(username="ana").exists():
            ana = User.objects.create_user("ana", "", "ana")
            for nombre, descripcion, altura, ancho, material in PIECES:
                Mueble.objects.create(
                    nombre=nombre,
                    descripcion=descripcion,
                    altura=altura,
                    ancho=ancho,
                    material=material,
                    autor=ana,
                )
