/* Boards over a network: who gets in and what it costs when they do not, sessions and leases, what
 * a board says of itself and how little it needs. What goes wrong on the way is in net_faults.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <sys/resource.h>

#include "rpc/sandbox.h"
#include "tests/rpc/net_fixture.h"

static net_place place;
static test_data data;

static int start_with(int handshake_ms) {
  memset(&place, 0, sizeof place);
  place.handshake_ms = handshake_ms;
  place.log.echo = getenv("NEO_TEST_VERBOSE") != NULL;
  data_init(&data, "candidates");
  neo_status status = net_open(&place, NULL);
  if (status != NEO_OK)
    fprintf(stderr, "%s\n", place.ctx.message);
  return (int)status;
}

static int start(void **state) {
  (void)state;
  return start_with(0);
}

/* For those who do not join, and shall not. */
static int start_impatient(void **state) {
  (void)state;
  return start_with(700);
}

static int stop(void **state) {
  (void)state;
  net_close(&place);
  neo_buf_fini(&data.object);
  return 0;
}

static void must(neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s: %s\n%s", neo_status_name(status), place.ctx.message, place.log.text);
}

static neo_hub_lease take(const char *name) {
  neo_hub_lease lease;
  must(neo_hub_take(&place.ctx, place.hub, name, TAKE_MS, &lease));
  return lease;
}

static neo_job_result run_on(int fd, const char *symbol) {
  static neo_job job;
  neo_job_result result;
  uint32_t id = 0;
  job_init(&job, &data, symbol);
  must(neo_board_put(&place.ctx, fd, 6, data.blob, WAIT_MS));
  must(neo_board_submit(&place.ctx, fd, 77, &job, WAIT_MS));
  must(neo_board_result(&place.ctx, fd, &id, &result, WAIT_MS));
  assert_int_equal(id, 77);
  return result;
}

/* ---- serving -------------------------------------------------------------------------------------------- */

static void a_board_serves_over_tls(void **state) {
  (void)state;
  neo_hello hello;
  pid_t pid = net_board(&place, "pi-1", NULL, place.port);
  neo_hub_lease lease = take("");
  assert_string_equal(lease.board.name, "pi-1");
  assert_string_equal(neo_net_fact_find(&lease.board, "lab"), "test");
  assert_non_null(neo_net_fact_find(&lease.board, "arch"));
  assert_non_null(neo_net_fact_find(&lease.board, "features"));
  assert_non_null(neo_net_fact_find(&lease.board, "cpus"));
  if (!getenv("NEO_TEST_BOARD") ||
      strcmp(neo_sandbox_kind(), "none") != 0) /* not the tests' build */
    assert_string_equal(neo_net_fact_find(&lease.board, "sandbox"), neo_sandbox_kind());
  must(neo_board_hello(&place.ctx, lease.fd, NULL, &hello, WAIT_MS));
  assert_true(hello.bandwidth > 0 && hello.cpu_model[0]);
  for (int i = 0; i < 3; i++) {
    neo_job_result result = run_on(lease.fd, "honest");
    assert_int_equal(result.outcome, NEO_OUTCOME_OK);
    neo_job_result_fini(&result);
  }
  close(lease.fd);
  lease = take("pi-1"); /* given back, it can be had again; its blobs are still there */
  static neo_job job;
  uint32_t id;
  neo_job_result result;
  job_init(&job, &data, "honest");
  must(neo_board_submit(&place.ctx, lease.fd, 5, &job, WAIT_MS));
  must(neo_board_result(&place.ctx, lease.fd, &id, &result, WAIT_MS));
  assert_true(id == 5 && result.outcome == NEO_OUTCOME_OK);
  neo_job_result_fini(&result);
  close(lease.fd);
  net_board_end(pid, SIGTERM);
}

static void a_refused_blob_leaves_the_lease_in_step(void **state) {
  (void)state;
  static neo_job job;
  neo_job_result result;
  uint32_t id = 0;
  pid_t pid = net_board(&place, "pi-1", NULL, place.port);
  neo_hub_lease lease = take("");
  neo_blob bad = data.blob[0];
  bad.key[0] = bad.key[0] == 'a' ? 'b' : 'a'; /* not the key of its bytes */
  job_init(&job, &data, "honest");
  memcpy(job.kernel.object, bad.key, sizeof bad.key);
  must(neo_board_put(&place.ctx, lease.fd, 1, &bad, WAIT_MS));
  must(neo_board_put(&place.ctx, lease.fd, 5, data.blob + 1, WAIT_MS));
  must(neo_board_submit(&place.ctx, lease.fd, 5, &job, WAIT_MS));
  must(neo_board_result(&place.ctx, lease.fd, &id, &result, WAIT_MS));
  assert_int_equal(id, 5);
  assert_int_equal(result.outcome, NEO_OUTCOME_BOARD);
  assert_non_null(strstr(result.text, "missing blob"));
  assert_true(log_has(&place.log, "the board refused a blob: blob_put: key"));
  result = run_on(lease.fd, "honest");
  assert_int_equal(result.outcome, NEO_OUTCOME_OK);
  neo_job_result_fini(&result);
  close(lease.fd);
  net_board_end(pid, SIGTERM);
}

