/* The worker of a link on Windows: this program started anew, as neo-board --stdio, whose standard
 * input and output are one end of a connection over loopback. So both ends of the link are sockets,
 * which is all that can be waited for together here.
 *
 * The pair is made by connecting to a port of ours; whoever else connects to it in between has
 * another port and is turned away. The worker has neither the keys nor the connection, since only
 * its own end is inherited, but it is not kept off the network. */
#include <string.h>
#include <winsock2.h>
#include <ws2tcpip.h>

#include "rpc/link.h"

enum { END_MS = 10000, STRANGERS = 16 };

static neo_status refused(neo_link *l, const char *what) {
  return neo_fail(l->ctx, NEO_NO_MEMORY, "worker: %s: error %lu of Windows", what,
                  (unsigned long)GetLastError());
}

static bool is_from(SOCKET peer, const struct sockaddr_in *whom) {
  struct sockaddr_in who;
  int size = sizeof(who);
  return getpeername(peer, (struct sockaddr *)&who, &size) == 0 && who.sin_port == whom->sin_port &&
         who.sin_addr.s_addr == whom->sin_addr.s_addr;
}

static SOCKET accept_only(SOCKET listener, SOCKET theirs) {
  struct sockaddr_in whom;
  int size = sizeof(whom);
  if (getsockname(theirs, (struct sockaddr *)&whom, &size) != 0)
    return INVALID_SOCKET;
  for (int i = 0; i < STRANGERS; i++) {
    SOCKET peer = accept(listener, NULL, NULL);
    if (peer == INVALID_SOCKET || is_from(peer, &whom))
      return peer;
    closesocket(peer);
  }
  return INVALID_SOCKET;
}

/* theirs: not overlapped, so that it can be read as a file; it alone may be inherited. */
static bool make_pair(SOCKET *ours, SOCKET *theirs) {
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int yes = 1;
  int size = sizeof(here);
  SOCKET listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
  *ours = INVALID_SOCKET;
  *theirs = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, 0);
  if (listener != INVALID_SOCKET && *theirs != INVALID_SOCKET &&
      SetHandleInformation((HANDLE)listener, HANDLE_FLAG_INHERIT, 0) &&
      bind(listener, (struct sockaddr *)&here, sizeof(here)) == 0 && listen(listener, 1) == 0 &&
      getsockname(listener, (struct sockaddr *)&here, &size) == 0 &&
      connect(*theirs, (struct sockaddr *)&here, size) == 0)
    *ours = accept_only(listener, *theirs);
  if (listener != INVALID_SOCKET)
    closesocket(listener);
  if (*ours != INVALID_SOCKET) {
    SetHandleInformation((HANDLE)*ours, HANDLE_FLAG_INHERIT, 0);
    SetHandleInformation((HANDLE)*theirs, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    setsockopt(*ours, IPPROTO_TCP, TCP_NODELAY, (const char *)&yes, sizeof(yes));
    setsockopt(*theirs, IPPROTO_TCP, TCP_NODELAY, (const char *)&yes, sizeof(yes));
    return true;
  }
  if (*theirs != INVALID_SOCKET)
    closesocket(*theirs);
  return false;
}

static void command_line(const neo_board_options *o, const char *program, neo_buf *out) {
  neo_buf_printf(out, "\"%s\" --stdio", program);
  if (o->cache_bytes)
    neo_buf_printf(out, " --cache %zu", o->cache_bytes >> 20);
  for (int i = 0; i < o->n_cpus; i++)
    neo_buf_printf(out, "%s%d", i ? "," : " --cpus ", o->cpus[i]);
}

neo_status neo_link_start_worker(neo_link *l) {
  char program[MAX_PATH * 4];
  SOCKET ours, theirs;
  PROCESS_INFORMATION started = {0};
  neo_buf line = {0};
  DWORD n = GetModuleFileNameA(NULL, program, sizeof(program));
  if (n == 0 || n >= sizeof(program) || !make_pair(&ours, &theirs))
    return refused(l, "no connection to it");
  command_line(&l->options->board, program, &line);
  STARTUPINFOA info = {.cb = sizeof(info),
                       .dwFlags = STARTF_USESTDHANDLES,
                       .hStdInput = (HANDLE)theirs,
                       .hStdOutput = (HANDLE)theirs,
                       .hStdError = GetStdHandle(STD_ERROR_HANDLE)};
  /* A group of its own: Ctrl-C is for this process, which ends the worker. */
  bool good = !line.failed && CreateProcessA(program, line.data, NULL, NULL, TRUE,
                                             CREATE_NEW_PROCESS_GROUP, NULL, NULL, &info, &started);
  neo_status status = good ? NEO_OK : refused(l, "it cannot be started");
  neo_buf_fini(&line);
  closesocket(theirs);
  if (!good) {
    closesocket(ours);
    return status;
  }
  CloseHandle(started.hThread);
  l->process = (intptr_t)started.hProcess;
  return neo_channel_open(l->ctx, (int)ours, NULL, &l->worker);
}

/* Its own child dies with it: it is the last to hold that one's job object. */
void neo_link_stop_worker(neo_link *l) {
  HANDLE process = (HANDLE)l->process;
  if (l->worker.fd < 0)
    return;
  neo_channel_close(&l->worker);
  if (process) {
    TerminateProcess(process, 1);
    WaitForSingleObject(process, END_MS);
    CloseHandle(process);
  }
  l->process = 0;
}

void neo_link_worker_end(neo_link *l, char *why, size_t size) {
  HANDLE process = (HANDLE)l->process;
  DWORD code = 0;
  if (!process || WaitForSingleObject(process, END_MS) != WAIT_OBJECT_0) {
    snprintf(why, size, "the worker broke its stream");
    return;
  }
  GetExitCodeProcess(process, &code);
  CloseHandle(process);
  l->process = 0;
  snprintf(why, size, "the worker ended with %s%lx", code > 9 ? "0x" : "", (unsigned long)code);
}
