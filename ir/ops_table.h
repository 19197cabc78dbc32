/* ir/ops_table.h: the functions that ir/ops.def names. */
#ifndef NEO_IR_OPS_TABLE_H
#define NEO_IR_OPS_TABLE_H

#include "ir/graph.h"

typedef neo_status neo_infer_fn(neo_ctx *ctx, neo_graph *graph, neo_node *node);
typedef neo_status neo_lower_fn(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                neo_te *te, int *in_value);
typedef neo_status neo_eval_fn(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               neo_tensor *const *in, neo_tensor *out);

neo_infer_fn neo_infer_arg, neo_infer_batch_norm, neo_infer_binary, neo_infer_cast,
    neo_infer_channel_norm, neo_infer_clip, neo_infer_concat, neo_infer_constant_of_shape,
    neo_infer_conv, neo_infer_conv_transpose, neo_infer_cumsum, neo_infer_depth_space,
    neo_infer_dropout, neo_infer_einsum, neo_infer_expand, neo_infer_flatten, neo_infer_gather,
    neo_infer_gather_elements, neo_infer_gemm, neo_infer_global_pool, neo_infer_layer_norm,
    neo_infer_lrn, neo_infer_matmul, neo_infer_mvn, neo_infer_nonzero, neo_infer_one_hot,
    neo_infer_pad, neo_infer_pool, neo_infer_range, neo_infer_reduce, neo_infer_reshape,
    neo_infer_resize, neo_infer_shape, neo_infer_size, neo_infer_slice, neo_infer_softmax,
    neo_infer_split, neo_infer_squeeze, neo_infer_tile, neo_infer_transpose, neo_infer_trilu,
    neo_infer_unary, neo_infer_unsqueeze, neo_infer_where;
neo_infer_fn neo_infer_recurrent, neo_infer_expanded, neo_infer_scatter_rows, neo_infer_top_k,
    neo_infer_multibox_nms, neo_infer_couple_pairs, neo_infer_text_parse, neo_infer_text_print;
neo_eval_fn neo_eval_scatter_rows, neo_eval_top_k, neo_eval_multibox_nms, neo_eval_couple_pairs,
    neo_eval_text_parse, neo_eval_text_print;
neo_infer_fn neo_infer_bitcast;
neo_lower_fn neo_lower_bitcast;
neo_eval_fn neo_eval_bitcast;
neo_infer_fn neo_infer_quantize, neo_infer_matmul_integer, neo_infer_conv_integer,
    neo_infer_qlinear, neo_infer_dynamic_quantize;
neo_lower_fn neo_lower_quantize;
neo_lower_fn neo_lower_arg, neo_lower_average_pool, neo_lower_batch_norm, neo_lower_binary,
    neo_lower_cast, neo_lower_channel_norm, neo_lower_clip, neo_lower_concat, neo_lower_conv,
    neo_lower_conv_transpose, neo_lower_cumsum, neo_lower_depth_space, neo_lower_dropout,
    neo_lower_einsum, neo_lower_expand, neo_lower_gather, neo_lower_gather_elements, neo_lower_gemm,
    neo_lower_global_pool, neo_lower_hardmax, neo_lower_layer_norm, neo_lower_lp_normalization,
    neo_lower_lp_pool, neo_lower_lrn, neo_lower_matmul, neo_lower_max_pool, neo_lower_mvn,
    neo_lower_one_hot, neo_lower_pad, neo_lower_reduce_op, neo_lower_resize, neo_lower_slice,
    neo_lower_softmax, neo_lower_split, neo_lower_tile, neo_lower_transpose, neo_lower_trilu,
    neo_lower_unary, neo_lower_view, neo_lower_where;
neo_eval_fn neo_eval_constant_of_shape, neo_eval_nonzero, neo_eval_range, neo_eval_shape,
    neo_eval_size, neo_eval_view, neo_eval_split;

/* bounded */
neo_infer_fn neo_infer_bounded_nonzero, neo_infer_nms;
neo_eval_fn neo_eval_bounded_nonzero, neo_eval_nms;

neo_infer_fn neo_infer_cut, neo_infer_unbound;
neo_lower_fn neo_lower_cut, neo_lower_uncut;

/* control flow */
neo_infer_fn neo_infer_if, neo_infer_loop, neo_infer_unreachable;
neo_eval_fn neo_eval_if, neo_eval_loop, neo_eval_unreachable;

/* strings */
neo_infer_fn neo_infer_text_load, neo_infer_text_pair, neo_infer_text_match, neo_infer_text_find,
    neo_infer_text_case, neo_infer_text_filter, neo_infer_text_split;
neo_eval_fn neo_eval_text_load, neo_eval_text_pair, neo_eval_text_match, neo_eval_text_find,
    neo_eval_text_case, neo_eval_text_filter, neo_eval_text_split;

/* pictures */
neo_infer_fn neo_infer_image_decode;
neo_eval_fn neo_eval_image_decode;

/* trees */
neo_infer_fn neo_infer_tree_ensemble, neo_infer_tree_table;
neo_eval_fn neo_eval_tree_ensemble, neo_eval_tree_table;

#endif