/* It has the key, and says what nobody asked for: the holder gets none of it. */
static void a_board_cannot_flood_its_holder(void **state) {
  (void)state;
  enum { FLOOD = 2000, BLOB = 1 << 14 };
  played b;
  assert_int_equal(played_connect(&b, "pi-1", place.key, place.port), NEO_OK);
  assert_int_equal(played_join(&b, "pi-1", NEO_NET_VERSION, 1), NEO_OK);
  neo_hub_lease lease = take("");
  neo_frame put = {.type = NEO_MESSAGE_BLOB_PUT, .id = NEO_ID_BLOB};
  neo_buf_text(&put.payload, "a blob that may be refused once");
  must(neo_frame_send(&place.ctx, lease.fd, &put, WAIT_MS));
  assert_int_equal(played_wait(&b, NEO_MESSAGE_BLOB_PUT, WAIT_MS), NEO_OK);
  static char bytes[BLOB];
  neo_frame lie = {.type = NEO_MESSAGE_ERROR, .id = b.frame.id};
  neo_buf_append(&lie.payload, bytes, sizeof bytes);
  neo_status status = NEO_OK;
  for (int i = 0; i < FLOOD && status == NEO_OK; i++) {
    lie.type = i % 2 ? NEO_MESSAGE_BLOB_HAVE : NEO_MESSAGE_ERROR;
    status = played_send(&b, &lie);
  }
  assert_true(log_wait(&place.log, "answers that nobody waited for", WAIT_MS));
  /* the one refusal, then the end: the board is lost, and with it the lease */
  neo_frame frame = {0};
  must(neo_frame_receive(&place.ctx, lease.fd, &frame, WAIT_MS));
  assert_int_equal(frame.type, NEO_MESSAGE_ERROR);
  assert_int_equal(frame.id, NEO_ID_BLOB);
  assert_int_equal(neo_frame_receive(&place.ctx, lease.fd, &frame, WAIT_MS), NEO_UNREACHABLE);
  neo_ctx_clear(&place.ctx);
  neo_buf_fini(&frame.payload);
  neo_buf_fini(&lie.payload);
  neo_buf_fini(&put.payload);
  close(lease.fd);
  played_close(&b);
}

static atomic_bool enough;

static bool is_enough(void *self) {
  (void)self;
  return enough;
}

static void *say_enough(void *arg) {
  pause_ms(100);
  enough = true;
  return arg;
}

static void a_wait_for_a_board_can_be_ended(void **state) {
  (void)state;
  neo_hub_lease lease;
  pthread_t thread;
  neo_hub *hub = NULL;
  const neo_hub_options options = {
      .address = "127.0.0.1:0", .key_file = place.key, .interrupted = is_enough};
  must(neo_hub_open(&place.ctx, &options, &hub));
  assert_int_equal(pthread_create(&thread, NULL, say_enough, NULL), 0);
  assert_int_equal(neo_hub_take(&place.ctx, hub, "", 1 << 30, &lease), NEO_INTERRUPTED);
  neo_ctx_clear(&place.ctx);
  pthread_join(thread, NULL);
  neo_hub_close(hub);
}

static void two_boards_are_two_leases(void **state) {
  (void)state;
  neo_hub_lease a, b, c;
  pid_t pid[2] = {net_board(&place, "one", NULL, place.port),
                  net_board(&place, "two", NULL, place.port)};
  a = take("two");
  b = take("one");
  assert_string_not_equal(a.board.name, b.board.name);
  assert_int_equal(neo_hub_take(&place.ctx, place.hub, "", 200, &c), NEO_UNREACHABLE);
  assert_non_null(strstr(place.ctx.message, "2 connected"));
  neo_ctx_clear(&place.ctx);
  assert_false(neo_hub_wanted(place.hub));
  close(a.fd);
  c = take("one");
  assert_string_equal(c.board.name, a.board.name);
  close(b.fd);
  close(c.fd);
  net_board_end(pid[0], SIGTERM);
  net_board_end(pid[1], SIGTERM);
}

