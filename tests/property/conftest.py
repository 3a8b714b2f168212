from tests.rpc.fixtures import fresh_url, postgres_url, server

__all__ = ["fresh_url", "postgres_url", "server"]
