from tests.faults.processes import start_server
from tests.rpc.fixtures import fresh_url, postgres_url, server

__all__ = ["fresh_url", "postgres_url", "server", "start_server"]