static void a_job_that_is_given_up_is_killed(void **state) {
  (void)state;
  static neo_job job;
  pid_t pid = net_board(&place, "pi-1", NULL, place.port);
  neo_hub_lease lease = take("");
  pid_t worker = net_worker_of(pid);
  job_init(&job, &data, "hang");
  job.timeout_ms = 60000;
  must(neo_board_put(&place.ctx, lease.fd, 6, data.blob, WAIT_MS));
  must(neo_board_submit(&place.ctx, lease.fd, 1, &job, WAIT_MS));
  pause_ms(100);
  close(lease.fd);
  lease = take("");
  assert_true(log_has(&place.log, "is given up"));
  assert_int_not_equal(net_worker_of(pid), worker);
  neo_job_result result = run_on(lease.fd, "honest");
  assert_int_equal(result.outcome, NEO_OUTCOME_OK);
  neo_job_result_fini(&result);
  close(lease.fd);
  net_board_end(pid, SIGTERM);
}

/* The board is alive, but takes nothing; its holder, who cannot send more, goes. */
static void a_holder_may_leave_what_nobody_takes(void **state) {
  (void)state;
  enum { PART = 1 << 20, STUCK = 20 };
  const neo_frame ping = {.type = NEO_MESSAGE_PING};
  played b;
  neo_hub_counts counts;
  neo_buf bytes = {0};
  neo_frame put = {.type = NEO_MESSAGE_BLOB_PUT};
  void *part = calloc(1, PART);
  assert_non_null(part);
  neo_buf_append(&put.payload, part, PART);
  neo_frame_write(&bytes, &put);
  assert_int_equal(played_connect(&b, "pi-1", place.key, place.port), NEO_OK);
  assert_int_equal(played_join(&b, "pi-1", NEO_NET_VERSION, 1), NEO_OK);
  neo_hub_lease lease = take("");
  b.net.hold = true;
  size_t at = 0;
  for (int stuck = 0; stuck < STUCK; pause_ms(5)) {
    ssize_t n = send(lease.fd, bytes.data + at, bytes.size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    stuck = n > 0 ? 0 : stuck + 1;
    at = n > 0 ? (at + (size_t)n) % bytes.size : at;
    assert_int_equal(played_send(&b, &ping), NEO_OK);
  }
  close(lease.fd);
  for (int i = 0; i < 12000; i++) {
    neo_hub_count(place.hub, &counts);
    if (counts.idle == 1)
      break;
    assert_int_equal(played_send(&b, &ping), NEO_OK);
    pause_ms(5);
  }
  assert_int_equal(counts.idle, 1);
  played_close(&b);
  neo_buf_fini(&put.payload);
  neo_buf_fini(&bytes);
  free(part);
}

/* ---- who is refused ------------------------------------------------------------------------------------ */

static double cpu_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* In a process of its own, so that only the host's cost is counted here. */
static void try_wrong_key(void) {
  int status = 0;
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    played b;
    neo_status connected = played_connect(&b, "pi-1", place.wrong_key, place.port);
    played_close(&b);
    _exit(connected != NEO_OK ? 0 : 1);
  }
  waitpid(pid, &status, 0);
  assert_int_equal(status, 0);
}

static void wait_refused(int64_t n) {
  neo_hub_counts counts;
  for (int i = 0; i < 30000; i++) {
    neo_hub_count(place.hub, &counts);
    if (counts.refused >= n)
      break;
    pause_ms(2);
  }
  assert_int_equal(counts.refused, n);
  assert_int_equal(counts.boards, 0);
  assert_int_equal(counts.handshakes, 0);
}

static void a_wrong_key_costs_little(void **state) {
  (void)state;
  enum { TRIES = 100, KEPT = 65536 }; /* what threads keep in their caches; 655 bytes a try */
  neo_hub_lease lease;
  try_wrong_key(); /* the first one pays for tables */
  wait_refused(1);
  pause_ms(50); /* its buffers are freed after it is counted */
  size_t before = mallinfo2().uordblks;
  double ms = cpu_ms();
  for (int i = 0; i < TRIES; i++)
    try_wrong_key();
  wait_refused(1 + TRIES);
  ms = (cpu_ms() - ms) / TRIES;
  for (int i = 0; i < 12000 && mallinfo2().uordblks > before + KEPT; i++)
    pause_ms(5); /* its buffers are freed after it is counted */
  print_message("a wrong key costs the host %.2f ms, %ld bytes\n", ms,
                (long)mallinfo2().uordblks - (long)before);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  assert_true(ms < 10);
  assert_true(mallinfo2().uordblks <= before + KEPT);
#endif
  assert_true(log_has(&place.log, "wrong key"));
  assert_int_equal(neo_hub_take(&place.ctx, place.hub, "", 100, &lease), NEO_UNREACHABLE);
  assert_non_null(strstr(place.ctx.message, "wrong key")); /* it says what it heard */
  neo_ctx_clear(&place.ctx);
}

