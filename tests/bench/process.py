"""A child process of the benchmark as the parent sees it: start, ask with a deadline, restart."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# Threads of the BLAS and OpenMP libraries behind torch and NumPy, and of PoCL (old and new name).
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POCL_MAX_PTHREAD_COUNT",
    "POCL_CPU_MAX_CU_COUNT",
)


class ChildError(Exception):
    """A child reported an error, died, or did not answer in time; the text is one line."""


class Child:
    """A long-lived child process speaking JSON lines; started when first asked, restarted after it was lost.

    workloads: modules to load instead of the usual ones; env: more environment variables; loud: what the child
    writes to standard error is shown instead of kept.
    """

    def __init__(
        self,
        module: str,
        threads: int,
        workloads: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        loud: bool = False,
    ):
        self.module = module
        self.command = [sys.executable, "-m", "tests.bench.child", module, "--threads", str(threads)]
        if workloads:
            self.command += ["--workloads", *workloads]
        self.env = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads)), **(env or {})}
        self.process: subprocess.Popen | None = None
        self.log, self.loud = tempfile.TemporaryFile(), loud
        self.buffer = b""

    def start(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        self.close()
        self.log.seek(0)
        self.log.truncate()
        self.buffer = b""
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if self.loud else self.log,
            env=self.env,
            cwd=ROOT,
            start_new_session=True,  # so that a hung child is killed with its own children
        )

    def ask(self, timeout: float, **command: Any) -> dict:
        """Send a command and return the answer; ChildError if it fails or takes longer than timeout seconds."""
        self.start()
        told = os.fstat(self.log.fileno()).st_size
        try:
            self.process.stdin.write((json.dumps(command) + "\n").encode())
            self.process.stdin.flush()
            line = self._line(time.monotonic() + timeout)
        except BrokenPipeError:
            line = b""
        except TimeoutError:
            self.close()
            raise ChildError(f"no answer to {command['do']} within {timeout:g} s, process killed") from None
        if not line:
            code = self.process.wait()
            self.close()
            raise ChildError(f"process ended with {describe_exit(code)}: {self._last_words(told)}")
        answer = json.loads(line)
        if "error" in answer:
            raise ChildError(answer["error"])
        return answer

    def _line(self, deadline: float) -> bytes:
        stdout = self.process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not selector.select(remaining):
                    raise TimeoutError
                block = os.read(stdout.fileno(), 65536)
                if not block:
                    return b""
                self.buffer += block
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def _last_words(self, told: int) -> str:
        """The last line that the child wrote beyond the byte `told`."""
        self.log.seek(told)
        lines = [line for line in self.log.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else "(it printed nothing)"

    def close(self) -> None:
        """End the process and its children."""
        if self.process is None:
            return
        if self.process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            try:
                self.process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process.stdout.close()
        self.process = None


def describe_exit(code: int) -> str:
    """A process's exit status in words: "status 1", "signal SIGSEGV"."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
