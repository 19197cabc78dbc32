/* tests/measure/test_remote.c: the remote measurer with real boards over TLS: several at once, one
 * that dies for good, one that comes back without its state; exactly one result comes for each
 * candidate. Sessions and leases are tested in tests/rpc. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/measure/conv_task.h"

enum { CANDIDATES = 8, TASKS = 2 };

typedef struct fixture {
  neo_ctx ctx;
  conv_task task;
  char dir[256], key_file[300];
  int port;
  neo_candidate candidate[CANDIDATES];
  int n;
  neo_measurer *measurer;
  pid_t board[2];
  int count[NEO_TRIAL_KIND_COUNT];
} fixture;

static int free_port(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
  close(fd);
  return ntohs(a.sin_port);
}

static int setup(void **state) {
  static const char secret[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  neo_ctx_init(&f->ctx, 1);
  conv_task_init(&f->ctx, &f->task);
  f->n = neo_space_analytic(f->task.space, CANDIDATES, f->candidate);
  must(&f->ctx, neo_dir_temp(&f->ctx, NULL, f->dir));
  snprintf(f->key_file, sizeof f->key_file, "%s/key", f->dir);
  must(&f->ctx, neo_file_write(&f->ctx, f->key_file, secret, sizeof secret - 1));
  chmod(f->key_file, 0600);
  f->port = free_port();
  *state = f;
  return 0;
}

static void end_board(fixture *f, int b) {
  if (f->board[b] > 0) {
    kill(f->board[b], SIGKILL);
    waitpid(f->board[b], NULL, 0);
  }
  f->board[b] = 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  neo_measurer_close(f->measurer);
  for (int b = 0; b < 2; b++)
    end_board(f, b);
  conv_task_fini(&f->task);
  neo_dir_remove(&f->ctx, f->dir);
  free(f);
  return 0;
}

static void start_board(fixture *f, int b) {
  char address[40], name[20];
  snprintf(address, sizeof address, "127.0.0.1:%d", f->port);
  snprintf(name, sizeof name, "board-%d", b);
  fflush(NULL);
  f->board[b] = fork();
  if (f->board[b] == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(NEO_BINARY_DIR "/bin/neo-board", "neo-board", "--connect", address, "--name", name,
          "--key-file", f->key_file, "--back-off", "50", "--quiet", (char *)NULL);
    _exit(127);
  }
}

static neo_status open_rpc(fixture *f, const char *more) {
  char url[500];
  const neo_measure_options options = {.threads = 1, .seed = 1, .timing = {.max_total_ns = 5e6}};
  snprintf(url, sizeof url, "rpc://127.0.0.1:%d?key-file=%s%s", f->port, f->key_file, more);
  return neo_measurer_open(&f->ctx, url, &f->task.target, &options, &f->measurer);
}

static void submit(fixture *f, int task, int candidate) {
  neo_schedule schedule;
  neo_space_schedule(f->task.space, &f->candidate[candidate], &schedule);
  must(&f->ctx, neo_measurer_submit(&f->ctx, f->measurer, (uint64_t)(task * CANDIDATES + candidate),
                                    task, &schedule));
}

static void submit_all(fixture *f, int tasks) {
  for (int c = 0; c < f->n; c++)
    for (int t = 0; t < tasks; t++)
      submit(f, t, c);
}

/* Takes every pending result, each id once; what happens after the first is up to the test. */
static void collect(fixture *f, void (*after_first)(fixture *)) {
  bool seen[TASKS * CANDIDATES] = {false};
  for (int n = 0; neo_measurer_pending(f->measurer) > 0;) {
    neo_trial_result result;
    bool got = false;
    must(&f->ctx, neo_measurer_poll(&f->ctx, f->measurer, 1000, &result, &got));
    if (!got)
      continue;
    assert_true(result.id < TASKS * CANDIDATES && !seen[result.id]);
    seen[result.id] = true;
    f->count[result.kind]++;
    if (!neo_trial_usable(result.kind))
      print_message("%s: %s\n", neo_trial_kind_name(result.kind), result.text);
    if (n++ == 0 && after_first)
      after_first(f);
  }
}

static int usable(const fixture *f) {
  return f->count[NEO_TRIAL_OK] + f->count[NEO_TRIAL_SLOW] + f->count[NEO_TRIAL_DUPLICATE];
}

