"""Results that are too large for a record."""
