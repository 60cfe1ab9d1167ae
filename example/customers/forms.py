"""The sign-up form."""

from django import forms

from customers.models import Customer


class SignUpForm(forms.ModelForm):
    decline_card = forms.BooleanField(
        required=False, label="Decline my card: the sign-up is rolled back after its job was enqueued"
    )

    class Meta:
        model = Customer
        fields = ("name", "email")
