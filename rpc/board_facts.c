/* What a board reports of its machine when it joins: facts for people, and for the tuner to choose
 * boards by. From /proc and /sys; what is not there is not reported. */
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "rpc/net.h"

enum { CACHES = 6, LINE = 4096 };

static bool read_line(const char *path, char *out, size_t size) {
  FILE *file = fopen(path, "re");
  bool got = file && fgets(out, (int)size, file);
  if (file)
    fclose(file);
  if (got)
    out[strcspn(out, "\n")] = '\0';
  return got;
}

/* "l1d", "l2", "l3" as the first core sees them. */
static void add_caches(neo_net_join *join) {
  for (int i = 0; i < CACHES; i++) {
    char path[96], level[16], type[16], size[32], name[24];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
    if (!read_line(path, level, sizeof level))
      continue;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", i);
    if (!read_line(path, type, sizeof type) || strcmp(type, "Instruction") == 0)
      continue;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
    snprintf(name, sizeof name, "l%.4s%s", level, strcmp(level, "1") == 0 ? "d" : "");
    if (read_line(path, size, sizeof size))
      neo_net_fact_set(join, name, size);
  }
}

static bool is_feature(const char *word) {
  static const char *const known[] = {
      "sse4_2",      "avx",         "avx2",        "fma",      "f16c",     "avx512f",
      "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_int8", "amx_bf16",
      "neon",        "asimd",       "asimdhp",     "asimddp",  "fphp",     "sve",
      "sve2",        "i8mm",        "bf16",        "vfpv4",    "v"};
  for (int i = 0; i < NEO_COUNT(known); i++)
    if (strcmp(word, known[i]) == 0)
      return true;
  return false;
}

/* The words of the first "flags" or "Features" line that kernels may care for. */
static void add_features(neo_net_join *join) {
  char line[LINE], value[160] = "", *rest;
  size_t used = 0;
  FILE *file = fopen("/proc/cpuinfo", "re");
  if (!file)
    return;
  bool found = false;
  while (!found && fgets(line, sizeof line, file))
    found = strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0;
  fclose(file);
  char *at = found ? strchr(line, ':') : NULL;
  for (char *word = at ? strtok_r(at + 1, " \t\n", &rest) : NULL; word;
       word = strtok_r(NULL, " \t\n", &rest))
    if (is_feature(word) && used + strlen(word) + 2 < sizeof value)
      used += (size_t)snprintf(value + used, sizeof value - used, "%s%s", used ? " " : "", word);
  if (used)
    neo_net_fact_set(join, "features", value);
}

static void add_number(neo_net_join *join, const char *name, long long value, const char *unit) {
  char text[40];
  snprintf(text, sizeof text, "%lld%s", value, unit);
  neo_net_fact_set(join, name, text);
}

static void add_temperature(neo_net_join *join) {
  char text[32];
  neo_scan scan;
  int64_t milli;
  if (!read_line("/sys/class/thermal/thermal_zone0/temp", text, sizeof text))
    return;
  neo_scan_init(&scan, text);
  if (neo_scan_int(&scan, &milli))
    add_number(join, "temperature", milli / 1000, " C");
}

void neo_net_facts_detect(neo_net_join *join) {
  struct utsname machine;
  char text[64];
  if (uname(&machine) == 0) {
    /* What code runs in this process: a 64-bit system says aarch64 to a 32-bit one. */
    const char *arch = neo_cpu_arch();
    neo_net_fact_set(join, "arch", strcmp(arch, "other") == 0 ? machine.machine : arch);
    neo_net_fact_set(join, "os", machine.sysname);
  }
  long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES);
  if (cpus > 0)
    add_number(join, "cpus", cpus, "");
  if (pages > 0)
    add_number(join, "memory", (long long)pages * sysconf(_SC_PAGESIZE) >> 20, " MB");
  add_caches(join);
  add_features(join);
  add_temperature(join);
  if (read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", text, sizeof text))
    neo_net_fact_set(join, "governor", text);
}
