from tests.faults.processes import start_server

__all__ = ["start_server"]
