"""One faulty configuration a row: what is changed in a valid file, and what must be said."""

from __future__ import annotations

from dataclasses import dataclass

VALID = """\
seed: 0
task: classification
data:
  source: csv
  path: table.csv
  target: label
  split: {val: 0.1, test: 0.2}
  transforms:
    - impute: {strategy: median}
    - standardize
    - one_hot: {min_count: 20}
model:
  name: sequential
  layers:
    - {linear: 50, as: layer1}
    - relu
    - {dropout: 0.1}
    - {linear: out, as: head}
adapt:
  - {match: "*", train: true}
  - {match: "head.*", lr_scale: 10}
optimizer: {name: adamw, lr: 1e-3, weight_decay: 0.01}
schedule: {name: cosine, warmup: 0.05}
train: {epochs: 2, batch_size: 16, clip_norm: 1.0}
eval: {every: 1}
runtime: {device: cpu, threads: 1}
"""


@dataclass(frozen=True)
class Bad:
    """`old` in the valid file becomes `new`; the problem stands at `at` and concerns `key`.

    kind: the reason class. hint: a part of what is said. typo: the accepted spelling, where the
    fault is a typing error within two edits.
    """

    old: str
    new: str
    at: str
    key: str
    kind: str
    hint: str = ""
    typo: str = ""

    @property
    def text(self) -> str:
        assert VALID.count(self.old) == 1, self.old
        return VALID.replace(self.old, self.new)

    @property
    def place(self) -> tuple[int, int]:
        """Line and column of the fault, from 1."""
        before = self.text[: self.text.index(self.at)]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def typo(old: str, new: str, key: str, right: str, at: str = "") -> Bad:
    """A typing error; by default it stands where `new` begins."""
    return Bad(old, new, at or new, key, "typo", f"did you mean `{right}`?", right)


TYPOS = [
    typo("seed:", "sede:", "sede", "seed"),
    typo("task:", "tsak:", "tsak", "task"),
    typo("data:", "dta:", "dta", "data"),
    typo("model:", "modle:", "modle", "model"),
    typo("adapt:", "adpat:", "adpat", "adapt"),
    typo("optimizer:", "optimiser:", "optimiser", "optimizer"),
    typo("schedule:", "shedule:", "shedule", "schedule"),
    typo("train: {epochs", "trian: {epochs", "trian", "train"),
    typo("eval:", "evall:", "evall", "eval"),
    typo("runtime:", "runtim:", "runtim", "runtime"),
    typo("source:", "sorce:", "data.sorce", "source"),
    typo("target:", "traget:", "data.traget", "target"),
    typo("path:", "pth:", "data.pth", "path"),
    typo("split:", "spilt:", "data.spilt", "split"),
    typo("val: 0.1", "vl: 0.1", "data.split.vl", "val"),
    typo("transforms:", "transform:", "data.transform", "transforms"),
    typo("strategy: median", "stratgy: median", "data.transforms.0.stratgy", "strategy"),
    typo("min_count:", "mincount:", "data.transforms.2.mincount", "min_count"),
    typo("layers:", "layer:", "model.layer", "layers"),
    typo("lr_scale:", "lr_scael:", "adapt.1.lr_scael", "lr_scale"),
    typo('match: "*"', 'mach: "*"', "adapt.0.mach", "match"),
    typo("weight_decay:", "weigth_decay:", "optimizer.weigth_decay", "weight_decay"),
    typo("lr: 1e-3", "rl: 1e-3", "optimizer.rl", "lr"),
    typo("warmup:", "warmpu:", "schedule.warmpu", "warmup"),
    typo("epochs:", "epoch:", "train.epoch", "epochs"),
    typo("batch_size:", "batchsize:", "train.batchsize", "batch_size"),
    typo("batch_size:", "batch-size:", "train.batch-size", "batch_size"),
    typo("clip_norm:", "clipnrom:", "train.clipnrom", "clip_norm"),
    typo("every:", "evry:", "eval.evry", "every"),
    typo("threads:", "treads:", "runtime.treads", "threads"),
    typo("classification", "clasification", "task.name", "classification"),
    typo("source: csv", "source: cvs", "data.source", "csv", at="cvs"),
    typo("standardize", "standardise", "data.transforms.1", "standardize"),
    typo("impute:", "imput:", "data.transforms.0", "impute"),
    typo("median", "medain", "data.transforms.0.strategy", "median"),
    typo("sequential", "sequental", "model.name", "sequential"),
    typo("- relu", "- rellu", "model.layers.1", "relu", at="rellu"),
    typo("linear: 50", "liner: 50", "model.layers.0", "linear", at="liner"),
    typo("dropout:", "dorpout:", "model.layers.2", "dropout", at="dorpout"),
    typo("adamw", "adamv", "optimizer.name", "adamw"),
    typo("cosine", "cosin", "schedule.name", "cosine"),
    typo("seed: 0", "lr_fnd: {low: 1e-4}", "lr_fnd", "lr_find"),
    typo("seed: 0", "lr_find: {hihg: 1}", "lr_find.hihg", "high", at="hihg"),
    typo("clip_norm: 1.0", "precision: fp23", "train.precision", "fp32", at="fp23"),
    typo("clip_norm: 1.0", "early_stop: {patence: 3}", "train.early_stop.patence", "patience",
         at="patence"),
    typo("seed: 0", "sweep: {trails: 3}", "sweep.trails", "trials", at="trails"),
    typo("lr: 1e-3", "lr: atuo", "optimizer.lr", "auto", at="atuo"),
]  # fmt: skip

