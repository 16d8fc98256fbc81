"""Whole programs: whatever ends them, no process and no shared memory remains."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import engine

ENVIRON = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(engine.__file__).parents[1]), *sys.path])}

HEAD = """
import os, signal, sys, time
import engine
from engine.utils.data import DataLoader, Dataset

class Data(Dataset):
    def __init__(self, size=64, slow=0.0, die_at=None):
        self.size, self.slow, self.die_at = size, slow, die_at
    def __len__(self):
        return self.size
    def __getitem__(self, index):
        if index == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.slow)
        return engine.full((256, 256), float(index))

def pids(iterator):
    print("pids", *(worker.pid for worker in iterator._workers), flush=True)
"""


def start(body, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(HEAD + textwrap.dedent(body))
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, script], stdout=pipe, stderr=pipe, text=True, start_new_session=True, env=ENVIRON
    )


def read_pids(process):
    words = process.stdout.readline().split()
    assert words and words[0] == "pids", process.stderr.read()
    return [int(word) for word in words[1:]]


def session_members(session):
    """Processes of the session that the program began, zombies left out."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                members.append(int(entry.name))
    return members


def shared_files():
    return {entry.name for entry in Path("/dev/shm").iterdir() if entry.is_file()}


def assert_nothing_remains(process, shared_before):
    deadline = time.monotonic() + 5
    while session_members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert session_members(process.pid) == []
    assert shared_files() <= shared_before


@pytest.fixture
def shared_before():
    return shared_files()


def test_normal_end(tmp_path, shared_before):
    process = start(
        """
        for persistent in (False, True):
            loader = DataLoader(Data(), batch_size=8, num_workers=2, persistent_workers=persistent)
            print(sum(batch.shape[0] for batch in loader))
        """,
        tmp_path,
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "64\n64\n", "")
    assert_nothing_remains(process, shared_before)


def test_leaving_in_the_middle(tmp_path, shared_before):
    process = start(
        """
        iterator = iter(DataLoader(Data(slow=0.01), batch_size=8, num_workers=2))
        next(iterator)
        sys.exit(7)
        """,
        tmp_path,
    )
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (7, "")
    assert_nothing_remains(process, shared_before)


def test_a_killed_worker(tmp_path, shared_before):
    process = start(
        """
        iterator = iter(DataLoader(Data(die_at=20), batch_size=8, num_workers=2))
        pids(iterator)
        for batch in iterator:
            pass
        """,
        tmp_path,
    )
    workers = read_pids(process)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: DataLoader worker (pid(s)") and "signal: Killed. (exit code -9)" in last
    assert any(str(pid) in last for pid in workers)
    assert_nothing_remains(process, shared_before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_program_is_ended_by_a_signal(number, tmp_path, shared_before):
    process = start(
        """
        iterator = iter(DataLoader(Data(slow=30), batch_size=8, num_workers=2))
        pids(iterator)
        next(iterator)
        """,
        tmp_path,
    )
    read_pids(process)
    time.sleep(0.3)
    begin = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as the terminal does on Ctrl-C
    else:
        process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - begin < 5
    if number == signal.SIGINT:
        assert err.strip().splitlines()[-1] == "KeyboardInterrupt" and err.count("Traceback") == 1
    else:
        assert process.returncode == -number and err == ""
    assert_nothing_remains(process, shared_before)


def test_ctrl_c_that_is_caught_leaves_the_loader_usable(tmp_path, shared_before):
    process = start(
        """
        iterator = iter(DataLoader(Data(size=16, slow=0.02), batch_size=2, num_workers=2))
        seen, shown = 0, False
        while True:
            try:
                if not shown:
                    shown = True
                    pids(iterator)
                for batch in iterator:
                    seen += 1
                break
            except KeyboardInterrupt:
                pass
        print(seen >= 7)
        """,
        tmp_path,
    )
    read_pids(process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "True\n", "")
    assert_nothing_remains(process, shared_before)


def test_the_server_is_killed_between_two_passes(tmp_path, shared_before):
    process = start(
        """
        from engine.data.launch import _server
        loader = DataLoader(Data(size=4), num_workers=1)
        print(len(list(loader)))
        os.kill(_server._process.pid, signal.SIGKILL)
        print(len(list(loader)))
        """,
        tmp_path,
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "4\n4\n", "")
    assert_nothing_remains(process, shared_before)


def test_output_of_workers_is_seen_and_their_surroundings_are_the_programs(tmp_path, shared_before):
    process = start(
        """
        os.environ["SOME_SETTING"] = "set late"
        os.chdir("/")
        sys.argv.append("argument")
        class Where(Data):
            def __getitem__(self, index):
                print(os.environ["SOME_SETTING"], os.getcwd(), sys.argv[-1], __name__)
                return 0
        list(DataLoader(Where(1), num_workers=1))
        """,
        tmp_path,
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "set late / argument __main__\n", "")
    assert_nothing_remains(process, shared_before)


def test_fork_when_it_is_asked_for(tmp_path, shared_before):
    process = start(
        """
        import threading
        lock = threading.Lock()
        class Held(Data):
            def __init__(self):
                super().__init__(4)
                self.lock = lock
            def __getitem__(self, index):
                return index + self.lock.locked()
        print([b.item() for b in DataLoader(Held(), num_workers=2, multiprocessing_context="fork")])
        """,
        tmp_path,
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "[0, 1, 2, 3]\n", "")
    assert_nothing_remains(process, shared_before)
