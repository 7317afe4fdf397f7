"""The application; importing it migrates the database and makes the users of `USERS` (JSON list) in their order."""

import json
import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connections

application = get_wsgi_application()
call_command("migrate", verbosity=0)


def _make_users() -> None:
    from django.contrib.auth.models import User

    for user in json.loads(os.environ["USERS"]):
        made = User.objects.create_user(user["username"], user["email"], user["password"])
        if user.get("state") == "inactive":
            User.objects.filter(pk=made.pk).update(is_active=False)
        if user.get("state") == "deleted":
            made.delete()


_make_users()
# The worker is forked from here and must not share the connection.
connections.close_all()
