"""Wires the apps into one site: settings, addresses, Celery, WSGI."""

from evalsite.celery import app as celery_app

__all__ = ["celery_app"]
