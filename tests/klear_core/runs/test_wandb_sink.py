import pytest
import wandb

from klear_core.runs.wandb_sink import WandbSink, resolve_mode


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_the_mode_is_explicit_then_environment_then_key_then_offline(no_account, monkeypatch, tmp_path):
    assert resolve_mode(None).mode == "offline"
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    assert resolve_mode(None).mode == "online"
    (tmp_path / "netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert resolve_mode(None).mode == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolve_mode(None).mode == "disabled"
    assert resolve_mode("offline").mode == "offline"


def make(folder):
    return WandbSink(
        mode="offline",
        project="p",
        folder=folder,
        run_id="r",
        name="n",
        group="g",
        job_type="rl",
        config={"seed": 0},
    )


class Broken:
    """A run whose every use fails."""

    def __getattr__(self, name):
        raise RuntimeError(f"no {name}")


def test_no_failure_of_wandb_reaches_the_run(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(wandb, "init", lambda **_: (_ for _ in ()).throw(OSError("disk full")))
    sink = make(tmp_path)
    sink.log({"a": 1}, step=1)
    assert "disk full" in caplog.text
    for use in (
        lambda s: s.log({"a": 1}, step=1),
        lambda s: s.log_texts([{"a": "b"}], step=1),
        lambda s: s.summarize({"a": 1}),
        lambda s: s.finish(failed=False),
    ):
        monkeypatch.setattr(wandb, "init", lambda **_: Broken())
        sink = make(tmp_path)
        use(sink)
        sink.log({"a": 2}, step=2)
        sink.finish(failed=True)
    assert caplog.text.count("switched off") == 5
