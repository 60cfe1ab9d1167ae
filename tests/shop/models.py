"""What the jobs of the tests work on: a customer is welcomed once, an invoice is paid once."""

from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=100)
    email = models.EmailField()
    welcomed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Invoice(models.Model):
    amount = models.IntegerField()  # cents
    payment = models.CharField(max_length=100, blank=True)  # Stripe's id of it, once it is paid

    def __str__(self) -> str:
        return f"invoice {self.pk}"
