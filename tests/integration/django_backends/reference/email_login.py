"""Log-in by e-mail address, a claim more and a richer answer, as applications customise the library."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.tokens import Token


class EmailBackend(ModelBackend):
    def authenticate(
        self, request: HttpRequest | None, email: str | None = None, password: str | None = None, **_: Any
    ) -> User | None:
        user = User.objects.filter(email=email).first()
        if user is not None and user.check_password(password) and self.user_can_authenticate(user):
            return user
        return None


class EmailTokenObtainPairSerializer(TokenObtainPairSerializer):
    username_field = "email"

    @classmethod
    def get_token(cls, user: User) -> Token:
        token = super().get_token(user)
        token["name"] = user.username
        return token

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        data = super().validate(attrs)
        return {**data, "user": {"id": str(self.user.pk), "username": self.user.username}}