VALUES = [
    Bad("seed: 0", "seed: -1", "-1", "seed", "value", "at least 0"),
    Bad("seed: 0", "seed: one", "one", "seed", "value", "a whole number"),
    Bad("seed: 0", "seed: 1.5", "1.5", "seed", "value", "a whole number"),
    Bad("seed: 0", "seed: true", "true", "seed", "value", "a whole number"),
    Bad("epochs: 2", "epochs: 0", "0, batch", "train.epochs", "value", "above 0"),
    Bad("epochs: 2", "epochs: many", "many", "train.epochs", "value", "a number"),
    Bad("epochs: 2", "epochs: 12:30:45", "12:30", "train.epochs", "value", "a number"),
    Bad("epochs: 2", "epochs: .nan", ".nan", "train.epochs", "value", "above 0"),
    Bad("epochs: 2", "epochs: .inf", ".inf", "train.epochs", "value", "above 0"),
    Bad("epochs: 2", "epochs: null", "null", "train.epochs", "value", "a number"),
    Bad("epochs: 2", "epochs: [1]", "[1]", "train.epochs", "value", "a number"),
    Bad("epochs: 2", "epochs: {n: 1}", "{n: 1}", "train.epochs", "type", "single value"),
    Bad("batch_size: 16", "batch_size: 16.5", "16.5", "train.batch_size", "value", "whole"),
    Bad("lr: 1e-3", "lr: -0.1", "-0.1", "optimizer.lr", "value", "above 0"),
    Bad("lr: 1e-3", "lr: fast", "fast", "optimizer.lr", "value", "or auto"),
    Bad("threads: 1", "threads: -3", "-3}", "runtime.threads", "value", "at least 1"),
    Bad("device: cpu", "device: tpu", "tpu", "runtime.device", "conflict", "cuda"),
    Bad("dropout: 0.1", "dropout: 1.5", "1.5", "model.layers.2.share", "value", "below 1"),
    Bad("strategy: median", "strategy: 3", "3}", "data.transforms.0.strategy", "value", "median"),
    Bad("{every: 1}", "[1]", "[1]", "eval", "type", "mapping"),
    Bad("layers:\n    - {linear: 50, as: layer1}", "layers:\n    - 7", "7", "model.layers.0",
        "type", "linear"),
    Bad("{epochs: 2, batch_size: 16, clip_norm: 1.0}", "fast", "fast", "train", "type", "mapping"),
]  # fmt: skip

