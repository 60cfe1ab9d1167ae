from __future__ import annotations

from django.db import models


class Item(models.Model):
    stock = models.IntegerField()

    class Meta:
        managed = False  # made by stand.py, on PostgreSQL alone
        db_table = "shop_item"
        app_label = "shop"

    def __str__(self):
        return f"item {self.pk}"
