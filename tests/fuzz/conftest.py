from tests.rpc.fixtures import server

__all__ = ["server"]