static void names_and_keys_belong_together(void **state) {
  (void)state;
  played b;
  net_close(&place);
  memset(&place, 0, sizeof place);
  assert_int_equal(net_open(&place, "pi-1 " KEY_A "\n# others\npi-2 " KEY_B), NEO_OK);
  assert_int_not_equal(played_connect(&b, "pi-3", place.key, place.port), NEO_OK);
  played_close(&b);
  assert_true(log_wait(&place.log, "no key for its name", 60000));
  assert_int_not_equal(played_connect(&b, "pi-2", place.key, place.port), NEO_OK);
  played_close(&b);
  assert_int_equal(played_connect(&b, "pi-1", place.key, place.port), NEO_OK);
  assert_int_not_equal(played_join(&b, "pi-2", NEO_NET_VERSION, 1), NEO_OK);
  assert_true(log_wait(&place.log, "has the key of 'pi-1' and joins as 'pi-2'", 60000));
  played_close(&b);
}

/* All that the tuner answers to a client of that name with a key that is not the tuner's. */
static void hear_refusal(const char *name, neo_buf *out) {
  char address[40], bytes[4096];
  neo_ctx ctx;
  neo_net_keys keys;
  neo_tls_end *end;
  neo_tls *tls;
  int hub, pair[2];
  bool done = false, loopback;
  neo_ctx_init(&ctx, 1);
  must(neo_net_keys_read(&place.ctx, place.wrong_key, &keys));
  must(neo_tls_end_create(&place.ctx, &keys, name, &end));
  snprintf(address, sizeof address, "127.0.0.1:%d", place.port);
  must(neo_socket_connect(&place.ctx, address, WAIT_MS, &hub, &loopback));
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  must(neo_tls_open(&ctx, end, pair[0], &tls));
  fcntl(hub, F_SETFL, 0);
  for (ssize_t n = 1; n != 0;) {
    struct pollfd wait[2] = {{.fd = pair[1], .events = POLLIN}, {.fd = hub, .events = POLLIN}};
    if (!done && neo_tls_handshake(&ctx, tls, &done) != NEO_OK)
      done = true; /* refused: what is left is the end of the connection */
    assert_true(poll(wait, 2, WAIT_MS) > 0);
    if (wait[0].revents && (n = recv(pair[1], bytes, sizeof bytes, 0)) > 0)
      send(hub, bytes, (size_t)n, MSG_NOSIGNAL);
    if (!wait[1].revents)
      continue;
    n = recv(hub, bytes, sizeof bytes, 0);
    n = n > 0 ? n : 0;
    neo_buf_append(out, bytes, (size_t)n);
    send(pair[1], bytes, (size_t)n, MSG_NOSIGNAL);
  }
  neo_tls_close(tls);
  neo_tls_end_destroy(end);
  close(hub);
  close(pair[0]);
  close(pair[1]);
}

/* Type and length of each record, and the alerts whole, as text. */
static void describe_records(const neo_buf *bytes, char *out, size_t size) {
  const uint8_t *record = (const uint8_t *)bytes->data;
  size_t used = 0;
  for (size_t at = 0; at + 5 <= bytes->size;) {
    size_t length = (size_t)record[at + 3] << 8 | record[at + 4];
    used += (size_t)snprintf(out + used, size - used, "%d:%zu ", record[at], length);
    if (record[at] == 21 && length == 2)
      used += (size_t)snprintf(out + used, size - used, "(alert %d %d) ", record[at + 5],
                               record[at + 6]);
    assert_true(used < size);
    at += 5 + length;
  }
}

static void names_cannot_be_guessed(void **state) {
  (void)state;
  char long_name[201], known[200], unknown[200];
  memset(long_name, 'n', sizeof long_name - 1);
  long_name[sizeof long_name - 1] = '\0';
  const char *const names[] = {"pi-2", "somebody", "no name/at all", long_name};
  net_close(&place);
  memset(&place, 0, sizeof place);
  assert_int_equal(net_open(&place, "pi-1 " KEY_A), NEO_OK);
  neo_buf answer = {0};
  hear_refusal("pi-1", &answer);
  describe_records(&answer, known, sizeof known);
  assert_non_null(strstr(known, "(alert 2 20)")); /* bad_record_mac */
  for (int i = 0; i < NEO_COUNT(names); i++) {
    neo_buf_clear(&answer);
    log_clear(&place.log);
    hear_refusal(names[i], &answer);
    describe_records(&answer, unknown, sizeof unknown);
    assert_string_equal(unknown, known);
    assert_true(
        log_wait(&place.log, "there is no key for its name", WAIT_MS)); /* here it is told */
  }
  neo_buf_fini(&answer);
}

