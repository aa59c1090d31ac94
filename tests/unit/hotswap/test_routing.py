from __future__ import annotations

import importlib.util
import re

import pytest
from dramatiq.actor import _queue_name_re
from hypothesis import given
from hypothesis import strategies as st

from hotswap.routing import RoutingError, make_broker, queue_name, send

ID = "0123456789abcdef" * 4


def test_a_queue_is_named_after_application_and_snapshot() -> None:
    assert queue_name("my_lab", ID) == "hotswap.my_lab.0123456789ab"


@given(st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True), st.from_regex(r"[0-9a-f]{64}", fullmatch=True))
def test_every_queue_name_obeys_dramatiqs_rules(app: str, snapshot_id: str) -> None:
    assert _queue_name_re.fullmatch(queue_name(app, snapshot_id))


@pytest.mark.parametrize("app", ["", "my lab", "lab.one", "läb", "lab\n"])
def test_a_bad_application_name_is_refused_by_name(app: str) -> None:
    with pytest.raises(RoutingError, match=re.escape(repr(app))):
        queue_name(app, ID)


@pytest.mark.parametrize("snapshot_id", ["", "0123", "G" * 64, "0123456789AB"])
def test_a_bad_snapshot_id_is_refused(snapshot_id: str) -> None:
    with pytest.raises(RoutingError, match="no snapshot id"):
        queue_name("lab", snapshot_id)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(RoutingError, match="not with 'http://'"):
        make_broker("http://localhost")


def test_a_url_with_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(RoutingError, match=r"The broker's URL cannot be used .*port"):
        make_broker("redis://localhost:port")


@pytest.mark.skipif(importlib.util.find_spec("pika") is not None, reason="pika is installed")
def test_rabbitmq_without_its_client_library_says_what_to_install() -> None:
    with pytest.raises(RoutingError, match=r"pip install 'dramatiq\[rabbitmq\]'"):
        make_broker("amqp://localhost")


def test_a_broker_brings_no_middleware_and_no_delay_queue() -> None:
    broker = make_broker("redis://127.0.0.1:1/0")
    broker.declare_queue("hotswap.lab.0123456789ab")
    assert broker.middleware == []
    assert broker.get_declared_queues() == {"hotswap.lab.0123456789ab"}
    assert broker.get_declared_delay_queues() == set()


def test_a_broker_that_does_not_answer_is_one_sentence() -> None:
    broker = make_broker("redis://127.0.0.1:1/0")
    with pytest.raises(RoutingError, match="did not take a message for q"):
        send(broker, "q", "actor")
