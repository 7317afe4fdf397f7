"""The tutorial's HelloView behind IsAuthenticated."""

from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class HelloView(APIView):
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        return Response({"message": "Hello, World!", "user_id": str(request.user.pk)})


urlpatterns = [path("own/hello/", HelloView.as_view())]