PLACES = [
    Bad("seed: 0", "lr: 1e-3", "lr: 1e-3", "lr", "misplaced", "optimizer"),
    Bad("seed: 0", "epochs: 3", "epochs: 3", "epochs", "misplaced", "train.epochs"),
    Bad("seed: 0", "batch_size: 3", "batch_size: 3", "batch_size", "misplaced", "train.batch_size"),
    Bad("clip_norm: 1.0", "momentum: 0.9", "momentum", "train.momentum", "misplaced",
        "`optimizer.momentum` (sgd"),
    Bad("lr: 1e-3", "warmup: 0.1", "warmup: 0.1", "optimizer.warmup", "misplaced", "schedule"),
    Bad("seed: 0", "learning_rate: 0.1", "learning_rate", "learning_rate", "renamed",
        "optimizer.lr"),
    Bad("clip_norm: 1.0", "gradient_accumulation_steps: 2", "gradient_acc",
        "train.gradient_accumulation_steps", "renamed", "train.accumulate"),
    Bad("clip_norm: 1.0", "max_grad_norm: 1", "max_grad_norm", "train.max_grad_norm", "renamed",
        "train.clip_norm"),
    Bad("seed: 0", "num_train_epochs: 3", "num_train", "num_train_epochs", "renamed",
        "train.epochs"),
    Bad("seed: 0", "lr_scheduler_type: cosine", "lr_sch", "lr_scheduler_type", "renamed",
        "schedule.name"),
    Bad("seed: 0", "random_state: 1", "random_state", "random_state", "renamed", "seed"),
    Bad("seed: 0", "dataset: a.csv", "dataset", "dataset", "renamed", "data"),
    Bad("seed: 0", "colour: red", "colour", "colour", "unknown", "accepted:"),
    Bad("adamw", "lion", "lion", "optimizer.name", "unknown", "adamw"),
    Bad("- relu", "- mamba", "mamba", "model.layers.1", "unknown", "relu"),
    Bad("seed: 0", "lora_r: 8", "lora_r", "lora_r", "renamed", "lora: {rank: …}"),
    Bad("seed: 0", "cutoff_len: 512", "cutoff", "cutoff_len", "renamed", "tokenize: {max_length"),
    Bad("seed: 0", "load_in_8bit: true", "load_in", "load_in_8bit", "renamed", "quantize: int8"),
    Bad("lr_scale: 10", "lora: {r: 8}", "r: 8", "adapt.1.lora.r", "renamed", "`rank`"),
    Bad("lr_scale: 10", "lora: {rank: 0}", "0}}", "adapt.1.lora.rank", "value", "at least 1"),
    Bad("lr_scale: 10", "lora: {rnak: 8}", "rnak", "adapt.1.lora.rnak", "typo", "`rank`"),
    Bad("lr_scale: 10", "lora: 8, train: true", "true}\noptim", "adapt.1.train", "conflict",
        "second rule"),
    Bad("lr_scale: 10", "quantize: int9", "int9", "adapt.1.quantize", "value", "int8"),
    Bad("lr_scale: 10", "quantize: int8, train: true", "int8", "adapt.1.quantize", "conflict",
        "cannot be trained"),
    Bad("lr_scale: 10", "layer_decay: 1.5", "1.5", "adapt.1.layer_decay", "value", "at most 1"),
    Bad("lr_scale: 10", "peft: {rank: 2}", "{rank", "adapt.1.peft", "conflict", "{type: ia3}"),
    Bad("- standardize", "- {tokenize: {max_length: 1}}", "1}}", "data.transforms.1.max_length",
        "value", "at least 2"),
    Bad("- standardize", "- tokenize", "- impute", "data.transforms", "conflict",
        "not for tables"),
    Bad("- relu", "- {transformer: 0}", "0}\n    - {dropout", "model.layers.1.heads", "value",
        "at least 1"),
    Bad("task: classification", "task: causal-lm", "label", "data.target", "conflict",
        "delete it"),
    Bad("name: sequential\n  layers:", "name: hf\n  layers:", "layers", "model.layers",
        "misplaced", "sequential"),
    Bad("target: label", "dataset: label", "dataset", "data.dataset", "unknown", "accepted"),
    Bad("seed: 0", "track: wandb", "track", "track", "later", "later version"),
    Bad("seed: 0", "optimize: [prune]", "optimize: [", "optimize", "later", "later version"),
    Bad("seed: 0", "explain: true", "explain", "explain", "later", "later version"),
]  # fmt: skip

