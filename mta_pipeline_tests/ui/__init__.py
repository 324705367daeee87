"""The UI as its users see it: Debian's chromium before the processes that `make ui` starts."""
