"""The application; importing it migrates the database and makes the user `alice`, who gets the id 1."""

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connections

application = get_wsgi_application()
call_command("migrate", verbosity=0)


def _make_alice() -> None:
    from django.contrib.auth.models import User

    User.objects.create_user("alice")


_make_alice()
# The worker is forked from here and must not share the connection.
connections.close_all()
