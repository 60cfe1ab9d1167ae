"""Customers of the shop: they sign up on the site and are welcomed by mail."""
