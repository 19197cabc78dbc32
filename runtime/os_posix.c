/* The operating system: Linux and what is like it. See os.h. */
#include "runtime/os.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/cpu.h"

_Static_assert(sizeof(cpu_set_t) <= sizeof(((neo_os_affinity *)0)->set), "a set of cpus fits");

const char neo_os_library_name[] = "compiled.so";

/* Where an ELF file names a processor that is known and not this one: its name. dlopen says "No
 * such file or directory" then. */
static const char *other_processor(const ElfW(Ehdr) * head) {
  static const struct {
    int machine;
    const char *arch;
  } rows[] = {{EM_X86_64, "x86_64"},
              {EM_AARCH64, "aarch64"},
              {EM_ARM, "armv7"},
              {EM_RISCV, "riscv64"},
              {EM_QDSP6, "hexagon"}};
  const char *theirs = NULL;
  bool known = false;
  for (int k = 0; k < NEO_COUNT(rows); k++) {
    if (head->e_machine == rows[k].machine)
      theirs = rows[k].arch;
    known = known || strcmp(rows[k].arch, neo_cpu_arch()) == 0;
  }
  return known && theirs && strcmp(theirs, neo_cpu_arch()) != 0 ? theirs : NULL;
}

/* What would end in SIGBUS or in a message that says something else. A copy that was cut off lacks
 * pages; linkers put the section headers last. What is no ELF file at all is left to dlopen. */
static neo_status check_library(neo_ctx *ctx, const char *path) {
  ElfW(Ehdr) head;
  struct stat info;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return neo_fail(ctx, NEO_IO, "%s: %s%s", path, strerror(errno),
                    errno == ENOENT ? ": no artifact for this system is there" : "");
  bool elf = fstat(fd, &info) == 0 && read(fd, &head, sizeof(head)) == (ssize_t)sizeof(head) &&
             memcmp(head.e_ident, ELFMAG, SELFMAG) == 0;
  close(fd);
  const char *other = elf ? other_processor(&head) : NULL;
  if (other)
    return neo_fail(ctx, NEO_UNSUPPORTED, "%s: compiled for %s, this machine is %s", path, other,
                    neo_cpu_arch());
  uint64_t headers = (uint64_t)head.e_shnum * head.e_shentsize;
  if (elf && (head.e_shoff > (uint64_t)info.st_size ||
              headers > (uint64_t)info.st_size - (uint64_t)head.e_shoff))
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: its end is missing: copy or compile it again", path);
  return NEO_OK;
}

neo_status neo_os_library_open(neo_ctx *ctx, const char *path, void **out) {
  char here[4096]; /* dlopen searches names without a slash */
  int n = snprintf(here, sizeof(here), "%s%s", strchr(path, '/') ? "" : "./", path);
  if (n < 0 || (size_t)n >= sizeof(here))
    return neo_fail(ctx, NEO_USAGE, "artifact: path is longer than %zu bytes", sizeof(here) - 1);
  NEO_TRY(check_library(ctx, path));
  void *library = dlopen(here, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *why = dlerror();
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: %s", path, why ? why : "cannot be loaded");
  }
  *out = library;
  return NEO_OK;
}

void *neo_os_library_find(const char *name) {
  return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

void *neo_os_library_symbol(void *library, const char *name) {
  return dlsym(library, name);
}

void neo_os_library_close(void *library) {
  if (library)
    dlclose(library);
}

neo_status neo_os_file_map(neo_ctx *ctx, const char *path, const void **out, size_t *out_size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0)
    return neo_fail(ctx, NEO_IO, "%s: %s", path, strerror(errno));
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) {
    close(fd);
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: empty, or no regular file", path);
  }
  void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  int error = errno;
  close(fd);
  if (map == MAP_FAILED)
    return neo_fail(ctx, NEO_IO, "%s: %s", path, strerror(error));
  *out = map;
  *out_size = (size_t)info.st_size;
  return NEO_OK;
}

void neo_os_file_unmap(const void *data, size_t size) {
  if (data)
    munmap((void *)(uintptr_t)data, size);
}

/* ---- pages --------------------------------------------------------------------------------------- */

size_t neo_os_page_size(void) {
  return (size_t)sysconf(_SC_PAGESIZE);
}

void *neo_os_pages_reserve(size_t size) {
  void *map = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return map == MAP_FAILED ? NULL : map;
}

bool neo_os_pages_commit(void *begin, size_t size) {
  return mprotect(begin, size, PROT_READ | PROT_WRITE) == 0;
}

/* Kernels before 5.14 do not take it. */
void neo_os_pages_present(void *begin, size_t size) {
#ifdef MADV_POPULATE_WRITE
  madvise(begin, size, MADV_POPULATE_WRITE);
#else
  (void)begin;
  (void)size;
#endif
}

bool neo_os_pages_execute(void *begin, size_t size, size_t code) {
  char *at = begin;
  if (mprotect(at, code, PROT_READ | PROT_EXEC) != 0 ||
      (size > code && mprotect(at + code, size - code, PROT_READ) != 0))
    return false;
  __builtin___clear_cache(at, at + code);
  return true;
}

void neo_os_pages_release(void *begin, size_t size) {
  if (begin)
    munmap(begin, size);
}

void *neo_os_pages_share(size_t size) {
  void *map =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return map == MAP_FAILED ? NULL : map;
}

void neo_os_pages_forget(void *begin, size_t size) {
  madvise(begin, size, MADV_REMOVE);
}

void neo_os_pages_protect(void *begin, size_t size) {
  mprotect(begin, size, PROT_READ);
}

int64_t neo_os_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? (int64_t)pages * page : 0;
}

/* ---- processors ---------------------------------------------------------------------------------- */

int neo_os_cpus(int *cpus, int most) {
  cpu_set_t set;
  int n = 0;
  if (sched_getaffinity(0, sizeof(set), &set) != 0)
    return 0;
  for (int i = 0; i < CPU_SETSIZE && n < most; i++)
    if (CPU_ISSET(i, &set))
      cpus[n++] = i;
  return n;
}

int neo_os_cpu_now(void) {
  return sched_getcpu();
}

void neo_os_pin(int cpu) {
  if (cpu < 0 || cpu >= CPU_SETSIZE)
    return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof(set), &set);
}

void neo_os_stay_on(const int *cpus, int n) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < n; i++)
    if (cpus[i] < CPU_SETSIZE)
      CPU_SET(cpus[i], &set);
  if (n > 0)
    sched_setaffinity(0, sizeof(set), &set);
}

void neo_os_sleep(int ms) {
  struct timespec pause = {ms / 1000, (ms % 1000) * 1000000L};
  nanosleep(&pause, NULL);
}

void neo_os_affinity_get(neo_os_affinity *out) {
  memset(out, 0, sizeof(*out));
  out->known = sched_getaffinity(0, sizeof(cpu_set_t), (cpu_set_t *)(void *)out->set) == 0;
}

void neo_os_affinity_set(const neo_os_affinity *affinity) {
  if (affinity->known)
    sched_setaffinity(0, sizeof(cpu_set_t), (const cpu_set_t *)(const void *)affinity->set);
}
