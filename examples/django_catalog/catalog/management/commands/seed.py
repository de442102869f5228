"""``manage.py seed``: users and pieces for the demo."""

from auditlog.context import set_actor
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from catalog.models import Mueble

PIECES = [
    ("Mesa de roble", "Mesa de comedor para seis", 75, 180, "roble", "ana"),
    ("Silla Carmen", "Con asiento de enea", 92, 45, "haya", "ana"),
    ("Estantería", "Cinco baldas, se ancla a la pared", 190, 80, "pino", "eva"),
    ("Lámpara de lectura", "Con pantalla de lino", 146, 38, "latón", "eva"),
    ("Cómoda Norte", "Tres cajones dobles", 82, 110, "nogal", "ana"),
    ("Sofá Ribera", "Tres plazas", 80, 210, "tela", "eva"),
    ("Taula de centre", "De roure massís", 42, 110, "roure", "eva"),
    ("Butaca", "Tapizada en lana", 84, 70, "nogal", "ana"),
]


class Command(BaseCommand):
    """Adds three users and some pieces, once."""

    help = "Add the users admin, ana and eva, whose passwords are their names, and some pieces."

    @transaction.atomic
    def handle(self, **_: object) -> None:
        """Add the missing users and pieces. Raise ``CommandError`` unless ``DEBUG`` is on."""
        if not settings.DEBUG:
            raise CommandError("seed needs DEBUG: anybody can guess the passwords of its users")
        if not User.objects.filter(username="admin").exists():
            User.objects.create_superuser("admin", "", "admin")
        if not User.objects.filter(username="ana").exists():
            users = {name: User.objects.create_user(name, "", name) for name in ("ana", "eva")}
            for nombre, descripcion, altura, ancho, material, username in PIECES:
                with set_actor(users[username]):
                    Mueble.objects.create(
                        nombre=nombre,
                        descripcion=descripcion,
                        altura=altura,
                        ancho=ancho,
                        material=material,
                        autor=users[username],
                    )
