/* The operating system: Windows. See os.h.
 *
 * Processors are those of the process's group, 64 at most: pinning beyond them is a hint that is
 * not taken. */
#include "runtime/os.h"

#include <string.h>
#include <windows.h>

enum { PATH_UNITS = 4096 };

const char neo_os_library_name[] = "compiled.dll";

static neo_status wide(neo_ctx *ctx, const char *path, wchar_t out[PATH_UNITS]) {
  if (!MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, out, PATH_UNITS))
    return neo_fail(ctx, NEO_USAGE, "'%.200s' is no usable path: too long, or not UTF-8", path);
  for (wchar_t *at = out; *at; at++)
    if (*at == L'/')
      *at = L'\\';
  return NEO_OK;
}

static neo_status system_error(neo_ctx *ctx, neo_status status, const char *path) {
  DWORD error = GetLastError();
  char text[200] = "";
  DWORD n = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, error,
                           0, text, sizeof(text), NULL);
  while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == '.'))
    text[--n] = '\0';
  return neo_fail(ctx, status, "%s: %s (error %lu)", path, text[0] ? text : "refused",
                  (unsigned long)error);
}

neo_status neo_os_library_open(neo_ctx *ctx, const char *path, void **out) {
  wchar_t name[PATH_UNITS], whole[PATH_UNITS];
  NEO_TRY(wide(ctx, path, name));
  if (GetFileAttributesW(name) == INVALID_FILE_ATTRIBUTES)
    return system_error(ctx, NEO_IO, path);
  DWORD n =
      GetFullPathNameW(name, PATH_UNITS, whole, NULL); /* names without a folder are looked for */
  if (n == 0 || n >= PATH_UNITS)
    return system_error(ctx, NEO_IO, path);
  HMODULE module = LoadLibraryExW(whole, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
  if (!module)
    return system_error(ctx, NEO_BAD_INPUT, path);
  *out = module;
  return NEO_OK;
}

/* Of the system's own folder only, where drivers are installed: what lies in the working folder,
 * the program's or on the PATH may be anybody's. */
void *neo_os_library_find(const char *name) {
  wchar_t file[MAX_PATH], path[PATH_UNITS];
  UINT n = GetSystemDirectoryW(path, MAX_PATH);
  if (n == 0 || n >= MAX_PATH || strpbrk(name, "/\\:") ||
      !MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, name, -1, file, MAX_PATH))
    return NULL;
  path[n] = L'\\';
  memcpy(path + n + 1, file, sizeof(file));
  return LoadLibraryExW(path, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
}

void *neo_os_library_symbol(void *library, const char *name) {
  return (void *)(uintptr_t)GetProcAddress(library, name);
}

void neo_os_library_close(void *library) {
  if (library)
    FreeLibrary(library);
}

neo_status neo_os_file_map(neo_ctx *ctx, const char *path, const void **out, size_t *out_size) {
  wchar_t name[PATH_UNITS];
  LARGE_INTEGER size = {0};
  NEO_TRY(wide(ctx, path, name));
  HANDLE file = CreateFileW(name, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
  if (file == INVALID_HANDLE_VALUE)
    return system_error(ctx, NEO_IO, path);
  if (GetFileType(file) != FILE_TYPE_DISK || !GetFileSizeEx(file, &size) || size.QuadPart < 1) {
    CloseHandle(file);
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: empty, or no regular file", path);
  }
  HANDLE mapping = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL);
  void *view = mapping ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0) : NULL;
  neo_status status = view ? NEO_OK : system_error(ctx, NEO_IO, path);
  if (mapping)
    CloseHandle(mapping);
  CloseHandle(file);
  if (status == NEO_OK) {
    *out = view;
    *out_size = (size_t)size.QuadPart;
  }
  return status;
}

void neo_os_file_unmap(const void *data, size_t size) {
  (void)size;
  if (data)
    UnmapViewOfFile(data);
}

/* ---- pages --------------------------------------------------------------------------------------- */

size_t neo_os_page_size(void) {
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info.dwPageSize;
}

void *neo_os_pages_reserve(size_t size) {
  return VirtualAlloc(NULL, size, MEM_RESERVE, PAGE_NOACCESS);
}

bool neo_os_pages_commit(void *begin, size_t size) {
  return VirtualAlloc(begin, size, MEM_COMMIT, PAGE_READWRITE) != NULL;
}

void neo_os_pages_present(void *begin, size_t size) {
  volatile char *page = begin;
  for (size_t at = 0; at < size; at += 4096)
    page[at] = 0;
}

bool neo_os_pages_execute(void *begin, size_t size, size_t code) {
  char *at = begin;
  DWORD before;
  if (!VirtualProtect(at, code, PAGE_EXECUTE_READ, &before) ||
      (size > code && !VirtualProtect(at + code, size - code, PAGE_READONLY, &before)))
    return false;
  FlushInstructionCache(GetCurrentProcess(), at, code);
  return true;
}

void neo_os_pages_release(void *begin, size_t size) {
  (void)size;
  if (begin)
    VirtualFree(begin, 0, MEM_RELEASE);
}

/* Nothing is forked here. */
void *neo_os_pages_share(size_t size) {
  return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void neo_os_pages_forget(void *begin, size_t size) {
  (void)begin;
  (void)size;
}

void neo_os_pages_protect(void *begin, size_t size) {
  DWORD before;
  VirtualProtect(begin, size, PAGE_READONLY, &before);
}

int64_t neo_os_memory(void) {
  MEMORYSTATUSEX status = {.dwLength = sizeof(status)};
  return GlobalMemoryStatusEx(&status) ? (int64_t)status.ullTotalPhys : 0;
}

/* ---- processors ---------------------------------------------------------------------------------- */

int neo_os_cpus(int *cpus, int most) {
  DWORD_PTR process = 0, system = 0;
  int n = 0;
  if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &system))
    return 0;
  for (int i = 0; i < 64 && n < most; i++)
    if ((uint64_t)process >> i & 1)
      cpus[n++] = i;
  return n;
}

int neo_os_cpu_now(void) {
  return (int)GetCurrentProcessorNumber();
}

void neo_os_pin(int cpu) {
  if (cpu >= 0 && cpu < 64)
    SetThreadAffinityMask(GetCurrentThread(), (DWORD_PTR)1 << cpu);
}

void neo_os_stay_on(const int *cpus, int n) {
  DWORD_PTR mask = 0;
  for (int i = 0; i < n; i++)
    mask |= cpus[i] < 64 ? (DWORD_PTR)1 << cpus[i] : 0;
  if (mask)
    SetProcessAffinityMask(GetCurrentProcess(), mask);
}

void neo_os_sleep(int ms) {
  Sleep((DWORD)ms);
}

/* There is no way to ask for a thread's mask but to set another one. */
void neo_os_affinity_get(neo_os_affinity *out) {
  DWORD_PTR process = 0, system = 0;
  memset(out, 0, sizeof(*out));
  if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &system) || !process)
    return;
  DWORD_PTR before = SetThreadAffinityMask(GetCurrentThread(), process);
  if (before)
    SetThreadAffinityMask(GetCurrentThread(), before);
  out->set[0] = before;
  out->known = before != 0;
}

void neo_os_affinity_set(const neo_os_affinity *affinity) {
  if (affinity->known)
    SetThreadAffinityMask(GetCurrentThread(), (DWORD_PTR)affinity->set[0]);
}
