from .script_server import ScriptServer
def test_a(serve): pass