REST = [
    Bad("  target: label\n", "", "source", "data.target", "conflict", "required"),
    Bad("name: adamw, ", "type: adamw, ", "type:", "optimizer.type", "renamed", "`name: adamw`"),
    Bad("task: classification\n", "", "seed", "task", "missing", "required"),
    Bad("  path: table.csv\n", "", "source", "data.path", "missing", "required"),
    Bad('match: "*", ', "", "{train: true}", "adapt.0.match", "missing", "required"),
    Bad("table.csv", "${data.pth}", "${", "data.path", "interpolation", "data.pth"),
    Bad("table.csv", "${data.path}", "${", "data.path", "interpolation", "itself"),
    Bad("table.csv", "${oc.env:HOME}", "${", "data.path", "interpolation", "runtime.env"),
    Bad("table.csv", "${oc.decode:x}", "${", "data.path", "interpolation", "only"),
    Bad("table.csv", "${data.target", "${", "data.path", "interpolation", "complete"),
    Bad("seed: 0", "extends: nothing.yaml", "nothing", "extends", "value", "no such file"),
    Bad("seed: 0", "extends: [ftune.yaml]", "ftune.yaml", "extends", "conflict", "each other"),
    Bad("seed: 0", "extends: 3", "3\ntask", "extends", "type", "the name of a file"),
    Bad("seed: 0", "seed: !!python/object:os.system 1", "!!python", "seed", "syntax", "tag"),
    Bad("seed: 0", "seed: !secret 1", "!secret", "seed", "syntax", "tag"),
    Bad("seed: 0", "seed: 0\nseed: 1", "seed: 1", "seed", "syntax", "twice"),
    Bad("  path:", "\tpath:", "\tpath", "(file)", "syntax", "a tab"),
    Bad("lr: 1e-3", "lr: [1e-3", "}\nschedule", "(file)", "syntax", "not valid YAML"),
    Bad("seed: 0", "seed: *nobody", "*nobody", "(file)", "syntax", "alias"),
    Bad("test: 0.2", "test: 0.95", "0.95", "data.split.test", "conflict", "no rows"),
    Bad("test: 0.2", "test: 2.5", "2.5", "data.split.test", "conflict", "whole number"),
    Bad("lr_scale: 10", "train: false, from_epoch: 2", "2}\noptim", "adapt.1.from_epoch",
        "conflict", "train: true"),
    Bad(", lr_scale: 10", "", '"head.*"', "adapt.1.match", "conflict", "no effect"),
    Bad('"head.*"', '"/head(/"', '"/head(/"', "adapt.1.match", "conflict", "regular expression"),
    Bad("seed: 0", "lr_find: {low: 1, high: 0.1}", "1, high", "lr_find.low", "conflict", "below"),
    Bad("seed: 0", "sweep: {trials: 3}", "{trials", "sweep.scientific", "conflict", "at least one"),
    Bad("seed: 0", "sweep: {nuisance: {optimizer.lr: 3}}", "3}}", "sweep.nuisance.optimizer.lr",
        "value", "a list of values"),
    Bad("seed: 0", "sweep: {nuisance: {optimizer.lr: {low: 1, high: 0.1}}}", "{low",
        "sweep.nuisance.optimizer.lr", "value", "low < high"),
    Bad("seed: 0", "sweep: {nuisance: {optimizer.rl: [1, 2]}}", "[1, 2]",
        "sweep.nuisance.optimizer.rl", "typo", "did you mean `lr`?", "lr"),
    Bad("seed: 0", "sweep: {nuisance: {optimizer.lr: [0.1, -2]}}", "[0.1, -2]",
        "sweep.nuisance.optimizer.lr", "value", "above 0"),
]  # fmt: skip

BAD = [*TYPOS, *VALUES, *PLACES, *REST]
