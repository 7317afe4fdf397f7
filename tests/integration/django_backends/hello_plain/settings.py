"""A backend that knows nothing of tokens: DRF alone, no users, no database."""

SECRET_KEY = "of no importance here: nothing is signed with it"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "hello_plain.urls"
USE_TZ = True
INSTALLED_APPS = ["rest_framework"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
}
