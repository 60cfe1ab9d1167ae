"""The Django project that every system works for."""