static void add_tasks(fixture *f, int n) {
  for (int t = 0; t < n; t++)
    must(&f->ctx, neo_measurer_task(&f->ctx, f->measurer, t, &f->task.te, f->task.key));
}

static void two_boards_share_the_tasks(void **state) {
  fixture *f = *state;
  start_board(f, 0);
  start_board(f, 1);
  must(&f->ctx, open_rpc(f, "&wait=60"));
  assert_true(neo_measurer_is_remote(f->measurer) && !neo_measurer_is_simulated(f->measurer));
  assert_true(neo_measurer_facts(f->measurer)->peak_gflops > 0);
  add_tasks(f, TASKS);
  submit_all(f, TASKS);
  collect(f, NULL);
  assert_int_equal(usable(f), TASKS * f->n);
}

static void lose_one_for_good(fixture *f) {
  end_board(f, 0);
}

static void one_that_dies_is_done_without(void **state) {
  fixture *f = *state;
  start_board(f, 0);
  start_board(f, 1);
  must(&f->ctx, open_rpc(f, "&wait=60&away=1"));
  add_tasks(f, TASKS);
  submit_all(f, TASKS);
  collect(f, lose_one_for_good);
  assert_int_equal(usable(f), TASKS * f->n);
}

static void reboot(fixture *f) {
  end_board(f, 0);
  start_board(f, 0);
}

static void one_that_comes_back_goes_on(void **state) {
  fixture *f = *state;
  start_board(f, 0);
  must(&f->ctx, open_rpc(f, "&wait=60&away=5&boards=1"));
  add_tasks(f, 1);
  submit_all(f, 1);
  collect(f, reboot);
  assert_int_equal(usable(f), f->n);
  submit(f, 0, 0); /* the task outlives the reboot */
  collect(f, NULL);
  assert_int_equal(usable(f), f->n + 1);
}

/* Its board goes for good while nobody uses it. */
static void a_board_is_waited_for_once(void **state) {
  enum { WAIT_S = 15 };
  fixture *f = *state;
  neo_status status = NEO_OK;
  start_board(f, 0);
  must(&f->ctx, open_rpc(f, "&wait=15&away=1"));
  add_tasks(f, 1);
  end_board(f, 0);
  submit(f, 0, 0);
  uint64_t before = neo_now_ns(&f->ctx);
  for (int i = 0; i < 60 && status == NEO_OK; i++) {
    neo_trial_result result;
    bool got = false;
    status = neo_measurer_poll(&f->ctx, f->measurer, 1000, &result, &got);
    assert_false(got);
  }
  assert_int_equal(status, NEO_UNREACHABLE);
  assert_non_null(strstr(f->ctx.message, "no board"));
  assert_true(neo_now_ns(&f->ctx) - before < (2 * WAIT_S - 1) * UINT64_C(1000000000));
  neo_ctx_clear(&f->ctx);
}

static void what_is_wrong_is_said(void **state) {
  fixture *f = *state;
  static const char *const bad[] = {"rpc:",
                                    "rpc://127.0.0.1:0?what=1",
                                    "rpc://127.0.0.1:0?wait=0",
                                    "rpc://127.0.0.1:0?key-file=/nonexistent/key",
                                    "rpc://0.0.0.0:0",
                                    "rpc://nowhere"};
  const neo_measure_options options = {.threads = 1};
  for (int i = 0; i < NEO_COUNT(bad); i++) {
    assert_int_equal(neo_measurer_open(&f->ctx, bad[i], &f->task.target, &options, &f->measurer),
                     NEO_USAGE);
    neo_ctx_clear(&f->ctx);
  }
  assert_int_equal(open_rpc(f, "&wait=1"), NEO_UNREACHABLE);
  assert_non_null(strstr(f->ctx.message, "no board connected to port"));
  neo_ctx_clear(&f->ctx);
  start_board(f, 0);
  assert_int_equal(open_rpc(f, "&wait=2&require=lab=elsewhere"), NEO_UNREACHABLE);
  assert_non_null(strstr(f->ctx.message, "1 connected"));
  neo_ctx_clear(&f->ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(two_boards_share_the_tasks, setup, teardown),
      cmocka_unit_test_setup_teardown(one_that_dies_is_done_without, setup, teardown),
      cmocka_unit_test_setup_teardown(one_that_comes_back_goes_on, setup, teardown),
      cmocka_unit_test_setup_teardown(a_board_is_waited_for_once, setup, teardown),
      cmocka_unit_test_setup_teardown(what_is_wrong_is_said, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
