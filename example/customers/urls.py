"""Addresses of the customer pages."""

from django.urls import path

from customers import views

urlpatterns = [
    path("", views.home, name="home"),
    path("sign-up/", views.sign_up, name="sign-up"),
]
