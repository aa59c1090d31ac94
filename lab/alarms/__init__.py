"""Alarms: what tells people outside that the laboratory needs them, and the ways they are told."""
