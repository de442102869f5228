"""Furniture events for Django: committed means delivered.

Add ``furniture_events.django`` to ``INSTALLED_APPS``, set ``FURNITURE_EVENTS``, migrate, and run
``manage.py relay_furniture_events`` beside the site. Then saves and deletes of the mapped models
publish events. ``publish`` publishes by hand, and ``furniture_events.django.bulk`` publishes bulk
changes, for which Django sends no signals. ``publish_on_m2m`` publishes changes of a many-to-many
relation, and the setting's ``RELATED`` the pieces of a renamed author. ``manage.py
publish_furniture`` publishes rows as they are now, or compares them with the broker's log.
``furniture_events.django.page`` keeps a page live, and ``revoke`` ends the tokens of a user.
``status`` counts what waits in the outbox, and ``paused`` publishes nothing for a while.
"""

from furniture_events.django.publishing import paused, publish
from furniture_events.django.relations import publish_on_m2m
from furniture_events.django.revoking import revoke
from furniture_events.django.watching import Status, status

__all__ = ["Status", "paused", "publish", "publish_on_m2m", "revoke", "status"]
