/* The programs as data: every command, option, help text and example. */
#include "cli/commands.h"

static const cli_option compile_options[] = {
    {"--output", "DIR", "where the artifact goes (replaced whole)", false},
    {"-o", "DIR", "the same", false},
    CLI_DB_OPTION,
    CLI_MODEL_OPTIONS,
    {"--codegen", "NAME", "code generator: llvm, c, opencl or cuda; default: the target's", false},
    {"--sources", NULL,
     "with --codegen c: the kernels as C files, too, in DIR/sources, for other compilers", false},
    {"--jobs", "N", "build threads; default: one per core", false},
    {"--quiet", NULL, "no table", false},
    {0},
};

static const cli_option run_options[] = {
    {"--input", "NAME=FILE.npy", "value of an input", true},
    {"--output-dir", "D", "where outputs go as NAME.npy; default: here", false},
    {"--threads", "N", "default: what the artifact was compiled for", false},
    {"--repeat", "N", "also time N further runs", false},
    {"--json", NULL, "times as JSON", false},
    {0},
};

static const cli_option bench_options[] = {
    {"--input", "NAME=SHAPE", "shape of an input, of an artifact that takes several", true},
    {"--threads", "N", "default: what the artifact was compiled for", false},
    {"--runs", "N", "default: about two seconds' worth; with --serve one", false},
    {"--profile", NULL, "time of each step first", false},
    {"--serve", NULL,
     "--runs timed runs per line of standard input, the time of one (a worker of benchmarks/pair)",
     false},
    {"--json", NULL, "latency_ms {min, median, p90}, threads, runs, gflops", false},
    {0},
};

static const cli_option inspect_options[] = {
    {"--tasks", NULL, "fused operators: workload key, count, FLOP, layouts", false},
    {"--passes", NULL, "the graph after import and after each pass", false},
    {"--space", NULL, "every task's schedule space and analytic pick", false},
    {"--schedule", NULL, "of an artifact: every task's schedule", false},
    {"--json", NULL, "model, tasks or artifact as JSON", false},
    CLI_MODEL_OPTIONS,
    {0},
};

static const cli_option targets_options[] = {{"--json", NULL, "as JSON", false}, {0}};

static const cli_option board_install_options[] = {
    {"--connect", "HOST:PORT", "where the tuner will listen, as the board sees it", false},
    {"--name", "N", "what the board is called", false},
    {"--key-file", "FILE", "its key; made if it does not exist", false},
    {"--via", "ssh|adb", "default ssh; HOST is a serial number for adb", false},
    {"--arch", "A", "of the board: aarch64 (default), armv7, riscv64, x86_64", false},
    {"--board", "PATH", "the agent; default: neo-board-ARCH beside this program", false},
    {"--run", NULL, "perform the steps", false},
    {0},
};

static const cli_command neo_commands[] = {
    {"compile", "MODEL", "model file -> artifact directory",
     "Imports a model, takes the best schedule of each task from the tuning database (or a near "
     "record, or the\n"
     "analytic model), generates code and writes compiled.so (compiled.dll), compiled_model.json, "
     "compiled.params, compiled.meta.",
     "neo compile resnet50.onnx --output out/\nneo compile det.onnx -o out --input x=1,3,640,640 "
     "--threads 1 --db none\nneo compile cls.onnx -o out --input x=1..16,3,224,224",
     1, 1, compile_options, cli_compile},
    {"run", "DIR", "run an artifact on .npy files",
     "Runs an artifact once and writes its outputs in model order.",
     "neo run out/ --input x=image.npy --output-dir results/", 1, 1, run_options, cli_run},
    {"bench", "DIR", "time an artifact",
     "Times an artifact on random inputs, after one run to warm up.",
     "neo bench out/ --threads 2 --json", 1, 1, bench_options, cli_bench},
    {"inspect", "MODEL|DIR", "what is in a model or an artifact",
     "Without options: inputs, outputs, operators, parameters and FLOPs of a model, and everything "
     "in it that is\nunsupported (exit code 4); sizes that are not given are taken as 1.",
     "neo inspect resnet50.onnx --tasks\nneo inspect out/ --schedule", 1, 1, inspect_options,
     cli_inspect},
    {"targets", "", "devices to compile for",
     "Lists the devices by name, this machine first. Any x86-64 name (host, too) with -windows "
     "behind "
     "it is that\nprocessor under Windows, any 64-bit Arm name with -android behind it under "
     "Android.",
     "neo targets --json", 0, 0, targets_options, cli_targets},
    {"board-install", "HOST", "bring the agent to a board",
     "Prints the steps that copy neo-board and a key to a board, by ssh or adb, and start it "
     "there; "
     "--run performs them.\nMakes the key if there is none.",
     "neo board-install pi@pi4 --name pi4-1 --key-file pi4-1.key --connect desk:9190\n"
     "neo board-install R58M --via adb --name phone --key-file phone.key --connect desk:9190 --run",
     1, 1, board_install_options, cli_board_install},
    {0},
};

