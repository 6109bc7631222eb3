# class: host
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to start a zygote of its own with the harness that its process has loaded
import sys

for name in ("zygote", "isolation", "wire", "guest"):
    assert f"klear_core.rewards.sandbox.{name}" in sys.modules
wire = sys.modules["klear_core.rewards.sandbox.wire"]
zygote = sys.modules["klear_core.rewards.sandbox.zygote"]
job = wire.anonymous_file("job", b"{}")
zygote._serve(0, None)
print(42)
