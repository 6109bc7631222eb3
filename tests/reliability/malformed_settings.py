"""Malformed command lines and settings."""

from tests.reliability.malformed import Case

_LINE = "Command line"
_VALUE = "Values of settings"
_NAMES = "Names and what is compared"
_BESIDE = "Settings that contradict each other or have no effect"

_CANNOT_BE_READ = "cannot be read; allowed: key=value"
_LONG = "a" * 200

# (arguments, part of the message)
_ARGUMENTS: dict[str, list[tuple[list[str], str]]] = {
    _LINE: [
        (["--foo"], "unrecognized arguments: --foo; allowed: key=value"),
        (["scale=smoke", "-x", "seed=1"], "unrecognized arguments: -x"),
        (["--cfg"], "argument --cfg/-c: expected one argument"),
        (["--config-name=other"], "unrecognized arguments: --config-name=other"),
        (["--run"], "unrecognized arguments: --run"),
        ([""], "the argument '' names no key; allowed: key=value"),
        (["=3"], "the argument '=3' names no key"),
        (["seed"], f"the argument 'seed' {_CANNOT_BE_READ}"),
        (["seed=0", "1"], f"the argument '1' {_CANNOT_BE_READ}"),
        (["seed=0,"], f"the argument 'seed=0,' {_CANNOT_BE_READ}"),
        (["seed=0;1"], f"the argument 'seed=0;1' {_CANNOT_BE_READ}"),
        (["seed='0"], _CANNOT_BE_READ),
        (["seed=range(1,2"], _CANNOT_BE_READ),
        (["rl..steps=3"], f"the argument 'rl..steps=3' {_CANNOT_BE_READ}"),
        (["sweep.name=gppö"], f"the argument 'sweep.name=gppö' {_CANNOT_BE_READ}"),
        (["rl.steps=${nope"], _CANNOT_BE_READ),
        (["rl.steps=${nope}"], "rl.steps: Interpolation key 'nope' not found"),
        (["sweep.title=${oc.env:NO_SUCH_VARIABLE}"], "Environment variable 'NO_SUCH_VARIABLE' not found"),
        (["rl.steps=???"], "rl.steps is missing; set it"),
        (["seed=range(0)"], "asks for no run, as a list in it is empty"),
        (["seed=1", "seed=2"], "seed is given twice, as 'seed=1' and 'seed=2'; allowed: once"),
        (["hydra.mode=RUN"], "'hydra.mode=RUN' sets Hydra itself"),
        (["hydra.sweep.dir=elsewhere"], "sets Hydra itself, which the harness does; allowed: the keys of"),
        (["hydra/launcher=joblib"], "sets Hydra itself"),
        (["+hydra.sweeper.params={seed:3}"], "sets Hydra itself"),
        (["+sweep=cliping"], "Could not find 'sweep/cliping' Available options in 'sweep': clipping"),
        (["scale=big"], "Could not find 'scale/big' Available options in 'scale': gpu laptop qwen3_0_6b"),
        (["objective=gpo"], "Could not find 'objective/gpo' Available options in 'objective': cispo"),
        (["objective=gppo,gpo"], "Could not find 'objective/gpo'"),
        (["task=chain"], "Could not find 'task/chain' Available options in 'task': arithmetic chains"),
        (["control=coin"], "Could not find 'control/coin' Available options in 'control': lr_x10 none"),
        (["engine=vlm"], "Could not find 'engine/vlm' Available options in 'engine': native transformers"),
        (["objective="], "objective is ''; allowed: a name, or a list of names such as a,b"),
        (["objective=null"], "objective is 'null'; allowed: a name"),
        (["objective=[gppo,cispo]"], "objective is '[gppo,cispo]'; allowed: a name"),
        (["+objective=gppo"], "Multiple values for objective"),
        (["objective@rl=gppo"], "Could not override 'objective@rl'. Did you mean to override objective?"),
        (["rl.stepz=3"], "Could not override 'rl.stepz'"),
        (["+rl.stepz=3"], "rl.stepz is not a setting; allowed: adam_beta1"),
        (["foo.bar=3"], "Could not override 'foo.bar'"),
        (
            ["+task.params.teacher_mistakes.div=0.5"],
            "task.params.teacher_mistakes.div is not a setting; allowed: add, mul, sub",
        ),
        (["rl.steps.x=3"], "Error merging override rl.steps.x=3"),
        (["rl=3"], "Error merging override rl=3; Invalid type assigned"),
        (["~rl.steps"], "Error merging override ~rl.steps"),
        (["~nothing"], "'nothing' does not exist"),
    ],
    _VALUE: [
        (["rl.steps=many"], "Value 'many' of type 'str' could not be converted to Integer"),
        (["rl.steps=3.5"], "Value '3.5' of type 'float' could not be converted to Integer"),
        (["rl.steps=0"], "rl.steps is 0; allowed: > 0"),
        (["reward.group_filter=std"], "reward.group_filter is 'std'; allowed: off or acc"),
        (["reward.verifier=sympy"], "reward.verifier is 'sympy'; allowed: exact or math_verify"),
        (["reward.scores.wrong=nan"], "reward.scores.wrong is nan; allowed: a finite number"),
        (["rl.gradient_noise_every=-1"], "rl.gradient_noise_every is -1; allowed: >= 0"),
        (["sandbox.backend=docker"], "sandbox.backend is 'docker'; allowed: auto, native or bubblewrap"),
        (["sandbox.cpu_s=0"], "sandbox.cpu_s is 0.0; allowed: 0 < value <= 3600"),
        (["sandbox.memory_mb=1"], "sandbox.memory_mb is 1; allowed: 16 to 1048576"),
        (["sandbox.threads=0"], "sandbox.threads is 0; allowed: 1 to 1024"),
        (
            ["task=functions", "code_filter=oracle", "code_filter.rule=model"],
            "code_filter.rule is 'model'",
        ),
        (["rl.steps=1e12"], "Error merging override rl.steps=1e12; Value '1000000000000.0'"),
        (["rl.steps=100000000000000000"], "MB of disk, and <runs> has"),
        (["rl.steps=1" + "0" * 30], "rl.steps has 31 digits; allowed: at most 18"),
        (["seed="], "Error merging override seed=; Value ''"),
        (["seed=null"], "field 'seed' is not Optional"),
        (["seed=true"], "Value 'True' of type 'bool' could not be converted to Integer"),
        (["seed=[0,1]"], "Value '[0, 1]' of type 'list' could not be converted to Integer"),
        (["seed=-1"], "seed is -1; allowed: 0 to 2147483647"),
        (["seed=0,0"], "arm clip_higher with seed 0 is planned twice; name each value of a list once"),
        (["rl.learning_rate=nan"], "rl.learning_rate is nan; allowed: > 0"),
        (["rl.completions_per_problem=1"], "rl.completions_per_problem is 1; allowed: > 1"),
        (["task.params.teacher_mistakes.mul=1.5"], "task.params.teacher_mistakes.mul is 1.5; allowed: 0 to 1"),
        (["task.params.num_terms=17"], "task.params.num_terms is 17; allowed: 2 to 16"),
        (["task.params.digits=4"], "task.params.digits is 4; allowed: 1 to 3"),
        (["model.precision=float16"], "model.precision is 'float16'; allowed: float32, bf16_master or bf16_kahan"),
        (["control.learning_rate_factor=0"], "control.learning_rate_factor is 0.0; allowed: > 0"),
        (["control.sampling_stream=-1"], "control.sampling_stream is -1; allowed: 0 to 2147483647"),
        (["engine.max_rows=0"], "engine.max_rows is 0; allowed: > 0"),
        (["rl.pack_tokens=10"], "rl.pack_tokens is 10; allowed: null or more than rl.max_response_tokens = 48"),
        (["rl.micro_batch_tokens=0"], "rl.micro_batch_tokens is 0; allowed: null or > 0"),
        (
            ["sft.pack_tokens=64", "sft.micro_batch_tokens=32"],
            "sft.micro_batch_tokens is 32; allowed: null or at least sft.pack_tokens = 64",
        ),
        (["model.device=auto"], "model.device is 'auto'; allowed: cpu or cuda"),
        (["task.params.num_terms=four"], "task.params.num_terms is 'four'; allowed: a value of type int"),
        (["task.params.teacher_mistakes=0.5"], "task.params.teacher_mistakes is 0.5; allowed: a group of settings"),
        (["~task.params.num_terms"], "task.params.min_terms: Interpolation key 'task.params.num_terms' not found"),
        (["task.name=chain"], "task.name is 'chain'; allowed: chains, functions"),
        (
            ["task=functions", "+task.params.num_terms=4"],
            "task.params.num_terms is not a setting; allowed: flawed_share",
        ),
        (["task=functions", "task.params.max_pieces=5"], "task.params.max_pieces is 5; allowed: 1 to 4"),
        (["task=functions", "task.params.flawed_share=nan"], "task.params.flawed_share is nan; allowed: 0 to 1"),
        (
            ["task.train_problems=50000000", "task.params.num_terms=8"],
            "task.train_problems is 50000000; allowed: 1 to 1000000",
        ),
        (["eval.validation_every=0"], "eval.validation_every is 0; allowed: > 0"),
        (["model.head_dim=15"], "model.head_dim is 15; allowed: even and > 0"),
        (["fail_fast=3"], "fail_fast is 3; allowed: true or false"),
        (["launch.memory_limit_mb=1000000000000000"], "allowed: null or 1 to 1073741824"),
        (["wandb.project=a/b"], "wandb.project is 'a/b'; allowed: 1 to 128 characters"),
        (["wandb.finish_timeout_s=1e308"], "wandb.finish_timeout_s is 1e+308; allowed: 0 to 86400"),
        (["loss.reduction=mean"], "loss.reduction is 'mean'; allowed: fixed_length"),
        (["objective.surrogate=gpo"], "objective.surrogate is 'gpo'; allowed: cispo, gppo, ppo_clip, reinforce"),
        (["objective.params=3"], "Cannot assign int to Dict"),
        (
            ["~objective.params.clip_low"],
            "objective.params.clip_low is missing; needed: clip_low, clip_high, dual_clip",
        ),
        (["objective.params.clip_low=big"], "objective.params.clip_low is 'big'; allowed: a number of type float"),
        (["objective=cispo", "+objective.params.clip_low=0.2"], "clip_low is not a parameter; allowed: weight_low"),
        (["objective=cispo", "objective.params.weight_high=0.5"], "allowed: at least weight_low = 0.8"),
        (["advantage.params.ddof=2"], "advantage.params.ddof is 2; allowed: 0 or 1"),
    ],
    _NAMES: [
        (
            ["sweep.name=../x"],
            "sweep.name is '../x'; allowed: lower-case letters, digits, - _ ., and none of check, dashboard, "
            "eval, objectives, paper, published, table1",
        ),
        (["sweep.name='gppö'"], "sweep.name is 'gppö'; allowed: lower-case letters"),
        ([f"sweep.name={_LONG}"], "characters; allowed: at most 128, so shorten sweep.name"),
        ([f"sweep.title={_LONG * 30}"], "sweep.title has 6000 characters; allowed: at most 4000"),
        (["model.name=../x"], "model.name is '../x'; allowed: letters, digits, - _ ."),
        (["launch.runs_dir="], "launch.runs_dir is ''; allowed: a folder"),
        (["launch.runs_dir=/dev/null/runs"], "/dev/null is a file, and a run folder is needed there"),
        (["sweep.compare=nothing"], "sweep.compare: there is no setting 'nothing'; allowed: a key of"),
        (["sweep.compare=rl"], "sweep.compare is 'rl'; allowed: one setting that changes a result"),
        (["+sweep.points.x=rl.nothing"], "sweep.points.x: there is no setting 'rl.nothing'"),
        (["+sweep.points.x=seed"], "sweep.points.x is 'seed'; allowed: one setting that changes a result"),
        (["+sweep.points.x=objective.name"], "which is compared or a point already; allowed: each key once"),
        (["+sweep.points.X=rl.steps"], "sweep.points has the key 'X'; allowed: lower-case letters, digits and _"),
        (["sweep.points=[rl.steps]"], "Error merging override sweep.points=[rl.steps]"),
        (["sweep.primary.metric=best@8"], "sweep.primary.metric is 'best@8'; allowed: avg@8 or pass@8"),
    ],
    _BESIDE: [
        (["sandbox.wall_s=0.5"], "sandbox.wall_s is 0.5; allowed: at least sandbox.cpu_s = 1"),
        (["code_filter=oracle"], "code_filter is 'oracle'; allowed with task=chains: off, as it has no tests"),
        (
            ["+sweep=code_filter", "code_filter.accuracy=0.01"],
            "code_filter.accuracy: an accuracy of 0.01",
        ),
        (["rl.updates_per_rollout=5"], "allowed: a divisor of rl.problems_per_step = 32"),
        (["rl.problems_per_step=16384"], "rl.problems_per_step is 16384; allowed: at most task.train_problems = 8192"),
        (["model.num_kv_heads=3"], "model.num_kv_heads is 3; allowed: a divisor of model.num_heads = 4"),
        (["rl.max_response_tokens=121"], "rl.max_response_tokens is 121; allowed: at most 120"),
        (["task.params.num_terms=2"], "8192 different train problems were asked for; chains of 2 terms have about 240"),
        (["eval.test_samples=4", "sweep.primary.metric=avg@8"], "allowed: avg@4 or pass@4"),
        (["rl.learning_rate=1e-4,2e-4"], "rl.learning_rate varies between runs; allowed: seed, what sweep.compare"),
        (["eval.test_questions=8,16"], "eval varies between runs; allowed: one value for the whole sweep"),
        (["scale.seeds='0,1'"], "has no effect without a sweep that reads it; set seed instead"),
        (["+sweep=clipping", "seed=0", "scale.seeds='0,1'"], "has no effect beside 'seed=0'; leave one out"),
        (["sft.checkpoint="], "sft.checkpoint is ''; allowed: null, a folder or hub:org/name"),
        (["sft.checkpoint=start", "sft.steps=5"], "'sft.steps=5' has no effect beside 'sft.checkpoint=start'"),
        (["sft.checkpoint=start", "model.num_layers=3"], "'model.num_layers=3' has no effect beside"),
        (["only_failed=true"], "only_failed is true, but no run in <runs>/adhoc has failed"),
    ],
}


def cases() -> list[Case]:
    """Command lines, grouped by what is wrong with them."""
    return [
        Case(group=group, input=_shown(arguments), command=("run", *_with_runs(arguments)), message=message)
        for group, found in _ARGUMENTS.items()
        for arguments, message in found
    ]


def _with_runs(arguments: list[str]) -> list[str]:
    given = any(argument.startswith("launch.runs_dir") for argument in arguments)
    return arguments if given else ["launch.runs_dir=<runs>", *arguments]


def _shown(arguments: list[str]) -> str:
    """The arguments, the long ones cut."""
    words = [word if len(word) < 60 else f"{word[:40]}... ({len(word)} characters)" for word in arguments]
    return " ".join(words) or "(an empty argument)"