const cli_program cli_neo = {"neo", "compiles trained models into native code", neo_commands};

static const cli_option tune_options[] = {
    CLI_DB_OPTION,
    CLI_MODEL_OPTIONS,
    {"--trials", "N", "stop after N measured trials of this invocation", false},
    {"--budget", "TIME", "stop after this wall-clock time, e.g. 90s, 10m, 2h; default 10m", false},
    {"--seed", "S", "of the search; default 1", false},
    {"--measure", "URL",
     "local (default), rpc://HOST:PORT?key-file=FILE (boards connect there), "
     "emulated:ARCH, wine or simulated:FILE",
     false},
    {"--strategy", "NAME", "evolve (default), descent, random", false},
    {"--cost-model", "FILE", "start from a cost model of `neo-tune train`", false},
    {"--board", "PATH", "the neo-board program; default: beside this one", false},
    {"--no-model-check", NULL, "do not run the tuned model against the untuned one at the end",
     false},
    {"--acks", NULL, "print the id of each committed trial on standard output", false},
    {"--quiet", NULL, "no progress", false},
    {0},
};

static const cli_option doctor_options[] = {
    {"--measure", "URL", "as of tuning; default local", false},
    {"--board", "PATH", "the neo-board program; default: beside this one", false},
    {0},
};

static const cli_option db_options[] = {CLI_DB_OPTION, {0}};

static const cli_option train_options[] = {
    {"--output", "FILE", "where the cost model goes", false},
    {"-o", "FILE", "the same", false},
    CLI_DB_OPTION,
    {"--target", "T", "device whose records to learn from (see neo targets); default: this machine",
     false},
    {0},
};

static const cli_option report_options[] = {
    CLI_DB_OPTION, {"--output-dir", "D", "default neo-report", false}, {0}};

static const cli_option best_options[] = {CLI_DB_OPTION, CLI_MODEL_OPTIONS, {0}};

static const cli_command tune_commands[] = {
    {NULL, "MODEL", "search for fast schedules of a model's tasks",
     "Measures candidates here or on boards, verifies each against a reference and commits every "
     "trial to the tuning\n"
     "database. Interrupt it anywhere; the next run goes on from what is recorded.",
     "neo-tune resnet50.onnx --budget 10m\nneo-tune det.onnx --input x=1,3,640,640 --trials 500 "
     "--threads 1\nneo-tune vgg16.onnx --cost-model mine.model --budget 2m",
     1, 1, tune_options, cli_tune},
    {"train", "", "a cost model from all records",
     "Trains the cost model on all usable records of a target, says how well it ranks tasks that "
     "it "
     "has not seen,\n"
     "and writes it to a file for --cost-model. It is for machines of the very same target text.",
     "neo-tune train -o mine.model\nneo-tune train --db tuned.db --target x86-64-v3 -o v3.model", 0,
     0, train_options, cli_train},
    {"resume", "[RUN]", "repeat a run's arguments",
     "Continues the newest run, or the one named, with its stored arguments.", "neo-tune resume", 0,
     1, db_options, cli_resume},
    {"runs", "", "list the runs", "Lists the runs in the database, newest first.", "neo-tune runs",
     0, 0, db_options, cli_runs},
    {"replay", "[RUN]", "repeat a run's search from its records",
     "Proposes again with the recorded measurements and checks that every proposal is the same. "
     "Nothing is measured.",
     "neo-tune replay 3", 0, 1, db_options, cli_replay},
    {"report", "[RUN]", "write the report of a run",
     "Writes report.html (one file, no network), the same as CSV and JSON.",
     "neo-tune report --output-dir report/", 0, 1, report_options, cli_report},
    {"export", "[FILE]", "records as JSON lines",
     "Writes workloads and trials as JSON lines to FILE or standard output.",
     "neo-tune export records.jsonl", 0, 1, db_options, cli_export},
    {"import", "FILE...", "take in exported records",
     "Adds records from JSON lines; bad lines are named and skipped; importing twice changes "
     "nothing.",
     "neo-tune import records.jsonl", 1, CLI_MAX_VALUES, db_options, cli_import},
    {"doctor", "[TARGET]", "say which hop to a board fails",
     "Takes one known kernel through every hop of a measurement: target, schedule, board, "
     "reference "
     "run, verified\ntiming; says at which it fails, and why.",
     "neo-tune doctor\nneo-tune doctor rasp4b --measure 'rpc://0.0.0.0:9190?key-file=pi.key'", 0, 1,
     doctor_options, cli_doctor},
    {"best", "MODEL", "the schedule each task would get",
     "Prints where each task's schedule would come from, and the line itself.",
     "neo-tune best resnet50.onnx --threads 1", 1, 1, best_options, cli_best},
    {0},
};

const cli_program cli_neo_tune = {"neo-tune", "finds fast schedules and keeps them in a database",
                                  tune_commands};