static void a_name_is_one_boards(void **state) {
  (void)state;
  played b;
  pid_t pid = net_board(&place, "pi-1", NULL, place.port);
  neo_hub_lease lease = take("");
  assert_int_equal(played_connect(&b, "pi-1", place.key, place.port), NEO_OK);
  assert_int_not_equal(played_join(&b, "pi-1", NEO_NET_VERSION, 1), NEO_OK);
  played_close(&b);
  assert_true(log_wait(&place.log, "a board named 'pi-1' is connected already", 60000));
  neo_job_result result = run_on(lease.fd, "honest"); /* its lease is none the worse */
  assert_int_equal(result.outcome, NEO_OUTCOME_OK);
  neo_job_result_fini(&result);
  close(lease.fd);
  net_board_end(pid, SIGTERM);
}

static bool is_a_mali(void *self, const char *device) {
  (void)self;
  return strncmp(device, "Mali", 4) == 0;
}

/* Times of a GPU are of one: a board with another, or with none, is not leased. */
static void boards_have_the_targets_gpu(void **state) {
  (void)state;
  enum { BOARDS = 5 };
  static const char *const gpus[BOARDS] = {NULL, "Adreno", "Mali-T860/r18", "Mali-T860/r29",
                                           "Mali-T860/r18"};
  char path[100];
  played b[BOARDS];
  neo_hub *hub = NULL;
  neo_hub_lease lease, second;
  snprintf(path, sizeof path, "%s/hub", place.dir);
  const neo_hub_options options = {.address = "127.0.0.1:0",
                                   .key_file = path,
                                   .heartbeat_ms = 60000,
                                   .gpu = "opencl",
                                   .fits_gpu = is_a_mali};
  must(neo_hub_open(&place.ctx, &options, &hub));
  for (int k = 0; k < BOARDS; k++) {
    char name[16];
    snprintf(name, sizeof name, "gpu-%d", k);
    must(played_connect(&b[k], name, place.key, neo_hub_port(hub)));
    must(played_join_gpu(&b[k], name, NEO_NET_VERSION, 5, gpus[k]));
  }
  assert_true(log_wait(&place.log, "'gpu-0' is not used: its opencl GPU is not there", WAIT_MS));
  assert_true(log_wait(&place.log, "'gpu-1' is not used: its opencl GPU is Adreno", WAIT_MS));
  must(neo_hub_take(&place.ctx, hub, "gpu-2", WAIT_MS, &lease));
  assert_string_equal(lease.board.name, "gpu-2");
  must(neo_hub_take(&place.ctx, hub, "gpu-3", WAIT_MS, &second)); /* is of another driver now */
  assert_string_equal(second.board.name, "gpu-4");
  close(lease.fd);
  close(second.fd);
  for (int k = 0; k < BOARDS; k++)
    played_close(&b[k]);
  neo_hub_close(hub);
}

/* A lease that could not be made says nothing of whose times are measured. */
static void a_failed_lease_does_not_choose_the_kind(void **state) {
  (void)state;
  char path[100];
  played b[2];
  neo_hub *hub = NULL;
  neo_hub_lease lease;
  struct rlimit limit, none;
  snprintf(path, sizeof path, "%s/hub", place.dir);
  const neo_hub_options options = {.address = "127.0.0.1:0",
                                   .key_file = path,
                                   .heartbeat_ms = 60000,
                                   .gpu = "opencl",
                                   .fits_gpu = is_a_mali};
  must(neo_hub_open(&place.ctx, &options, &hub));
  for (int k = 0; k < 2; k++) {
    const char *name = k == 0 ? "one" : "two";
    must(played_connect(&b[k], name, place.key, neo_hub_port(hub)));
    must(played_join_gpu(&b[k], name, NEO_NET_VERSION, 5, k == 0 ? "Mali-T860" : "Mali-G31"));
  }
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  none = limit;
  none.rlim_cur = 3; /* no descriptor is left for a lease */
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  neo_status status = neo_hub_take(&place.ctx, hub, "one", WAIT_MS, &lease);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_int_equal(status, NEO_NO_MEMORY);
  neo_ctx_clear(&place.ctx);
  must(neo_hub_take(&place.ctx, hub, "two", WAIT_MS, &lease));
  assert_string_equal(lease.board.name, "two");
  close(lease.fd);
  for (int k = 0; k < 2; k++)
    played_close(&b[k]);
  neo_hub_close(hub);
}

