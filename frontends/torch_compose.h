/* frontends/torch_compose.h: ATen operators written as calls of others, for torch_linear.c and
 * torch_order.c. */
#ifndef NEO_FRONTENDS_TORCH_COMPOSE_H
#define NEO_FRONTENDS_TORCH_COMPOSE_H

#include "frontends/torch.h"

/* torch.OP(arguments) */
#define TORCH_CALL(t, op, ...)                                                                     \
  torch_call_op((t), (op),                                                                         \
                &(torch_args){.n = (int)(sizeof((tv[]){__VA_ARGS__}) / sizeof(tv)),                \
                              .arg = (tv[]){__VA_ARGS__}})

static inline tv torch_list_of_ints(torch *t, int n, const int64_t *v) {
  tv list = torch_seq_new(t, TV_LIST, 0, NULL);
  for (int i = 0; i < n; i++)
    torch_seq_add(t, list.seq, torch_int(v[i]));
  return list;
}

static inline tv torch_pair(torch *t, tv a, tv b) {
  tv pair[2] = {a, b};
  return torch_seq_new(t, TV_TUPLE, 2, pair);
}

#endif
