"""The shop's addresses, and the admin, where jobs are looked at and operated on."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("", include("customers.urls"))]
