"""The worker processes that run studies."""
