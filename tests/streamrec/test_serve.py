from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


def test_ctrl_c_while_it_starts_ends_it_without_a_word(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")  # opening it waits: the service is still about to start
    process = subprocess.Popen(
        [sys.executable, "-m", "streamrec", "serve", "--bundle", str(tmp_path), "--port", "0"],
        env={**os.environ, "STREAMREC_PROT": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert "STREAMREC_PROT is no setting" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert said == ""
    assert process.returncode in (0, -signal.SIGINT)
