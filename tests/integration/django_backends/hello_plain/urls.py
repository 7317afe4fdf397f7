"""The tutorial's HelloView, with the user id that whoever stands in front tells it."""

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class HelloView(APIView):
    def get(self, request: Request) -> Response:
        return Response(
            {
                "message": "Hello, World!",
                "user_id": request.headers.get("X-User-Id"),
                "authorization": request.headers.get("Authorization"),
            }
        )


urlpatterns = [path("hello/", HelloView.as_view())]
