/* codegen/device_c.h: what the C of GPUs has in common: kernels' arguments and buffers. */
#ifndef NEO_CODEGEN_DEVICE_C_H
#define NEO_CODEGEN_DEVICE_C_H

#include "codegen/c_printer.h"

/* A dialect whose functions are kernels. Words end with a blank where they are not empty. */
typedef struct device_dialect {
  c_dialect base;
  const char *head;            /* of a kernel up to its name; one %d: work-items */
  const char *global, *shared; /* address spaces */
  const char *restricted;      /* restrict */
  const char *offset;          /* a type of 64 bits */
  const char *group, *item;    /* their numbers */
} device_dialect;

/* Blocks of memory that a kernel has for arguments. */
int device_args(const neo_nest *nest);
/* c_dialect.function of such dialects. */
void device_print_function(c_printer *p, neo_buf *out, int k, const char *symbol,
                           const neo_buf *body);

#endif
