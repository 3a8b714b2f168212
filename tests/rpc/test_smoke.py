from tests.rpc import build as b
from tests.rpc.serving import Running, loop
pytestmark = loop
async def test_it(server: Running):
    c = await server.create(name="a")
    r = await server.append(c.context_id, b.user("x"))
    w = await server.window(c.context_id, 100)
    print(w)
