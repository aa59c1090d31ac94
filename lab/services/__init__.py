"""The servers a laboratory runs on, when it is not given production ones: child programs on loopback."""

from __future__ import annotations

from lab.services.broker import start_broker
from lab.services.database import start_database
from lab.services.health import answers
from lab.services.service import Service, ServiceError, adopt, stop

__all__ = ["Service", "ServiceError", "adopt", "answers", "start_broker", "start_database", "stop"]