/* Whatever comes without TLS: not one byte of it is a frame. */
static void unauthenticated_bytes_do_nothing(void **state) {
  (void)state;
  char address[40], byte;
  neo_buf bytes = {0};
  neo_net_join join = {.protocol = NEO_NET_VERSION, .boot = 1};
  neo_frame frame = {.type = NEO_MESSAGE_JOIN};
  snprintf(join.name, sizeof join.name, "intruder");
  neo_net_join_encode(&frame.payload, &join);
  neo_frame_write(&bytes, &frame);
  neo_buf_fini(&frame.payload);
  snprintf(address, sizeof address, "127.0.0.1:%d", place.port);
  for (size_t size = 0; size <= bytes.size; size += bytes.size) {
    int fd;
    bool loopback;
    must(neo_socket_connect(&place.ctx, address, 60000, &fd, &loopback));
    fcntl(fd, F_SETFL, 0);
    if (size)
      assert_int_equal(send(fd, bytes.data, size, MSG_NOSIGNAL), (ssize_t)size);
    while (recv(fd, &byte, 1, 0) > 0) /* an alert at most, then the end */
      continue;
    close(fd);
  }
  neo_buf_fini(&bytes);
  wait_refused(2);
  assert_true(log_has(&place.log, "not TLS") && log_has(&place.log, "did not join within"));
}

static void a_crowd_of_strangers_keeps_nobody_out(void **state) {
  (void)state;
  enum { CROWD = 20 };
  char address[40];
  int fd[CROWD];
  bool loopback;
  snprintf(address, sizeof address, "127.0.0.1:%d", place.port);
  for (int i = 0; i < CROWD; i++)
    must(neo_socket_connect(&place.ctx, address, 60000, &fd[i], &loopback));
  pid_t pid = net_board(&place, "pi-1", NULL, place.port);
  neo_hub_lease lease = take("");
  close(lease.fd);
  for (int i = 0; i < CROWD; i++)
    close(fd[i]);
  net_board_end(pid, SIGTERM);
}

/* Who fills the room stays for his time if nobody wants in, and who must wait costs nothing. */
static void a_full_room_is_left_in_peace(void **state) {
  (void)state;
  enum { ROOM = 8 };
  char address[40];
  int fd[ROOM + 1];
  bool loopback;
  snprintf(address, sizeof address, "127.0.0.1:%d", place.port);
  for (int i = 0; i < ROOM; i++)
    must(neo_socket_connect(&place.ctx, address, 60000, &fd[i], &loopback));
  wait_refused(ROOM);
  assert_true(log_has(&place.log, "did not join within"));
  assert_false(log_has(&place.log, "too many connections"));
  for (int i = 0; i < ROOM; i++)
    close(fd[i]);
  for (int i = 0; i <= ROOM; i++)
    must(neo_socket_connect(&place.ctx, address, 60000, &fd[i], &loopback));
  double ms = cpu_ms();
  pause_ms(300);
  assert_true(cpu_ms() - ms < 150);
  for (int i = 0; i <= ROOM; i++)
    close(fd[i]);
}

static void old_versions_are_named(void **state) {
  (void)state;
  played b;
  assert_int_equal(played_connect(&b, "old", place.key, place.port), NEO_OK);
  assert_int_not_equal(played_join(&b, "old", 0, 1), NEO_OK);
  assert_true(log_wait(&place.log, "protocol version 0, this end speaks 2", 60000));
  played_close(&b);
  /* and a frame of another version, from after the handshake */
  assert_int_equal(played_connect(&b, "old", place.key, place.port), NEO_OK);
  neo_frame frame = {.type = NEO_MESSAGE_JOIN};
  must(neo_channel_put(&b.ctx, &b.net, &frame));
  b.net.out.data[4] = 0;
  for (int i = 0; i < 100 && neo_channel_pump(&b.ctx, &b.net) == NEO_OK; i++)
    pause_ms(2);
  assert_true(log_wait(&place.log, "protocol version 0, 1 expected", 60000));
  played_close(&b);
}

static void a_tuner_of_another_version_is_named(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_buf bytes = {0};
  neo_net_welcome welcome = {.protocol = 9, .heartbeat_ms = 1};
  neo_ctx_init(&ctx, 1);
  neo_net_welcome_encode(&bytes, &welcome);
  assert_int_equal(neo_net_welcome_decode(&ctx, (uint8_t *)bytes.data, bytes.size, &welcome),
                   NEO_UNSUPPORTED);
  assert_non_null(strstr(ctx.message, "protocol version 9, this end speaks 2"));
  neo_buf_fini(&bytes);
}

