"""New York's weekly subway turnstile files, brought into a data lake: audited, compressed, observable."""

__version__ = "0.1.0"
