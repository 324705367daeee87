"""What deploy/ and the Dockerfile promise."""