/* ---- messages, keys, sizes -------------------------------------------------------------------------------- */

static void joins_round_trip_and_damage_is_seen(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_buf bytes = {0}, again = {0};
  neo_net_join join = {.protocol = NEO_NET_VERSION, .boot = 42, .hello = {.threads = 3}}, back;
  neo_ctx_init(&ctx, 1);
  snprintf(join.name, sizeof join.name, "a.board-1_x");
  snprintf(join.reason, sizeof join.reason, "why");
  neo_net_facts_detect(&join);
  neo_net_join_encode(&bytes, &join);
  assert_int_equal(neo_net_join_decode(&ctx, (uint8_t *)bytes.data, bytes.size, &back), NEO_OK);
  neo_net_join_encode(&again, &back);
  assert_true(again.size == bytes.size && memcmp(again.data, bytes.data, bytes.size) == 0);
  for (size_t size = 0; size < bytes.size; size++) {
    assert_int_not_equal(neo_net_join_decode(&ctx, (uint8_t *)bytes.data, size, &back), NEO_OK);
    neo_ctx_clear(&ctx);
  }
  bytes.data[6] = '/'; /* in the name */
  assert_int_equal(neo_net_join_decode(&ctx, (uint8_t *)bytes.data, bytes.size, &back),
                   NEO_BAD_INPUT);
  neo_buf_fini(&bytes);
  neo_buf_fini(&again);
}

static void key_files_are_checked(void **state) {
  (void)state;
  static const char *const bad[] = {
      "", "abcd", KEY_A "0", "bad/name " KEY_A, "x " KEY_A " y", "0g" KEY_A};
  neo_net_keys keys;
  char path[100];
  snprintf(path, sizeof path, "%s/keys", place.dir);
  for (int i = 0; i < NEO_COUNT(bad); i++) {
    write_key(path, bad[i]);
    assert_int_equal(neo_net_keys_read(&place.ctx, path, &keys), NEO_USAGE);
    neo_ctx_clear(&place.ctx);
  }
  write_key(path, "# mine\n\n" KEY_A "\npi " KEY_B " # spare");
  must(neo_net_keys_read(&place.ctx, path, &keys));
  assert_int_equal(keys.n, 2);
  assert_int_equal(neo_net_keys_find(&keys, "pi")->bytes[0], 0xff);
  assert_int_equal(neo_net_keys_find(&keys, "else")->bytes[1], 0x11);
  /* cut in two it would be a comment and somebody's key */
  char line[400];
  snprintf(line, sizeof line, KEY_A "\n#%*s" KEY_B, 254, "");
  write_key(path, line);
  assert_int_equal(neo_net_keys_read(&place.ctx, path, &keys), NEO_USAGE);
  snprintf(line, sizeof line, "%s:2: a line of 255 characters", path);
  assert_non_null(strstr(place.ctx.message, line));
  neo_ctx_clear(&place.ctx);
  snprintf(line, sizeof line, KEY_A "\n#%253s", "");
  write_key(path, line); /* the longest */
  must(neo_net_keys_read(&place.ctx, path, &keys));
  assert_int_equal(keys.n, 1);
  chmod(path, 0644);
  assert_int_equal(neo_net_keys_read(&place.ctx, path, &keys), NEO_USAGE);
  assert_non_null(strstr(place.ctx.message, "chmod 600"));
  neo_ctx_clear(&place.ctx);
  unlink(path);
}

/* What the two processes of an idle board have for themselves, and share: proportional set size. */
static long pss_kb(pid_t pid) {
  char path[64], line[256];
  long kb = 0;
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file)) {
    neo_scan scan;
    int64_t value;
    neo_scan_init(&scan, line + 4);
    if (strncmp(line, "Pss:", 4) == 0 && neo_scan_int(&scan, &value))
      kb = (long)value;
  }
  if (file)
    fclose(file);
  return kb;
}

