"""Django with djangorestframework-simplejwt as its documentation sets it up; the reference for the wire contract.

Environment: `DATABASE` (SQLite file), `SIGNING_KEY`, `SIMPLE_JWT` (JSON object of settings; lifetimes and leeway are
seconds).
"""

import json
import os
from datetime import timedelta

SECRET_KEY = os.environ["SIGNING_KEY"]
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "reference.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "rest_framework_simplejwt",
    "rest_framework_simplejwt.token_blacklist",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

# The wire does not show which hash a password has; the default one takes 0.24 s a log-in.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_RATES": {"minute": "1/min", "second": "1/s"},
}
SIMPLE_JWT = {
    name: timedelta(seconds=value) if name.endswith(("_LIFETIME", "LEEWAY")) else value
    for name, value in json.loads(os.environ.get("SIMPLE_JWT", "{}")).items()
}
if "TOKEN_OBTAIN_SERIALIZER" in SIMPLE_JWT:
    AUTHENTICATION_BACKENDS = ["reference.email_login.EmailBackend"]
