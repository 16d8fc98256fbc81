"""``install_as_torch()`` and ``python -m engine run``, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(code: str, tmp_path: Path, *command: str) -> str:
    """Standard output of a script, run by ``python`` or ``python -m engine run``."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, *command, str(script), "one", "two"], env=environ, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_names_versions_and_modules(tmp_path: Path) -> None:
    out = run(
        """
        import engine
        engine.install_as_torch()
        engine.install_as_torch()  # again: nothing happens
        import importlib.metadata, importlib.util, pickle, sys
        import torch
        import torch.nn as nn
        import torch.nn.functional as F
        import torch.backends.cudnn as cudnn
        from torch.cuda.amp import autocast
        from torch.utils.data import DataLoader
        from torch.optim.lr_scheduler import StepLR
        from torch.nn.modules.utils import _pair
        assert torch is engine and sys.modules["torch"] is engine and F is engine.nn.functional
        assert sys.modules["torch.nn"] is engine.nn and torch.utils.data is engine.utils.data
        assert F.__spec__.name == "engine.nn.functional"
        assert torch.__version__ == "2.13.0" == importlib.metadata.version("torch")
        assert torch.__version__ >= (2, 1) and torch.__version__ > "2.9" and torch.__version__ < "2.14.0a0"
        assert isinstance(torch.__version__, str) and torch.version.__version__ == torch.__version__
        assert torch.version.engine_version != torch.__version__
        assert nn.Linear.__module__ == "torch.nn.modules.linear" and torch.Tensor.__module__ == "torch"
        assert torch.optim.Adam.__module__ == "torch.optim.adam" and nn.Parameter.__module__ == "torch.nn.parameter"
        assert pickle.loads(pickle.dumps(nn.Linear(2, 3))).weight.shape == (3, 2)
        assert importlib.util.find_spec("torch.no_such_module") is None
        try:
            import torch.no_such_module
        except ModuleNotFoundError as error:
            assert error.name == "torch.no_such_module"
        print("fine")
        """,
        tmp_path,
    )
    assert out == "fine\n"


def test_refused_once_something_else_is_torch(tmp_path: Path) -> None:
    out = run(
        """
        import sys, types
        sys.modules["torch"] = types.ModuleType("torch")
        import engine
        try:
            engine.install_as_torch()
        except RuntimeError as error:
            print("already imported" in str(error))
        """,
        tmp_path,
    )
    assert out == "True\n"


def test_files_written_under_the_name_are_the_same(tmp_path: Path) -> None:
    out = run(
        """
        import io
        import engine
        model = engine.nn.Sequential(engine.nn.Linear(2, 3), engine.nn.ReLU())
        before = io.BytesIO()
        engine.save(model, before)
        engine.install_as_torch()
        import torch
        after = io.BytesIO()
        torch.save(model, after)
        print(before.getvalue() == after.getvalue())
        loaded = torch.load(io.BytesIO(after.getvalue()), weights_only=False)
        print(type(loaded[0]) is torch.nn.Linear)
        """,
        tmp_path,
    )
    assert out == "True\nTrue\n"


def test_run_reaches_workers_and_child_processes(tmp_path: Path) -> None:
    (tmp_path / "samples.py").write_text(
        "import torch\n\n\nclass Squares(torch.utils.data.Dataset):\n    def __len__(self):\n        return 4\n\n"
        "    def __getitem__(self, i):\n        return torch.tensor(float(i)) ** 2\n",
        encoding="utf-8",
    )
    out = run(
        """
        import subprocess, sys
        import torch
        import torch.multiprocessing as mp
        from samples import Squares
        from torch.utils.data import DataLoader

        def work(index, word):
            assert torch.__version__ == "2.13.0" and word == "go" and torch.ones(2).sum() == 2

        if __name__ == "__main__":
            print(sys.argv[1:], torch.__version__)
            mp.spawn(work, args=("go",), nprocs=2)
            for context in (None, "spawn"):
                loader = DataLoader(Squares(), batch_size=4, num_workers=1, multiprocessing_context=context)
                print([batch.tolist() for batch in loader])
            print(subprocess.run([sys.executable, "-c", "import torch; print(torch.__version__)"],
                                 capture_output=True, text=True).stdout.strip())
        """,
        tmp_path,
        "-m",
        "engine",
        "run",
    )
    batches = "[[0.0, 1.0, 4.0, 9.0]]"
    assert out.splitlines() == ["['one', 'two'] 2.13.0", batches, batches, "2.13.0"]
