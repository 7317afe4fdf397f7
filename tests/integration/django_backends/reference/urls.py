"""The token endpoints at their documented paths, three views behind them, and the handles the tests turn."""

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.views import (
    TokenBlacklistView,
    TokenObtainPairView,
    TokenRefreshView,
    TokenVerifyView,
)


class HelloView(APIView):
    """Says who is calling, whatever the method."""

    def get(self, request: Request, **_: object) -> Response:
        user_id = None if request.user.pk is None else str(request.user.pk)
        return Response({"user_id": user_id})

    post = put = patch = delete = options = get


class OpenView(HelloView):
    permission_classes = (AllowAny,)


class StatelessView(HelloView):
    authentication_classes = (JWTStatelessUserAuthentication,)


class MinuteView(HelloView):
    throttle_classes = (ScopedRateThrottle,)
    throttle_scope = "minute"


class SecondView(MinuteView):
    throttle_scope = "second"


class ThrottledObtainView(TokenObtainPairView):
    throttle_classes = (ScopedRateThrottle,)
    throttle_scope = "minute"


def disable(_: HttpRequest, username: str) -> HttpResponse:
    User.objects.filter(username=username).update(is_active=False)
    return HttpResponse()


def remove(_: HttpRequest, username: str) -> HttpResponse:
    User.objects.filter(username=username).delete()
    return HttpResponse()


urlpatterns = [
    path("api/token/", TokenObtainPairView.as_view()),
    path("api/token/refresh/", TokenRefreshView.as_view()),
    path("api/token/verify/", TokenVerifyView.as_view()),
    path("api/token/blacklist/", TokenBlacklistView.as_view()),
    path("api/hello/", HelloView.as_view()),
    path("api/open/", OpenView.as_view()),
    path("api/stateless/", StatelessView.as_view()),
    path("api/minute/", MinuteView.as_view()),
    path("api/second/", SecondView.as_view()),
    path("api/throttled/token/", ThrottledObtainView.as_view()),
    path("control/disable/<str:username>/", disable),
    path("control/remove/<str:username>/", remove),
]