/* Is it in memory that the process may write? -1: its memory cannot be read. */
static int finds_in_memory(pid_t pid, const void *what, size_t size) {
  char path[64], line[512];
  unsigned long from, to;
  int found = 0;
  snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
  int memory = open(path, O_RDONLY | O_CLOEXEC);
  snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
  FILE *maps = fopen(path, "r");
  while (memory >= 0 && maps && fgets(line, sizeof line, maps)) {
    enum { MOST = 16 << 20 }; /* not the cache of blobs, nor a sanitizer's shadow */
    char *at;                 /* "FROM-TO rw-p ..." */
    from = strtoul(line, &at, 16);
    to = strtoul(at + 1, &at, 16);
    if (at[2] != 'w' || to - from > MOST)
      continue;
    char *bytes = malloc(to - from);
    ssize_t n = bytes ? pread(memory, bytes, to - from, (off_t)from) : -1;
    found += n > 0 && memmem(bytes, (size_t)n, what, size) != NULL;
    free(bytes);
  }
  if (maps)
    fclose(maps);
  if (memory >= 0)
    close(memory);
  return memory >= 0 && maps ? found : -1;
}

/* Candidates run in children of the worker. */
static void a_worker_has_no_key(void **state) {
  (void)state;
  neo_net_keys keys;
  pid_t pid = net_board(&place, "pi-1", NULL, place.port);
  neo_hub_lease lease = take("");
  must(neo_net_keys_read(&place.ctx, place.key, &keys));
  pid_t worker = net_worker_of(pid);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  enum { COPIED = 1 }; /* they copy what they like */
#else
  enum { COPIED = 0 };
#endif
  if (COPIED || finds_in_memory(worker, "pi-1", 4) < 0) {
    print_message("SKIPPED: a child's memory cannot be read here, or is a sanitizer's\n");
  } else {
    assert_true(finds_in_memory(pid, keys.key[0].bytes, NEO_KEY_BYTES) > 0); /* the link has it */
    assert_int_equal(finds_in_memory(worker, keys.key[0].bytes, NEO_KEY_BYTES), 0);
    assert_int_equal(finds_in_memory(worker, KEY_A, 40), 0);
  }
  close(lease.fd);
  net_board_end(pid, SIGTERM);
}

static void an_idle_board_is_small(void **state) {
  (void)state;
  pid_t pid = net_board(&place, "pi-1", NULL, place.port);
  neo_hub_lease lease = take("");
  long kb = pss_kb(pid) + pss_kb(net_worker_of(pid));
  struct stat info;
  assert_int_equal(stat(net_board_program(), &info), 0);
  print_message("idle: %ld KB in two processes; neo-board is %ld KB\n", kb,
                (long)info.st_size / 1000);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  assert_true(kb > 0 && kb < 4096);
  assert_true(info.st_size < 1000000 || !getenv("NEO_TEST_BOARD"));
#endif
  close(lease.fd);
  net_board_end(pid, SIGTERM);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_board_serves_over_tls, start, stop),
      cmocka_unit_test_setup_teardown(a_refused_blob_leaves_the_lease_in_step, start, stop),
      cmocka_unit_test_setup_teardown(a_board_cannot_flood_its_holder, start, stop),
      cmocka_unit_test_setup_teardown(a_wait_for_a_board_can_be_ended, start, stop),
      cmocka_unit_test_setup_teardown(two_boards_are_two_leases, start, stop),
      cmocka_unit_test_setup_teardown(a_job_that_is_given_up_is_killed, start, stop),
      cmocka_unit_test_setup_teardown(a_holder_may_leave_what_nobody_takes, start, stop),
      cmocka_unit_test_setup_teardown(a_wrong_key_costs_little, start, stop),
      cmocka_unit_test_setup_teardown(names_and_keys_belong_together, start, stop),
      cmocka_unit_test_setup_teardown(names_cannot_be_guessed, start, stop),
      cmocka_unit_test_setup_teardown(a_name_is_one_boards, start, stop),
      cmocka_unit_test_setup_teardown(boards_have_the_targets_gpu, start, stop),
      cmocka_unit_test_setup_teardown(a_failed_lease_does_not_choose_the_kind, start, stop),
      cmocka_unit_test_setup_teardown(unauthenticated_bytes_do_nothing, start_impatient, stop),
      cmocka_unit_test_setup_teardown(a_crowd_of_strangers_keeps_nobody_out, start, stop),
      cmocka_unit_test_setup_teardown(a_full_room_is_left_in_peace, start_impatient, stop),
      cmocka_unit_test_setup_teardown(old_versions_are_named, start, stop),
      cmocka_unit_test_setup_teardown(a_tuner_of_another_version_is_named, start, stop),
      cmocka_unit_test_setup_teardown(joins_round_trip_and_damage_is_seen, start, stop),
      cmocka_unit_test_setup_teardown(key_files_are_checked, start, stop),
      cmocka_unit_test_setup_teardown(a_worker_has_no_key, start, stop),
      cmocka_unit_test_setup_teardown(an_idle_board_is_small, start, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
