"""Furniture events for Django: committed means delivered.

Add `furniture_events.django` to `INSTALLED_APPS`, set `FURNITURE_EVENTS`, migrate, and run
`manage.py relay_furniture_events` beside the site. Saves and deletes of the mapped models then
publish by themselves; `publish` does by hand, `furniture_events.django.bulk` for what Django sends
no signals for, `furniture_events.django.page` has what a page needs to stay live.
"""

from furniture_events.django.publishing import publish

__all__ = ["publish"]
