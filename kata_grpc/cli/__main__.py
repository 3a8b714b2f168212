"""`python -m kata_grpc.cli` is `kata-grpc`."""

import sys

from kata_grpc.cli import main

sys.exit(main())
