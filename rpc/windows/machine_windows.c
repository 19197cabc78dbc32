/* Windows at the board's end of a network: see machine.h. */
#include "rpc/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <signal.h>
#include <string.h>
#include <winsock2.h>

#include <aclapi.h>
#include <ntsecapi.h>

bool neo_machine_random(void *out, size_t size) {
  return RtlGenRandom(out, (ULONG)size);
}

/* ---- private files -------------------------------------------------------------------------------- */

/* Is that a group that strangers belong to? */
static bool is_everybody(PSID who) {
  static const WELL_KNOWN_SID_TYPE groups[] = {WinWorldSid,
                                               WinAuthenticatedUserSid,
                                               WinBuiltinUsersSid,
                                               WinBuiltinGuestsSid,
                                               WinAnonymousSid,
                                               WinInteractiveSid,
                                               WinNetworkSid,
                                               WinLocalSid,
                                               WinAccountDomainUsersSid,
                                               WinAccountDomainGuestsSid};
  for (int i = 0; i < NEO_COUNT(groups); i++)
    if (IsWellKnownSid(who, groups[i]))
      return true;
  return false;
}

/* Who may write it, or its list, can put a key of his own there, or let himself read. */
static bool lets_in(const ACCESS_ALLOWED_ACE *ace) {
  return ace->Header.AceType == ACCESS_ALLOWED_ACE_TYPE &&
         !(ace->Header.AceFlags & INHERIT_ONLY_ACE) &&
         (ace->Mask & (FILE_READ_DATA | FILE_WRITE_DATA | WRITE_DAC | WRITE_OWNER | GENERIC_READ |
                       GENERIC_WRITE | GENERIC_ALL)) &&
         is_everybody((PSID)(uintptr_t)&ace->SidStart);
}

/* This process's user. The owner of a file may change its list: he is one who may read it. */
static bool is_ours(PSID owner) {
  union {
    TOKEN_USER user;
    char bytes[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
  } self;
  HANDLE token = NULL;
  DWORD size = 0;
  bool good = OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token) &&
              GetTokenInformation(token, TokenUser, &self, sizeof(self), &size) &&
              EqualSid(owner, self.user.User.Sid);
  if (token)
    CloseHandle(token);
  return good;
}

static bool has_safe_owner(HANDLE file) {
  PSID owner = NULL;
  PSECURITY_DESCRIPTOR security = NULL;
  bool good = GetSecurityInfo(file, SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION, &owner, NULL, NULL,
                              NULL, &security) == ERROR_SUCCESS &&
              owner &&
              (is_ours(owner) || IsWellKnownSid(owner, WinBuiltinAdministratorsSid) ||
               IsWellKnownSid(owner, WinLocalSystemSid));
  if (security)
    LocalFree(security);
  return good;
}

/* A file without a list, or whose list cannot be read, is everybody's. */
static bool is_private(HANDLE file) {
  PACL list = NULL;
  PSECURITY_DESCRIPTOR security = NULL;
  ACL_SIZE_INFORMATION size = {0};
  bool good = GetSecurityInfo(file, SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, NULL, NULL, &list,
                              NULL, &security) == ERROR_SUCCESS &&
              list && GetAclInformation(list, &size, sizeof(size), AclSizeInformation);
  for (DWORD i = 0; good && i < size.AceCount; i++) {
    void *ace = NULL;
    good = GetAce(list, i, &ace) && !lets_in(ace);
  }
  if (security)
    LocalFree(security);
  return good;
}

neo_status neo_machine_open_private(neo_ctx *ctx, const char *path, FILE **out) {
  FILE *file = fopen(path, "r");
  if (!file)
    return neo_fail(ctx, NEO_USAGE, "key file %s: %s", path, strerror(errno));
  HANDLE handle = (HANDLE)_get_osfhandle(_fileno(file));
  if (!has_safe_owner(handle)) {
    fclose(file);
    return neo_fail(ctx, NEO_USAGE,
                    "key file %s is somebody else's, who may let himself read it: icacls %s "
                    "/setowner %%USERNAME%%",
                    path, path);
  }
  if (!is_private(handle)) {
    fclose(file);
    return neo_fail(ctx, NEO_USAGE,
                    "key file %s may be read by others: icacls %s /inheritance:r /grant:r "
                    "%%USERNAME%%:R",
                    path, path);
  }
  *out = file;
  return NEO_OK;
}

/* ---- the program ------------------------------------------------------------------------------------ */

static volatile int *stop_flag; /* what Ctrl-C sets */

static void on_signal(int number) {
  signal(number, on_signal); /* it is taken off when it comes */
  *stop_flag = 1;
}

void neo_machine_start(bool stdio, volatile int *stop) {
  WSADATA about;
  if (stdio) {
    _setmode(0, _O_BINARY);
    _setmode(1, _O_BINARY);
    /* What came by inheritance goes on so: a job's process would have the tuner's stream. */
    SetHandleInformation(GetStdHandle(STD_INPUT_HANDLE), HANDLE_FLAG_INHERIT, 0);
    SetHandleInformation(GetStdHandle(STD_OUTPUT_HANDLE), HANDLE_FLAG_INHERIT, 0);
    return;
  }
  WSAStartup(MAKEWORD(2, 2), &about);
  stop_flag = stop;
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
}
