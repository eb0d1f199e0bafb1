"""What the demo tells its user: lines to paste into a shell."""

from __future__ import annotations

import importlib.util
import shlex
import sys

_GUIDE = """
headgate listens on {url}; its admin address is {admin} (/metrics, /readyz).
Models: auto (heavy, then lite), heavy, lite. Key: demo.

Ask with curl:

curl -sS {url}/v1/chat/completions -H 'Authorization: Bearer demo' -H 'Content-Type: application/json' \\
  -d '{{"model": "auto", "temperature": 0, "messages": [{{"role": "user", "content": "What is headgate?"}}]}}'

Ask with the openai client, streamed:

{install}{python} - <<'END'
from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key="demo")
question = [{{"role": "user", "content": "What happens when heavy fails?"}}]
for chunk in client.chat.completions.create(model="auto", temperature=0, messages=question, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
END

See a fallback: kill -9 {heavy_pid} (heavy), then ask again; curl -i shows in x-headgate-target who answers.
heavy is back some seconds later. Stop with Ctrl-C.
"""


def guide(url: str, admin: str, heavy_pid: int) -> str:
    """Return what to paste to try the gateway at `url`, for a shell, from any folder."""
    python = shlex.quote(sys.executable)
    has_client = importlib.util.find_spec("openai") is not None
    install = "" if has_client else f"{python} -m pip install -q openai\n"
    return _GUIDE.format(url=url, admin=admin, python=python, install=install, heavy_pid=heavy_pid)
