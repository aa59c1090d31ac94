"""What names a depot, without a database."""

from __future__ import annotations

import pytest

from hotswap.depot import opened
from hotswap.errors import StoreError


@pytest.mark.parametrize("port", ["99999", "hidden"])
def test_an_url_with_a_port_that_is_none_is_refused_without_quoting_it(port: str) -> None:
    with pytest.raises(StoreError, match="write mongodb://host:port/name") as refused, opened(f"mongodb://me:{port}/x"):
        pass
    assert port not in str(refused.value)
