"""Options whose values, or whose company, cannot be used."""

from bench.options import add_options
from tests.bench.battery.running import Case, cases

CONTEXTS = ("give at least two whole numbers in ascending order", "128,512,2048")
TABLE = (
    Case("contexts-descend", "--contexts=8,4", ("--contexts is '8,4'", *CONTEXTS)),
    Case("contexts-words", "--contexts=four,8", ("--contexts is 'four,8'", *CONTEXTS)),
    Case("contexts-one", "--contexts=8", ("--contexts is '8'", *CONTEXTS)),
    Case("contexts-zero", "--contexts=0,4", ("--contexts is '0,4'", *CONTEXTS)),
    Case("contexts-negative", "--contexts=-4,8", ("--contexts is '-4,8'", *CONTEXTS)),
    Case("contexts-fraction", "--contexts=4,8.5", ("--contexts is '4,8.5'", *CONTEXTS)),
    Case("contexts-twice", "--contexts=8,8", ("--contexts is '8,8'", *CONTEXTS)),
    Case("contexts-empty", "--contexts=", ("--contexts is ''", *CONTEXTS)),
    Case(
        "contexts-too-long",
        "--contexts=4,127",
        ("context 127 and 64 targets need 190 positions", "has 128", "give --contexts that end lower"),
    ),
    Case(
        "contexts-huge",
        "--contexts=4,9999999999999999",
        ("9,999,999,999,999,999", "has 128", "give --contexts that end lower"),
    ),
    Case("device-unknown", "--device=foo", ("device 'foo' is none that PyTorch knows", "use cpu, cuda or cuda:1")),
    Case("device-mps", "--device=mps", ("device mps", "cpu and cuda alone", "use --device=cpu")),
    Case("device-meta", "--device=meta", ("device meta", "cpu and cuda alone", "use --device=cpu")),
    Case("device-far", "--device=cuda:99", ("device cuda:99", "use --device=cpu")),
    Case("device-cpu-number", "--device=cpu:7", ("device cpu:7", "use --device=cpu")),
    Case("device-negative", "--device=cuda:-1", ("device 'cuda:-1'", "use cpu")),
    Case("device-empty", "--device=", ("--device: it is empty", "leave it out")),
    Case("model-empty", "--model=", ("--model: it is empty", "leave it out")),
    Case("compressed-empty", "--compressed=", ("--compressed: it is empty", "leave it out")),
    Case("peer-empty", "--peer=", ("--peer: it is empty", "leave it out")),
    Case("text-empty", "--text=", ("--text: it is empty", "leave it out")),
    Case("train-text-empty", "--train-text=", ("--train-text: it is empty", "leave it out")),
    Case("data-dir-empty", "--data-dir=", ("--data-dir: it is empty", "leave it out")),
    Case("report-dir-empty", "--report-dir=", ("--report-dir: it is empty", "leave it out")),
    Case("train-text-absent", "--train-text={here}/none.txt", ("--train-text names", "none.txt, which does not exist")),
    Case("data-dir-absent", "--data-dir={here}/none", ("--data-dir names", "none, which does not exist")),
    Case("data-dir-file", "--data-dir={text}", ("--data-dir names", "no folder")),
    *(
        Case(
            f"{option}-name-too-long", f"--{option}=/{300 * 'x'}", (f"--{option}: /xxx", "300 bytes", "give a shorter")
        )
        for option in ("model", "compressed", "peer", "text", "train-text", "data-dir", "report-dir")
    ),
    Case("scale-unknown", "--scale=huge", ("--scale", "'huge'", "embedded")),
    Case("effort-unknown", "--effort=some", ("--effort", "'some'", "thorough")),
    Case("dtype-unknown", "--dtype=int8", ("--dtype", "'int8'", "bfloat16")),
    Case("terms-of-another", "--accept-terms=llama", ("--accept-terms", "'llama'", "gemma-3-270m")),
    Case("terms-not-accepted", "--model=gemma-3-270m", ("Gemma Terms of Use", "give --accept-terms=gemma-3-270m")),
    Case("gpu-memory-zero", "--gpu-memory=0", ("--gpu-memory is 0", "give gigabytes above 0")),
    Case("gpu-memory-negative", "--gpu-memory=-3", ("--gpu-memory is -3", "give gigabytes above 0")),
    Case("gpu-memory-nan", "--gpu-memory=nan", ("--gpu-memory is nan", "give gigabytes above 0")),
    Case("gpu-memory-infinite", "--gpu-memory=inf", ("--gpu-memory is inf", "give gigabytes above 0")),
    Case("gpu-memory-words", "--gpu-memory=lots", ("--gpu-memory", "invalid float value: 'lots'")),
    Case("max-ratio-small", "--compressed={model} --max-ratio=0.9", ("--max-ratio is 0.9", "give a number above 1")),
    Case("max-ratio-words", "--compressed={model} --max-ratio=low", ("--max-ratio", "invalid float value: 'low'")),
    Case("max-kl-zero", "--compressed={model} --max-kl=0", ("--max-kl is 0", "give a number above 0")),
    Case("max-kl-infinite", "--compressed={model} --max-kl=inf", ("--max-kl is inf", "give a number above 0")),
    Case("min-top1-percent", "--compressed={model} --min-top1=85", ("--min-top1 is 85", "above 0 and at most 1")),
    Case("min-top1-nan", "--compressed={model} --min-top1=nan", ("--min-top1 is nan", "above 0 and at most 1")),
    Case("max-drop-percent", "--compressed={model} --max-drop=3", ("--max-drop is 3", "above 0 and at most 1")),
    Case("max-kl-alone", "--max-kl=0.1", ("--max-kl is for checkpoints", "give them with --compressed")),
    Case("tasks-alone", "--tasks=arc_easy", ("--tasks is for checkpoints", "give them with --compressed")),
    Case("protocols-alone", "--protocols", ("--protocols is for checkpoints", "give them with --compressed")),
    Case("compressed-pattern", "--compressed={here}/none-*", ("matches no file or folder", "give one that exists")),
    Case("dense-alone", "--dense={model}", ("--dense goes with --compressed", "give it so")),
    Case(
        "dense-and-model",
        "--model={model} --dense={model} --compressed={model}",
        ("--dense goes with --compressed", "in the place of --model"),
    ),
    Case("record-quick", "--record", ("--record writes to reports/", "leave the other option out")),
    Case("record-elsewhere", "--record --effort=normal", ("--record writes to reports/", "leave the other option out")),
    Case(
        "record-checkpoint", "--record --effort=normal --compressed={model}", ("--record", "leave the other option out")
    ),
    Case("claims-unknown", "--claims=KPP1", ("--claims names 'KPP1'", "the nearest are", "--claims=list has all")),
    Case("claims-part-unknown", "--claims=LC3z", ("--claims names 'LC3z'", "--claims=list has all")),
    Case("claims-empty", "--claims=", ("--claims is ''", "give claims or parts")),
    Case("claims-commas", "--claims=,,", ("--claims is ',,'", "give claims or parts")),
    Case(
        "claims-of-checkpoint",
        "--compressed={model} --claims=KP2",
        ("--claims", "--compressed", "leave one of them out"),
    ),
    Case("budget-words", "--time-budget=soon", ("--time-budget is 'soon'", "such as 90m, 2h or 1h30m")),
    Case("budget-without-unit", "--time-budget=90", ("--time-budget is '90'", "such as 90m")),
    Case("budget-zero", "--time-budget=0m", ("--time-budget is '0m'", "such as 90m")),
    Case("budget-negative", "--time-budget=-5m", ("--time-budget is '-5m'", "such as 90m")),
    Case("budget-empty", "--time-budget=", ("--time-budget is ''", "such as 90m")),
    Case("budget-of-workers", "--time-budget=9m -n2", ("--time-budget is for one process", "leave one of them out")),
    Case("tasks-empty", "--tasks= --compressed={model}", ("--tasks: it is empty", "leave it out")),
    Case("unknown-option", "--contxts=4,8", ("unrecognized arguments: --contxts=4,8",)),
    Case("mark-torn", "-m=(gpu", ("-m", "(gpu")),
)


@cases(*TABLE)
def test_an_option_that_cannot_be_used_is_one_sentence(suite, case):
    suite.bench(case.arguments).check(case.words)
    assert not suite.out.exists()


class Options:
    """Takes the place of pytest's parser, and notes the options that have values."""

    def __init__(self):
        self.valued = set()

    def getgroup(self, _name):
        return self

    def addoption(self, name, **how):
        if how.get("action") != "store_true":
            self.valued.add(name)


def test_every_option_that_takes_a_value_has_a_bad_one_in_the_table():
    options = Options()
    add_options(options)
    given = {part.partition("=")[0] for case in TABLE for part in case.arguments.split()}
    assert not options.valued - given
