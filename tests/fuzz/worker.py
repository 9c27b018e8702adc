"""Tries inputs in a process of its own, with limits, and says what became of each.

    worker = Worker(); worker.run("net", {"text": "..."})

The process is started when it is first needed and again after it died; an input that takes longer than `SECONDS` is a
hang, and its process is killed. Memory is limited to what the process had when it was warm, and `EXTRA` on top of it.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

#: For one input; what is compiled on the way counts too.
SECONDS = 60.0

#: Bytes of address space beyond those of the warm process: what is larger must be refused in words.
EXTRA = 1 << 30

#: Inputs after which a process is replaced, so that what they leave behind does not add up.
INPUTS = 400


@dataclass(frozen=True)
class Verdict:
    """What became of an input.

    Attributes:
        kind: "result", "refused" (a BicerinError or a documented exit status), "raw" (another exception), "hang" or
            "crash".
        text: the error.
        place: where a raw exception was raised, so that one fault is told once.
    """

    kind: str
    text: str = ""
    place: str = ""

    @property
    def failed(self) -> bool:
        return self.kind not in ("result", "refused")


class Worker:
    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self.inputs = 0
        self._process: subprocess.Popen[str] | None = None
        self._left = 0
        self._folder = Path(tempfile.mkdtemp(prefix="fuzz"))

    def run(self, target: str, given: Any) -> Verdict:
        self.inputs += 1
        if self._process is None or self._left <= 0:
            self._start()
        assert self._process is not None and self._process.stdin is not None
        self._left -= 1
        try:
            self._process.stdin.write(json.dumps([target, given]) + "\n")
            self._process.stdin.flush()
            answer = self._answer(self.seconds)
        except BrokenPipeError:
            answer = ""
        if answer is None:
            self._end()
            return Verdict("hang", f"no answer in {self.seconds:g} s")
        if not answer:
            status = self._process.wait()
            self._end()
            said = (self._folder / "stderr").read_text(errors="replace")[-2000:]
            name = signal.Signals(-status).name if status < 0 else f"status {status}"
            return Verdict("crash", f"{name}\n{said}", name)
        return Verdict(**json.loads(answer))

    def close(self) -> None:
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        self._end()
        with (self._folder / "stderr").open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=self._folder,
                env={**os.environ, "BICERIN_NUM_THREADS": "1", "COLUMNS": "200"},
                start_new_session=True,
            )
        self._left = INPUTS
        if self._answer(300) != "ready\n":
            self._end()
            raise RuntimeError((self._folder / "stderr").read_text(errors="replace"))

    def _answer(self, seconds: float) -> str | None:
        """A line of the process; "" where it ended, None where it says nothing for so long."""
        assert self._process is not None and self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if ready else None

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


# In the process


def main() -> None:
    sys.path.insert(0, str(HERE))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed is no answer
    import targets

    from bicerin.errors import BicerinError

    targets.warm()
    _limit_memory()
    home = Path.cwd()
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        target, given = json.loads(line)
        folder = Path(tempfile.mkdtemp(dir=home))
        os.chdir(folder)
        try:
            getattr(targets, f"run_{target}")(given)
            answer = {"kind": "result"}
        except BicerinError as error:
            # What a layer of ours raised by accident is located, but still an accident.
            accident = "its code raised" in str(error) and isinstance(error.__cause__, Exception)
            if accident and error.__cause__ is not None:
                answer = {"kind": "raw", "text": traceback.format_exc()[-4000:], "place": _place(error.__cause__)}
            else:
                answer = {"kind": "refused", "text": str(error)[:2000]}
        except BaseException as error:
            answer = {"kind": "raw", "text": traceback.format_exc()[-4000:], "place": _place(error)}
        finally:
            os.chdir(home)
            shutil.rmtree(folder, ignore_errors=True)
            os.truncate(2, 0)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + EXTRA
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))


def _place(error: BaseException) -> str:
    """The type and the last place of ours, without the line's number."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "bicerin" in frame.filename]
    where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else ""
    return f"{type(error).__name__} {where}"


if __name__ == "__main__":
    main()
