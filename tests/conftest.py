"""Nothing that a test does may touch the progress or the downloads of whoever runs it."""

import os
import tempfile

import torch

_FOLDER = tempfile.mkdtemp(prefix="minidistill-tests-")
os.environ["MINIDISTILL_HOME"] = os.path.join(_FOLDER, "home")
os.environ["MINIDISTILL_CACHE"] = os.path.join(_FOLDER, "cache")
os.environ["MPLBACKEND"] = "agg"

# The models of the tests are tiny: on one thread they are fastest, above all on a busy machine.
torch.set_num_threads(1)
