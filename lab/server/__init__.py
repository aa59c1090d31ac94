"""The managers process: the managers, and the HTTP API in front of them."""
