"""A local Hugging Face Hub for tests and rehearsals; the real clients talk to it over HTTP.

`python -m hub --root DIR`, in the folder tests/, starts one by hand. In a test:
    with LocalHub(tmp_path) as hub: HfApi(hub.endpoint, token=hub.token)
Clients need HF_HUB_DISABLE_XET=1, because it takes large files by LFS only. Listings have one page, repositories one
branch, and all but the files' contents is kept in memory.

  server   what the clients ask, and LocalHub
  storage  repositories, cards, Spaces
  faults   answers that fail
  spaces   run the app of a Space
"""

from .faults import Fault
from .server import FOREIGN_TOKEN, ID_TOKEN, READ_TOKEN, WRITE_TOKEN, LocalHub

__all__ = ["FOREIGN_TOKEN", "ID_TOKEN", "READ_TOKEN", "WRITE_TOKEN", "Fault", "LocalHub"]
